package web

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"sort"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

const (
	// ecgWindow is the most samples of one window, over all leads: 4 MiB of counts. Twelve leads of a minute and a half
	// at 1000 Hz; a page of paper is ten seconds.
	ecgWindow = 1 << 20

	// ecgWindowMemory is what all windows that are being sent hold, bytes.
	ecgWindowMemory = 64 << 20
)

var (
	errECGQuery = &failure{http.StatusBadRequest, "ecg.error.query", "ecg.error.query.text"}
	errECGGroup = &failure{http.StatusNotFound, "ecg.error.group", "ecg.error.group.text"}
	errECGRange = &failure{http.StatusRequestedRangeNotSatisfiable, "ecg.error.range", "ecg.error.range.text"}
)

// ecgStretch is a run of a group's time line.
type ecgStretch struct {
	group       int
	from, count int64 // samples of each lead
}

// ecgWhole reads a parameter that is a whole number from 0 on. One that is missing is fallback; one that comes twice is
// none.
func ecgWhole(q url.Values, key string, fallback int64) (int64, error) {
	values, ok := q[key]
	if !ok {
		return fallback, nil
	}
	if len(values) != 1 || len(values[0]) == 0 || len(values[0]) > 18 {
		return 0, errECGQuery
	}
	n := int64(0)
	for _, c := range []byte(values[0]) {
		if c < '0' || c > '9' {
			return 0, errECGQuery
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

// ecgGroup reads the parameter group.
func ecgGroup(q url.Values, rec *ecg.Recording) (int, error) {
	n, err := ecgWhole(q, "group", 0)
	if err != nil {
		return 0, err
	}
	if n >= int64(len(rec.Groups)) {
		return 0, errECGGroup
	}
	return int(n), nil
}

// parseECGStretch reads group, from and count. A count beyond the group's end ends there; one beyond ecgWindow is an
// error, so that no client takes a part for the whole.
func parseECGStretch(q url.Values, rec *ecg.Recording) (s ecgStretch, err error) {
	if s.group, err = ecgGroup(q, rec); err != nil {
		return s, err
	}
	g := rec.Groups[s.group]
	if s.from, err = ecgWhole(q, "from", 0); err != nil {
		return s, err
	}
	if s.count, err = ecgWhole(q, "count", ecgWindowOf(g)); err != nil {
		return s, err
	}
	switch {
	case s.count < 1 || s.count > ecgWindowOf(g):
		return s, errECGQuery
	case s.from >= g.Length:
		return s, errECGRange
	}
	s.count = min(s.count, g.Length-s.from)
	return s, nil
}

// ecgWindowOf is how many samples of each lead of a group one window has at most.
func ecgWindowOf(g *ecg.Group) int64 { return ecgWindow / int64(max(1, len(g.Leads))) }

// ecgCounts are the samples of a stretch: [lead][sample].
type ecgCounts struct {
	counts  [][]int32
	missing [][]bool // nil for a lead that misses none
	wide    bool     // a count needs more than 16 bits
}

// readECG reads a stretch. What the source does not have any more is missing.
func readECG(g *ecg.Group, s ecgStretch) (*ecgCounts, error) {
	out := &ecgCounts{counts: make([][]int32, len(g.Leads)), missing: make([][]bool, len(g.Leads))}
	for i := range out.counts {
		out.counts[i] = make([]int32, s.count)
	}
	miss := func(lead int, at int64) {
		if out.missing[lead] == nil {
			out.missing[lead] = make([]bool, s.count)
		}
		out.missing[lead][at] = true
	}
	have := s.from // up to where samples were read
	err := eachECGBlock(g, s.from, func(b *ecg.Block) (bool, error) {
		from, to := max(s.from, b.Start), min(s.from+s.count, b.Start+int64(b.Len))
		for lead := range min(len(out.counts), len(b.Counts)) {
			for at := from; at < to; at++ {
				j := int(at - b.Start)
				if b.IsMissing(lead, j) {
					miss(lead, at-s.from)
					continue
				}
				v := b.Counts[lead][j]
				out.counts[lead][at-s.from] = v
				out.wide = out.wide || v > math.MaxInt16 || v < math.MinInt16
			}
		}
		have = max(have, to)
		return have < s.from+s.count, nil
	})
	if err != nil {
		return nil, err
	}
	for lead := range out.counts {
		for at := have; at < s.from+s.count; at++ {
			miss(lead, at-s.from)
		}
	}
	return out, nil
}

// eachECGBlock calls fn with blocks from a sample on, or from before it, until fn wants no more or there is no more.
func eachECGBlock(g *ecg.Group, from int64, fn func(*ecg.Block) (bool, error)) error {
	r, err := g.Samples()
	if errors.Is(err, ecg.ErrNoSamples) {
		return nil
	} else if err != nil {
		return err
	}
	if s, ok := r.(ecg.Skipper); ok && from > 0 {
		if err := s.SkipTo(from); err != nil {
			return err
		}
	}
	var b ecg.Block
	for end := int64(-1); ; {
		if err := r.Next(&b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		next := b.Start + int64(b.Len)
		if next <= end {
			return io.ErrNoProgress
		}
		end = next
		if next <= from {
			continue
		}
		if more, err := fn(&b); err != nil || !more {
			return err
		}
	}
}

// samples sends a window of a group: docs/pages.md has its layout.
//
//	0   4  "ECGW"
//	4   4  leads
//	8   4  samples of each lead
//	12  4  bytes of a sample: 2, or 4 where a count needs them
//	16  8  first sample on the group's time line
//	24  n  for each lead 1 where it misses samples, else 0; zeros to a multiple of 4
//	…      counts, signed, [lead][sample]; each lead padded to a multiple of 4
//	…      for each lead that misses samples a bit for each, from the least of each byte on: 1 is missing
//
// All numbers are little-endian. Counts are as stored: value = count × scale + baseline, as /recording tells.
func (e *ecgPages) samples(w http.ResponseWriter, r *http.Request, rec *ecgRecord) error {
	s, err := parseECGStretch(r.URL.Query(), rec.Recording)
	if err != nil {
		return err
	}
	g := rec.Groups[s.group]
	need := s.count*int64(len(g.Leads))*5 + ecg.BlockSamples*int64(len(g.Leads))*5
	if err := e.memory.Acquire(r.Context(), min(need, ecgWindowMemory)); err != nil {
		return err
	}
	defer e.memory.Release(min(need, ecgWindowMemory))
	c, err := readECG(g, s)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(c.size(), 10))
	if r.Method == http.MethodHead {
		return nil
	}
	_ = c.write(w, s.from) // the client may be gone
	return nil
}

func (c *ecgCounts) width() int {
	if c.wide {
		return 4
	}
	return 2
}

func padded(n int64) int64 { return (n + 3) &^ 3 }

// size returns how many bytes write writes.
func (c *ecgCounts) size() int64 {
	leads, n := int64(len(c.counts)), int64(0)
	if leads > 0 {
		n = int64(len(c.counts[0]))
	}
	total := 24 + padded(leads) + leads*padded(n*int64(c.width()))
	for _, m := range c.missing {
		if m != nil {
			total += (n + 7) / 8
		}
	}
	return total
}

func (c *ecgCounts) write(w io.Writer, from int64) error {
	out := bufio.NewWriterSize(w, 64<<10)
	leads, n := len(c.counts), 0
	if leads > 0 {
		n = len(c.counts[0])
	}
	head := append(make([]byte, 0, 64), "ECGW"...)
	for _, v := range []int{leads, n, c.width()} {
		head = binary.LittleEndian.AppendUint32(head, uint32(v))
	}
	head = binary.LittleEndian.AppendUint64(head, uint64(from))
	for _, m := range c.missing {
		if m != nil {
			head = append(head, 1)
		} else {
			head = append(head, 0)
		}
	}
	for len(head)%4 != 0 {
		head = append(head, 0)
	}
	out.Write(head) //nolint:errcheck // Flush tells
	var word [4]byte
	for _, counts := range c.counts {
		for _, v := range counts {
			binary.LittleEndian.PutUint32(word[:], uint32(v))
			out.Write(word[:c.width()]) //nolint:errcheck // Flush tells
		}
		if !c.wide && n%2 != 0 {
			out.Write([]byte{0, 0}) //nolint:errcheck // Flush tells
		}
	}
	for _, m := range c.missing {
		if m == nil {
			continue
		}
		bits := make([]byte, (n+7)/8)
		for i, is := range m {
			if is {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		out.Write(bits) //nolint:errcheck // Flush tells
	}
	return out.Flush()
}

// ecgSpikesAtOnce bounds one answer of spikes: a paced heart has two a beat.
const ecgSpikesAtOnce = 4000

// spikes sends the pacemaker's spikes from one time to another, ms on the recording's time line: [[ms, lead], …].
func (e *ecgPages) spikes(w http.ResponseWriter, r *http.Request, rec *ecgRecord) error {
	q := r.URL.Query()
	from, err := ecgWhole(q, "from", 0)
	if err != nil {
		return err
	}
	to, err := ecgWhole(q, "to", math.MaxInt64)
	if err != nil {
		return err
	}
	all := rec.spikes
	first := sort.Search(len(all), func(i int) bool { return all[i].millis >= float64(from) })
	out := [][2]any{}
	for _, s := range all[first:] {
		if s.millis >= float64(to) || len(out) == ecgSpikesAtOnce {
			break
		}
		out = append(out, [2]any{s.millis, s.lead})
	}
	sendECG(w, http.StatusOK, out)
	return nil
}
