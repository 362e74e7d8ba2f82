package wfdb

import (
	"path"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "wfdb.Decode"

// Bounds of what a record may unfold into (docs/decisions/0015-wfdb.md): samples for each byte of its signal
// files, missing ones included, above ecg.Limits.Samples.
const (
	maxUnfold  = 2048 // of a FLAC file; a lead that is off compresses to a thousandth
	maxStretch = 32   // of other files, for gaps between segments
)

// maxSignals bounds the signal lines of all segments together.
const maxSignals = 200_000

type decoder struct {
	src ecg.Source
	lim ecg.Limits
	rec *ecg.Recording
}

// span is a part of the time line: a unit's frames, or a gap.
type span struct {
	start, frames int64
	unit          *unit
}

// Decode reads a WFDB record. src is the header; signal files, segments and annotations are its Parts. It is an
// ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	d := &decoder{src: src, lim: lim.Fill(), rec: &ecg.Recording{Format: sniff.WFDBHeader}}
	h, err := d.header(src.File)
	if err != nil {
		return nil, err
	}
	d.rec.DocumentID = h.name
	d.acquired(h)
	var spans []span
	var layout *header
	if h.segmented {
		spans, layout, err = d.segments(h)
	} else {
		var u *unit
		if u, err = openUnit(h, src, d.rec); err == nil {
			spans, layout = []span{{0, u.length, u}}, h
		}
	}
	if err != nil {
		return nil, err
	}
	if err := d.bounds(spans, layout); err != nil {
		return nil, err
	}
	budget := int64(maxVerified)
	verified := map[*unit]bool{}
	for _, s := range spans {
		if s.unit != nil && !verified[s.unit] {
			verified[s.unit] = true
			if err := s.unit.verify(d.rec, &budget); err != nil {
				return nil, err
			}
		}
	}
	if err := d.groups(spans, layout, h.segmented); err != nil {
		return nil, err
	}
	d.comments(h.comments)
	if layout != h && layout != nil {
		d.comments(layout.comments)
	}
	return d.rec, d.annotations(h)
}

func (d *decoder) header(f ecg.File) (*header, error) {
	if f.Size > min(maxHeaderBytes, d.lim.HeaderBytes) {
		return nil, reject.New(reject.HeaderTooLarge, op, "a header of %d bytes", f.Size)
	}
	text, err := f.Bytes(0, f.Size)
	if err != nil {
		return nil, err
	}
	return parseHeader(text, d.lim, d.rec)
}

// segments reads the headers of a multi-segment record. The layout is the header with all signals: the first
// segment of length 0, or in fixed layout any segment.
func (d *decoder) segments(h *header) (spans []span, layout *header, err error) {
	known := map[string]*unit{}
	signals := 0
	at := int64(0)
	variable := false
	for i, ref := range h.segments {
		if ref.name == "~" {
			spans = append(spans, span{at, ref.frames, nil})
			at += ref.frames
			continue
		}
		u := known[ref.name]
		if u == nil {
			part, ok := d.src.Part(ref.name + ".hea")
			if !ok {
				d.rec.Warn(ecg.WarnCompanionMissing, "segment header")
				spans = append(spans, span{at, ref.frames, nil})
				at += ref.frames
				continue
			}
			sh, err := d.header(part)
			if err != nil {
				return nil, nil, err
			}
			if sh.segmented {
				return nil, nil, reject.New(reject.TooDeep, op, "a segment that has segments")
			}
			if !sh.rate.Equal(h.rate) {
				d.rec.Warn(ecg.WarnRateDiffers, "segment")
			}
			if signals += len(sh.signals); signals > maxSignals {
				return nil, nil, reject.New(reject.TooManyElements, op, "%d signals in segments", signals)
			}
			if u, err = openUnit(sh, d.src, d.rec); err != nil {
				return nil, nil, err
			}
			known[ref.name] = u
		}
		if ref.frames == 0 && i == 0 {
			layout, variable = u.header, true
			continue
		}
		if u.skew > 0 {
			d.rec.Warn(ecg.WarnUnsupportedPart, "skew in segments")
		}
		if ref.frames > u.length {
			d.rec.Warn(ecg.WarnTruncated, "segment")
			spans = append(spans, span{at, u.length, u}, span{at + u.length, ref.frames - u.length, nil})
		} else {
			spans = append(spans, span{at, ref.frames, u})
		}
		at += ref.frames
		if at < 0 || at > 1<<50 {
			return nil, nil, reject.New(reject.TooManyElements, op, "segments of %d samples", at)
		}
		if !variable && layout == nil {
			layout = u.header
		}
	}
	if h.frames >= 0 && h.frames != at {
		d.rec.Warn(ecg.WarnLengthDiffers, "")
	}
	return spans, layout, nil
}

// bounds holds the time line against the bytes that carry it.
func (d *decoder) bounds(spans []span, layout *header) error {
	if layout == nil {
		return nil
	}
	budget := d.lim.Samples
	seen := map[string]bool{}
	frames := int64(0)
	for _, s := range spans {
		frames += s.frames
		if frames < 0 || frames > 1<<50 {
			return reject.New(reject.TooManyElements, op, "%d samples", frames)
		}
		if s.unit == nil {
			continue
		}
		for _, f := range s.unit.files {
			if seen[f.Name] {
				continue
			}
			seen[f.Name] = true
			if isFLAC(f.format) {
				budget += min(f.Size, 1<<40) * maxUnfold * int64(len(f.members))
			} else {
				budget += f.Size * maxStretch
			}
		}
	}
	perFrame := int64(0)
	for i := range layout.signals {
		perFrame += int64(layout.signals[i].perFrame)
	}
	if perFrame > 0 && frames > budget/perFrame {
		return reject.New(reject.TooManyElements, op, "%d samples of %d signals", frames, len(layout.signals))
	}
	return nil
}

// acquired reads the base time and date: "8:26:04.250 26/10/1994", of which the date may be absent.
func (d *decoder) acquired(h *header) {
	raw := strings.TrimSpace(h.time + " " + h.date)
	if raw == "" {
		return
	}
	d.rec.Acquired = ecg.Time{Raw: raw}
	if h.date == "" {
		return // a clock without a day
	}
	day := strings.Split(h.date, "/")
	if len(day) != 3 || len(day[2]) != 4 {
		d.rec.Warn(ecg.WarnTime, "base date")
		return
	}
	pad := func(s string) string {
		if len(s) == 1 {
			return "0" + s
		}
		return s
	}
	clock := strings.Split(h.time, ":")
	for len(clock) < 3 { // seconds alone, or minutes and seconds
		clock = append([]string{"0"}, clock...)
	}
	seconds, fraction, _ := strings.Cut(clock[2], ".")
	text := day[2] + "-" + pad(day[1]) + "-" + pad(day[0]) + "T" + pad(clock[0]) + ":" + pad(clock[1]) + ":" + pad(seconds)
	if fraction != "" {
		text += "." + fraction
	}
	t := ecg.ParseTime(text)
	if !t.Valid() || t.ZoneKnown {
		d.rec.Warn(ecg.WarnTime, "base time")
		return
	}
	t.Raw = raw
	d.rec.Acquired = t
}

// base is the name that companions share: that of the file, or of the record where the file has none.
func (d *decoder) base(h *header) string {
	if name := strings.TrimSuffix(d.src.Name, path.Ext(d.src.Name)); name != "" {
		return name
	}
	return h.name
}
