package dicomecg

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// wave is a group as it is to be written: one item of Waveform Sequence.
type wave struct {
	group *ecg.Group
	index int   // in Recording.Groups
	order []int // leads by channel
	count int64 // samples of each channel, as the group's reader gave them
	leads []leadSurvey

	wide    bool // 32 bits
	padded  bool
	padding int32

	head []byte // of the item, up to Waveform Data
}

// leadSurvey is what a pass over the samples of a lead told.
type leadSurvey struct {
	any      bool // has a sample at all
	min, max int32
	edge     [len(edges16)]bool // edges16 among the samples
	missing  bool
	gaps     []gap
	moreGaps bool
}

// gap is a run of missing samples, [from, to).
type gap struct{ from, to int64 }

// edges16 and edges32 may serve as Waveform Padding Value, in this order. 0 and its neighbours may not:
// readers that know of no padding would draw a line through the ECG.
var (
	edges16 = [...]int32{math.MinInt16, math.MaxInt16, math.MinInt16 + 1, math.MaxInt16 - 1}
	edges32 = [...]int32{math.MinInt32, math.MaxInt32}
)

// maxGaps bounds the runs of missing samples of a lead that are told in an annotation.
const maxGaps = 500

// ours reports whether a lead was computed by us from stored ones.
func ours(l *ecg.Lead) bool { return l.Derived && strings.HasPrefix(l.DerivedBy, "tributary") }

// survey reads a group once: how large its counts are and where samples are missing. It returns nil for a
// group that has none.
func survey(g *ecg.Group, index int, storedOnly bool) (*wave, error) {
	w := &wave{group: g, index: index, leads: make([]leadSurvey, len(g.Leads))}
	for i := range g.Leads {
		if !storedOnly || !ours(&g.Leads[i]) {
			w.order = append(w.order, i)
		}
	}
	place := func(i int) int {
		if n := leadOrder[g.Leads[i].Name]; n > 0 {
			return n
		}
		return len(leadOrder) + 1
	}
	slices.SortStableFunc(w.order, func(a, b int) int { return place(a) - place(b) })
	r, err := g.Samples()
	if errors.Is(err, ecg.ErrNoSamples) {
		return nil, nil //nolint:nilnil // a description without waveform
	} else if err != nil {
		return nil, err
	}
	var b ecg.Block
	for {
		if err := r.Next(&b); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		if b.Start != w.count || len(b.Counts) != len(g.Leads) || b.Len <= 0 {
			return nil, reject.New(reject.Internal, op, "group %d: a block of %d samples at %d after %d", index, b.Len, b.Start, w.count)
		}
		for i := range b.Counts {
			w.leads[i].add(b.Counts[i][:b.Len], b.Missing[i], b.Start)
		}
		w.count += int64(b.Len)
	}
	if w.count == 0 || len(w.order) == 0 {
		return nil, nil //nolint:nilnil // nothing to write
	}
	return w, nil
}

func (s *leadSurvey) add(counts []int32, missing []bool, at int64) {
	lo, hi := s.min, s.max
	if !s.any {
		lo, hi = math.MaxInt32, math.MinInt32
	}
	for i, v := range counts {
		if missing != nil && missing[i] {
			s.miss(at + int64(i))
			continue
		}
		lo, hi = min(lo, v), max(hi, v)
		if v <= edges16[2] || v >= edges16[3] {
			for e, edge := range edges16 {
				s.edge[e] = s.edge[e] || v == edge
			}
		}
		s.any = true
	}
	if s.any {
		s.min, s.max = lo, hi
	}
}

func (s *leadSurvey) miss(at int64) {
	s.missing = true
	switch n := len(s.gaps); {
	case n > 0 && s.gaps[n-1].to == at && !s.moreGaps:
		s.gaps[n-1].to++
	case n < maxGaps:
		s.gaps = append(s.gaps, gap{at, at + 1})
	default:
		s.moreGaps = true
	}
}

// fits16 reports whether all samples have a place in 16 bits.
func (s *leadSurvey) fits16() bool {
	return !s.any || s.min >= math.MinInt16 && s.max <= math.MaxInt16
}

