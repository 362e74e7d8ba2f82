package scpecg

import (
	"sort"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "scpecg.Decode"

// decoder is one record on its way to a Recording.
type decoder struct {
	src ecg.Source
	lim ecg.Limits
	rec *ecg.Recording

	sections map[int]section
	broken   map[int]int64 // sections that lie outside the file, with the offset that was stated
	walked   map[int]section
	budget   int64 // bytes that CRCs may still be computed of

	text      textReader
	header    header
	leads     []leadRange
	flags     int      // of section 3
	tables    []*table // of section 2; nil: samples are raw
	beats     beats    // of section 4
	reference *reference
	rhythm    int // index of the rhythm group; -1 without
	median    int
}

// Decode reads an SCP-ECG record. It refuses with Truncated when a section that the waveform needs lies
// outside the file, with TooManyElements when more samples are stated than lim allows, and with Malformed for
// what is no record, a code outside the Huffman tables, or a residual whose reference beat is missing.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	d := &decoder{
		src: src, lim: lim.Fill(), rec: &ecg.Recording{Format: sniff.SCPECG},
		sections: map[int]section{}, broken: map[int]int64{}, rhythm: -1, median: -1,
	}
	for _, step := range []func() error{
		d.open, d.section1, d.section2, d.section3, d.section4, d.section5, d.section6, d.section12,
		d.section7, d.section10, d.section8, d.section11,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if len(d.rec.Groups) == 0 {
		if _, ok := d.sections[1]; !ok {
			return nil, reject.New(reject.Malformed, op, "neither patient nor waveform")
		}
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	d.unread()
	return d.rec, nil
}

// newer names the sections that version 3 adds and that nothing here reads.
var newer = map[int]string{
	9: "maker's statements", 13: "protocol-based recordings", 14: "selected sequences",
	15: "measurements beat by beat", 16: "measurements of selected beats", 17: "pacemaker spikes", 18: "annotations",
}

// unread warns of every section that is there and is not read.
func (d *decoder) unread() {
	var ids []int
	for id := range d.sections {
		if id == 9 || id > 12 {
			ids = append(ids, id)
		}
	}
	sort.Ints(ids)
	for _, id := range ids {
		if d.sections[id].length == sectionHead {
			continue
		}
		text := where(id)
		if name, ok := newer[id]; ok {
			text += ": " + name
		}
		d.rec.Warn(ecg.WarnUnsupportedPart, text)
	}
}

// annotate adds an annotation while there is room.
func (d *decoder) annotate(a ecg.Annotation) {
	if len(d.rec.Annotations) >= d.lim.Annotations {
		d.rec.Warn(ecg.WarnAnnotationsCut, "annotations")
		return
	}
	d.rec.Annotations = append(d.rec.Annotations, a)
}

// measure adds a measurement while there is room.
func (d *decoder) measure(m ecg.Measurement, value int, valid bool) {
	if len(d.rec.Measurements) >= d.lim.Annotations {
		d.rec.Warn(ecg.WarnAnnotationsCut, "measurements")
		return
	}
	m.Raw, m.Value, m.Valid = strconv.Itoa(value), ecg.Int(int64(value)), valid
	d.rec.Measurements = append(d.rec.Measurements, m)
}

// rateOf returns the rate of a sampling interval in µs.
func rateOf(interval int64) ecg.Rat { return ecg.Frac(1_000_000, interval) }
