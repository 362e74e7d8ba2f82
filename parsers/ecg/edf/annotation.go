package edf

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// maxAnnotationText bounds the text of all annotations that are kept, bytes: a hundred bytes for each of the
// beats of a day.
const maxAnnotationText = 16 << 20

// run is records without gap between them.
type run struct {
	first, records int64
	onset          int64 // ns after the header's start
}

// readAnnotations reads the annotation signals of every record. It returns the runs of records; without
// annotation signals that is one.
func (d *decoder) readAnnotations() ([]run, error) {
	var lists []signal
	for _, s := range d.signals {
		if s.annotations && s.samples > 0 {
			lists = append(lists, s)
		}
	}
	all := []run{{records: d.records}}
	if len(lists) == 0 || d.records == 0 {
		return all, nil
	}
	t := &timeline{d: d}
	t.step, t.tolerance = d.pace()
	// Small records are read many at a time; of large ones only the annotations.
	if d.record <= 16<<10 {
		per := (256 << 10) / d.record
		buf := make([]byte, per*d.record)
		for k := int64(0); k < d.records; k += per {
			n := min(per, d.records-k)
			if err := readFull(d.src.At, buf[:n*d.record], d.header+k*d.record); err != nil {
				return nil, err
			}
			for i := range n {
				t.record = k + i
				for j, s := range lists {
					from := i*d.record + s.offset
					t.list(buf[from:from+s.samples*d.width], j == 0)
				}
			}
		}
	} else {
		size := int64(0)
		for _, s := range lists {
			size = max(size, s.samples*d.width)
		}
		if size > d.lim.HeaderBytes {
			return nil, reject.New(reject.HeaderTooLarge, op, "annotations of %d bytes in one record", size)
		}
		buf := make([]byte, size)
		for k := range d.records {
			t.record = k
			for j, s := range lists {
				b := buf[:s.samples*d.width]
				if err := readFull(d.src.At, b, d.header+k*d.record+s.offset); err != nil {
					return nil, err
				}
				t.list(b, j == 0)
			}
		}
	}
	if !d.gaps {
		// Records follow one another whatever their stamps say, which some devices write wrong.
		if len(t.runs) > 1 {
			d.rec.Warn(ecg.WarnLayout, "record times")
		}
		if len(t.runs) > 0 {
			all[0].onset = t.runs[0].onset
		}
		t.runs = all
	}
	if len(t.runs) == 0 {
		t.runs = all
	}
	if len(t.runs) > d.lim.Annotations {
		return nil, reject.New(reject.TooManyElements, op, "%d gaps between records", len(t.runs)-1)
	}
	for i := range t.runs {
		d.times = append(d.times, t.runs[i].onset)
	}
	// Annotations count from the start of the first record.
	if first := d.times[0]; first != 0 {
		shift := ecg.Frac(first, 1_000_000)
		for i := range d.rec.Annotations {
			d.rec.Annotations[i].Onset = d.rec.Annotations[i].Onset.Sub(shift)
		}
	}
	return t.runs, nil
}

// pace is a record's duration and half a sample of the fastest signal, ns.
func (d *decoder) pace() (step float64, tolerance int64) {
	step = d.duration.Float64() * 1e9
	fastest := int64(1)
	for _, s := range d.signals {
		if !s.annotations {
			fastest = max(fastest, s.samples)
		}
	}
	return step, max(1000, int64(step/float64(2*fastest)))
}

func readFull(at io.ReaderAt, b []byte, offset int64) error {
	if n, err := at.ReadAt(b, offset); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("edf: read annotations: %w", err)
	}
	return nil
}

// timeline gathers annotations and runs of records.
type timeline struct {
	d         *decoder
	record    int64
	runs      []run
	step      float64
	tolerance int64
	text      int // bytes that were kept
}

// list reads one annotation signal of a record: TALs, each ended by NUL (EDF+ §2.2.2). keeps tells the signal
// whose first TAL is the record's time.
func (t *timeline) list(b []byte, keeps bool) {
	stamped := false
	for len(b) > 0 {
		end := bytes.IndexByte(b, 0)
		if end == 0 {
			b = b[1:]
			continue
		}
		if end < 0 {
			end = len(b)
		}
		tal := b[:end]
		b = b[end:]
		parts := bytes.Split(tal, []byte{0x14})
		onsetText, durationText, _ := bytes.Cut(parts[0], []byte{0x15})
		onset, err := ecg.ParseRat(string(onsetText))
		if err != nil {
			t.d.rec.Warn(ecg.WarnNumber, "annotation")
			continue
		}
		if keeps && !stamped {
			stamped = true
			t.stamp(onset)
		}
		duration, err := ecg.ParseRat(string(durationText))
		if err != nil && len(durationText) > 0 {
			t.d.rec.Warn(ecg.WarnNumber, "annotation")
		}
		for _, text := range parts[1:] {
			if len(text) > 0 {
				t.add(onset, duration, text)
			}
		}
	}
	if keeps && !stamped {
		t.extend()
	}
}

// stamp notes when a record starts, in seconds.
func (t *timeline) stamp(onset ecg.Rat) {
	ns, ok := onset.Pow10(9).Round()
	if !ok || ns > math.MaxInt64/4 || ns < -math.MaxInt64/4 {
		t.d.rec.Warn(ecg.WarnNumber, "record time")
		t.extend()
		return
	}
	if len(t.runs) == 0 {
		t.runs = append(t.runs, run{first: t.record, records: 1, onset: ns})
		return
	}
	last := &t.runs[len(t.runs)-1]
	expected := last.onset + int64(math.Round(float64(last.records)*t.step))
	switch {
	case ns-expected > t.tolerance && len(t.runs) <= t.d.lim.Annotations:
		t.runs = append(t.runs, run{first: t.record, records: 1, onset: ns})
		return
	case expected-ns > t.tolerance:
		t.d.rec.Warn(ecg.WarnLayout, "records overlap in time")
	}
	last.records++
}

// extend takes a record without time as the next.
func (t *timeline) extend() {
	if len(t.runs) == 0 {
		t.runs = append(t.runs, run{first: t.record})
	}
	t.runs[len(t.runs)-1].records++
}

func (t *timeline) add(onset, duration ecg.Rat, raw []byte) {
	rec := t.d.rec
	if len(rec.Annotations) >= t.d.lim.Annotations || t.text > maxAnnotationText {
		rec.Warn(ecg.WarnAnnotationsCut, "")
		return
	}
	if len(raw) > t.d.lim.Text {
		raw = raw[:t.d.lim.Text]
		rec.Warn(ecg.WarnValueCut, "annotation")
	}
	text := decodeText(rec, utf8Text, raw, "annotation")
	t.text += len(text)
	a := ecg.Annotation{Kind: ecg.Event, Group: -1, Onset: onset.Mul(ecg.Int(1000)), Text: text}
	if duration.Sign() > 0 {
		a.Duration = duration.Mul(ecg.Int(1000))
	}
	// "Lights off@@EEG F4-A1" is about one signal.
	if before, label, ok := strings.Cut(text, "@@"); ok {
		if id, _, known := ecg.LeadByName(label); known {
			a.Lead, a.Text = id.Name(), before
		}
	}
	rec.Annotations = append(rec.Annotations, a)
}
