package edfplus

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

const op = "edfplus.NewPlan"

// Warnings of a Plan. Where is "lead V3" or empty.
const (
	WarnRounded     ecg.WarningCode = "value-rounded"   // step, rate or time that the header's characters cannot say exactly
	WarnSamples     ecg.WarningCode = "samples-rounded" // counts beyond 16 bits were divided
	WarnPadded      ecg.WarningCode = "padded"          // the last data record was filled up
	WarnGroupLeft   ecg.WarningCode = "group-left-out"  // EDF has one rate and start: other groups are not written
	WarnDerivedLeft ecg.WarningCode = "derived-left-out"
	WarnNotASCII    ecg.WarningCode = "not-ascii" // text of the header went into an annotation
)

// Plan is a file that is ready to be written.
type Plan struct {
	Group    int   // index into Recording.Groups
	Size     int64 // bytes
	Warnings []ecg.Warning

	group   *ecg.Group
	leads   []int
	scales  []extremes
	missing []bool
	length  int64

	perRecord int64 // samples of a signal in a data record
	duration  ecg.Rat
	records   int64
	notes     []string // annotations as TALs, in order of time
	noteBytes int      // of a data record
	fraction  ecg.Rat  // seconds that the recording starts after the header's whole second
	head      []byte
}

// Write writes the recording's rhythm, or its group of the given index.
func Write(w io.Writer, rec *ecg.Recording, group int) error {
	p, err := NewPlan(rec, group)
	if err != nil {
		return err
	}
	_, err = p.WriteTo(w)
	return err
}

// NewPlan reads the samples of a group once and makes the header. A negative index is the rhythm, or the
// first group that is there. The error is a *reject.Error for what EDF+ cannot hold, or the source's own.
func NewPlan(rec *ecg.Recording, group int) (*Plan, error) {
	p := &Plan{}
	if err := p.choose(rec, group); err != nil {
		return nil, err
	}
	gaps, err := p.survey()
	if err != nil {
		return nil, err
	}
	if err := p.cut(); err != nil {
		return nil, err
	}
	p.header(rec, gaps)
	p.Size = int64(len(p.head)) + p.records*p.recordBytes()
	return p, nil
}

func (p *Plan) choose(rec *ecg.Recording, group int) error {
	if group >= len(rec.Groups) || len(rec.Groups) == 0 {
		return reject.New(reject.UnsupportedFormat, op, "the recording has %d groups", len(rec.Groups))
	}
	if group < 0 {
		group = 0
		for i, g := range rec.Groups {
			if g == rec.Rhythm() {
				group = i
			}
		}
	}
	p.Group, p.group = group, rec.Groups[group]
	if len(rec.Groups) > 1 {
		p.warn(WarnGroupLeft, "")
	}
	if len(p.group.Leads) == 0 || len(p.group.Leads) > 512 || p.group.Rate.Sign() <= 0 {
		return reject.New(reject.UnsupportedFormat, op, "a group of %d leads", len(p.group.Leads))
	}
	return nil
}

func (p *Plan) warn(code ecg.WarningCode, where string) {
	w := ecg.Warning{Code: code, Where: where}
	for _, have := range p.Warnings {
		if have == w {
			return
		}
	}
	p.Warnings = append(p.Warnings, w)
}

// gap is a run of missing samples of a lead, [from, to).
type gap struct {
	lead     int
	from, to int64
}

const maxGaps = 2000