// settle decides on bits and padding. Leads that we derived and that alone need more than 16 bits are left
// out: few archives show 32-bit ECGs, and every viewer can compute what is missing.
func (w *wave) settle(warn func(ecg.WarningCode, string)) {
	storedFit := true
	for _, i := range w.order {
		storedFit = storedFit && (ours(&w.group.Leads[i]) || w.leads[i].fits16())
	}
	if storedFit {
		fit := slices.DeleteFunc(slices.Clone(w.order), func(i int) bool { return !w.leads[i].fits16() })
		switch {
		case len(fit) == 0:
			storedFit = false // derived leads alone, which are all there is
		case len(fit) < len(w.order):
			w.order = fit
			warn(WarnDerivedLeft, "group "+strconv.Itoa(w.index))
		}
	}
	if len(w.order) > maxChannels {
		stored := slices.DeleteFunc(slices.Clone(w.order), func(i int) bool { return ours(&w.group.Leads[i]) })
		if len(stored) > 0 { // derived leads alone are too many for any class, and refused as such
			w.order = stored
			warn(WarnDerivedLeft, "group "+strconv.Itoa(w.index))
		}
	}
	w.wide = !storedFit
	for _, i := range w.order {
		w.padded = w.padded || w.leads[i].missing
	}
	if !w.padded || w.wide {
		return
	}
	for e, edge := range edges16 {
		if !slices.ContainsFunc(w.order, func(i int) bool { return w.leads[i].edge[e] }) {
			w.padding = edge
			return
		}
	}
	w.wide = true
}

// pad32 chooses the padding of a group that is written in 32 bits.
func (w *wave) pad32() error {
	w.wide = true
	if !w.padded {
		return nil
	}
	for _, edge := range edges32 {
		if !slices.ContainsFunc(w.order, func(i int) bool { return w.leads[i].any && (w.leads[i].min == edge || w.leads[i].max == edge) }) {
			w.padding = edge
			return nil
		}
	}
	return reject.New(reject.UnsupportedFormat, op, "group %d has missing samples, and samples of every value that could stand for them", w.index)
}

func (w *wave) sampleBytes() int {
	if w.wide {
		return 4
	}
	return 2
}

// dataBytes is the length of Waveform Data.
func (w *wave) dataBytes() int64 { return w.count * int64(len(w.order)) * int64(w.sampleBytes()) }

// write streams Waveform Data: samples interleaved by channel (PS3.3 §C.10.9.1.7).
func (w *wave) write(out io.Writer) error {
	r, err := w.group.Samples()
	if err != nil {
		return err
	}
	var b ecg.Block
	var buf []byte
	done := int64(0)
	channels, size := len(w.order), w.sampleBytes()
	for {
		if err := r.Next(&b); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if b.Start != done || len(b.Counts) != len(w.leads) || int64(b.Len) > w.count-done {
			return errChanged
		}
		n := b.Len * channels * size
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		for c, lead := range w.order {
			if err := w.interleave(buf[c*size:], channels*size, b.Counts[lead][:b.Len], b.Missing[lead]); err != nil {
				return err
			}
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
		done += int64(b.Len)
	}
	if done != w.count {
		return errChanged
	}
	return nil
}

// interleave puts a channel's samples at every stride'th byte of buf.
func (w *wave) interleave(buf []byte, stride int, counts []int32, missing []bool) error {
	at := 0
	for i, v := range counts {
		if missing != nil && missing[i] {
			if !w.padded {
				return errChanged
			}
			v = w.padding
		} else if w.padded && v == w.padding {
			return errChanged
		}
		buf[at], buf[at+1] = byte(v), byte(v>>8)
		if w.wide {
			buf[at+2], buf[at+3] = byte(v>>16), byte(v>>24)
		} else if v != int32(int16(v)) {
			return errChanged
		}
		at += stride
	}
	return nil
}

// errChanged says that the second pass over the samples was not like the first.
var errChanged = fmt.Errorf("%s: the recording changed while it was read", op)