// survey reads the samples once for their extent and where they are missing.
func (p *Plan) survey() ([]gap, error) {
	g := p.group
	n := len(g.Leads)
	lo, hi := make([]int64, n), make([]int64, n)
	p.missing = make([]bool, n)
	open := make([]int, n) // index+1 of the lead's last gap
	var gaps []gap
	for i := range lo {
		lo[i], hi[i] = math.MaxInt64, math.MinInt64
	}
	err := p.each(func(b *ecg.Block) error {
		for i := range n {
			for j, v := range b.Counts[i][:b.Len] {
				if !b.IsMissing(i, j) {
					lo[i], hi[i] = min(lo[i], int64(v)), max(hi[i], int64(v))
					continue
				}
				p.missing[i] = true
				at := b.Start + int64(j)
				if k := open[i] - 1; k >= 0 && gaps[k].to == at {
					gaps[k].to++
				} else if len(gaps) < maxGaps {
					gaps = append(gaps, gap{i, at, at + 1})
					open[i] = len(gaps)
				} else {
					p.warn(ecg.WarnAnnotationsCut, "gaps")
				}
			}
		}
		p.length = b.Start + int64(b.Len)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p.length == 0 {
		return nil, reject.New(reject.UnsupportedFormat, op, "the group has no samples")
	}
	for i := range n {
		l := &g.Leads[i]
		where := "lead " + strconv.Itoa(i)
		if lo[i] > hi[i] {
			lo[i], hi[i] = 0, 0
		}
		e := scaleOf(l, lo[i], hi[i], p.missing[i])
		if e.divide > 1 && l.Derived && strings.HasPrefix(l.DerivedBy, "tributary") {
			p.warn(WarnDerivedLeft, where)
			continue
		}
		if e.divide > 1 {
			p.warn(WarnSamples, where)
		}
		if !e.exact {
			p.warn(WarnRounded, where)
		}
		p.leads, p.scales = append(p.leads, i), append(p.scales, e)
	}
	return gaps, nil
}

// errChanged says that the second pass over the samples was not like the first.
var errChanged = errors.New("edfplus: the recording changed while it was read")

// each calls f for every block.
func (p *Plan) each(f func(*ecg.Block) error) error {
	r, err := p.group.Samples()
	if err != nil {
		return err
	}
	var b ecg.Block
	next := int64(0)
	for {
		if err := r.Next(&b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if b.Start != next || len(b.Counts) != len(p.group.Leads) {
			return errChanged
		}
		next += int64(b.Len)
		if err := f(&b); err != nil {
			return err
		}
	}
}

// Bounds of a data record: the format recommends at most 61440 bytes, and readers show records of about a
// second.
const (
	maxRecordBytes = 61440
	maxSeconds     = 60
)

// cut chooses the length of a data record: near a second, said exactly in eight characters, and such that
// the last record is full.
func (p *Plan) cut() error {
	rate := p.group.Rate
	second := rate.Float64()
	most := min(int64(maxRecordBytes/2/len(p.leads)), int64(second*maxSeconds)+1)
	exact := func(n int64) bool {
		d, _ := ecg.Int(n).Quo(rate)
		s := d.String()
		return len(s) <= field && decimalText(s)
	}
	distance := func(n int64) float64 { return math.Abs(math.Log(float64(n) / second)) }
	best := int64(0)
	for n := int64(1); n <= min(most, p.length); n++ {
		if p.length%n == 0 && (n == p.length || distance(n) < math.Log(20)) && (best == 0 || distance(n) < distance(best)) && exact(n) {
			best = n
		}
	}
	for near, k := min(most, max(1, int64(second))), int64(0); best == 0 && k < near; k++ {
		if exact(near - k) {
			best = near - k
		} else if near+k <= most && exact(near+k) {
			best = near + k
		}
	}
	if best == 0 { // no duration is exact
		best = max(1, min(most, int64(math.Round(second))))
		p.warn(WarnRounded, "rate")
	}
	p.perRecord = best
	p.duration, _ = ecg.Int(best).Quo(rate)
	p.records = (p.length + best - 1) / best
	if p.length%best != 0 {
		p.warn(WarnPadded, "")
	}
	if p.records > 99_999_999 {
		return reject.New(reject.TooLarge, op, "%d data records", p.records)
	}
	return nil
}

func (p *Plan) recordBytes() int64 { return 2*p.perRecord*int64(len(p.leads)) + int64(p.noteBytes) }

// WriteTo writes the file, p.Size bytes. It implements io.WriterTo.
func (p *Plan) WriteTo(w io.Writer) (int64, error) {
	c := &counter{w: w}
	err := p.write(c)
	return c.n, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

func (p *Plan) write(w io.Writer) error {
	if _, err := w.Write(p.head); err != nil {
		return err
	}
	record := make([]byte, p.recordBytes())
	at, done, note := int64(0), int64(0), 0
	flush := func() error {
		note = p.annotate(record[2*p.perRecord*int64(len(p.leads)):], done, note)
		done++
		at = 0
		_, err := w.Write(record)
		return err
	}
	seen := int64(0)
	err := p.each(func(b *ecg.Block) error {
		if seen += int64(b.Len); seen > p.length {
			return errChanged
		}
		for j := 0; j < b.Len; {
			n := min(b.Len-j, int(p.perRecord-at))
			for k, lead := range p.leads {
				e := &p.scales[k]
				out := record[2*(int64(k)*p.perRecord+at):]
				for i := range n {
					v := e.digMin
					if !b.IsMissing(lead, j+i) {
						if v = stored(*e, int64(b.Counts[lead][j+i])); v < math.MinInt16 || v > math.MaxInt16 {
							return errChanged
						}
					}
					out[2*i], out[2*i+1] = byte(v), byte(v>>8)
				}
			}
			j, at = j+n, at+int64(n)
			if at == p.perRecord {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if seen != p.length {
		return errChanged
	}
	if at == 0 {
		return nil
	}
	for k := range p.leads { // the last record goes on with what stands for nothing
		for i := at; i < p.perRecord; i++ {
			out := record[2*(int64(k)*p.perRecord+i):]
			out[0], out[1] = byte(p.scales[k].digMin), byte(p.scales[k].digMin>>8)
		}
	}
	return flush()
}

// annotate fills the annotation signal of a data record: its own time first, then as many notes as fit.
func (p *Plan) annotate(out []byte, record int64, note int) int {
	clear(out)
	n := copy(out, "+"+seconds(p.fraction.Add(p.duration.Mul(ecg.Int(record))))+"\x14\x14\x00")
	for note < len(p.notes) && n+len(p.notes[note]) <= len(out) {
		n += copy(out[n:], p.notes[note])
		note++
	}
	return note
}

// seconds is a time of an annotation, to the nanosecond where it is no short decimal.
func seconds(r ecg.Rat) string {
	if s := r.String(); len(s) <= 24 && decimalText(s) {
		return s
	}
	return strconv.FormatFloat(r.Float64(), 'f', 9, 64)
}

// dateText is dd-MMM-yyyy of EDF+.
func dateText(t time.Time) string {
	return strings.ToUpper(t.Format("02-Jan-2006"))
}

// pad returns s in n characters of ASCII.
func pad(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return fmt.Sprintf("%-*s", n, s)
}
