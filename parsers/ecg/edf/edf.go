package edf

import (
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "edf.Decode"

// headBytes is the length of the fixed header and of what follows for each signal.
const headBytes = 256

// maxRecordSeconds bounds the duration of a data record. EDF recommends a second and EDF+ at most 61440 bytes;
// real files go to ten minutes.
const maxRecordSeconds = 86400

type decoder struct {
	src ecg.Source
	lim ecg.Limits
	rec *ecg.Recording

	width    int64 // bytes of a sample: 2, or 3 in BDF
	plus     bool  // EDF+ or BDF+
	gaps     bool  // EDF+D or BDF+D
	duration ecg.Rat
	signals  []signal
	header   int64 // bytes
	record   int64 // bytes
	records  int64
	times    []int64 // start of each run of records, see runs.go
}

// signal is one signal's part of the header.
type signal struct {
	label, transducer, unit, prefilter string
	physMin, physMax, digMin, digMax   string
	samples                            int64 // of a record
	offset                             int64 // bytes in the record
	annotations                        bool
}

// Decode reads an EDF or BDF file. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	d := &decoder{src: src, lim: lim.Fill(), rec: &ecg.Recording{}, width: 2}
	head, err := src.Head(headBytes)
	if err != nil {
		return nil, err
	}
	if len(head) < headBytes {
		return nil, reject.At(reject.Truncated, op, int64(len(head)), "the header has %d bytes, and no fewer than 256 belong there", len(head))
	}
	switch {
	case head[0] == 0xFF && string(head[1:8]) == "BIOSEMI":
		d.rec.Format, d.width = sniff.BDF, 3
	case strings.TrimSpace(string(head[:8])) == "0":
		d.rec.Format = sniff.EDF
	default:
		return nil, reject.At(reject.Malformed, op, 0, "neither EDF nor BDF")
	}
	if err := d.fixed(head); err != nil {
		return nil, err
	}
	if err := d.readSignals(); err != nil {
		return nil, err
	}
	if err := d.extent(head); err != nil {
		return nil, err
	}
	runs, err := d.readAnnotations()
	if err != nil {
		return nil, err
	}
	d.acquired(head)
	d.patient(head[8:88])
	d.recording(head[88:168])
	return d.rec, d.groups(runs)
}

// fixed reads what the fixed header says about the layout.
func (d *decoder) fixed(head []byte) error {
	reserved := strings.TrimSpace(string(head[192:236]))
	d.rec.FormatVersion = string(d.rec.Format)
	switch {
	case len(reserved) >= 5 && (strings.HasPrefix(reserved, "EDF+") || strings.HasPrefix(reserved, "BDF+")):
		d.plus, d.gaps = true, reserved[4] == 'D'
		d.rec.FormatVersion = reserved[:5]
	default:
		d.rec.FormatVersion = map[sniff.Format]string{sniff.EDF: "EDF", sniff.BDF: "BDF"}[d.rec.Format]
	}
	duration, err := ecg.ParseRat(field(head[244:252]))
	if err != nil || duration.Sign() < 0 || duration.Cmp(ecg.Int(maxRecordSeconds)) > 0 {
		return reject.At(reject.Malformed, op, 244, "records of %.8q seconds", field(head[244:252]))
	}
	d.duration = duration
	n, err := strconv.Atoi(field(head[252:256]))
	if err != nil || n < 0 {
		return reject.At(reject.Malformed, op, 252, "%.4q signals", field(head[252:256]))
	}
	if n > d.lim.Leads {
		return reject.At(reject.TooManyElements, op, 252, "%d signals", n)
	}
	d.signals = make([]signal, n)
	d.header = int64(headBytes * (n + 1))
	if stated, err := strconv.ParseInt(field(head[184:192]), 10, 64); err != nil || stated != d.header {
		d.rec.Warn(ecg.WarnHeaderDiffers, "header length")
	}
	return nil
}

// readSignals reads the signals' header: all labels, then all transducers, and so on.
func (d *decoder) readSignals() error {
	n := int64(len(d.signals))
	raw, err := d.src.Bytes(headBytes, headBytes*n)
	if err != nil {
		return err
	}
	at := int64(0)
	column := func(width int64, set func(s *signal, b []byte)) {
		for i := range d.signals {
			set(&d.signals[i], raw[at:at+width])
			at += width
		}
	}
	column(16, func(s *signal, b []byte) { s.label = d.text(b, "label") })
	column(80, func(s *signal, b []byte) { s.transducer = d.text(b, "transducer") })
	column(8, func(s *signal, b []byte) { s.unit = d.unit(b) })
	column(8, func(s *signal, b []byte) { s.physMin = field(b) })
	column(8, func(s *signal, b []byte) { s.physMax = field(b) })
	column(8, func(s *signal, b []byte) { s.digMin = field(b) })
	column(8, func(s *signal, b []byte) { s.digMax = field(b) })
	column(80, func(s *signal, b []byte) { s.prefilter = d.text(b, "prefilter") })
	var bad error
	column(8, func(s *signal, b []byte) {
		count, err := strconv.ParseInt(field(b), 10, 64)
		if err != nil || count < 0 {
			bad = reject.New(reject.Malformed, op, "a signal with %.8q samples in a record", field(b))
			return
		}
		s.samples, s.offset = count, d.record
		d.record += count * d.width // at most 256 × 10⁸ × 3
		s.annotations = strings.HasSuffix(s.label, "DF Annotations") && len(s.label) == len("EDF Annotations")
		d.plus = d.plus || s.annotations
		if !s.annotations && count > 0 && d.duration.IsZero() {
			bad = reject.At(reject.Malformed, op, 244, "records of no duration have samples")
		}
	})
	return bad
}

// extent tells how many records there are.
func (d *decoder) extent(head []byte) error {
	stated, err := strconv.ParseInt(field(head[236:244]), 10, 64)
	if err != nil {
		return reject.At(reject.Malformed, op, 236, "%.8q records", field(head[236:244]))
	}
	if d.record == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
		return nil
	}
	data := d.src.Size - d.header
	d.records = data / d.record
	switch rest := data % d.record; {
	case stated == d.records && rest > 0:
		d.rec.Warn(ecg.WarnTrailingBytes, "")
	case stated > d.records:
		d.rec.Warn(ecg.WarnTruncated, "")
	case rest > 0:
		d.rec.Warn(ecg.WarnTruncated, "") // a recorder that lost power within a record
	}
	if stated != d.records {
		d.rec.Warn(ecg.WarnLengthDiffers, "")
	}
	return nil
}

// Character sets: headers are ASCII, annotations UTF-8, and neither can be relied on.
var (
	undeclared = charset.Parse("")
	utf8Text   = charset.Parse("ISO_IR 192")
)

// field is a numeric field.
func field(b []byte) string { return strings.Trim(string(b), " \x00") }

// text is a field of text.
func (d *decoder) text(b []byte, where string) string {
	return decodeText(d.rec, undeclared, b, where)
}

func decodeText(rec *ecg.Recording, set *charset.Set, b []byte, where string) string {
	s, note := set.Decode(b, "UT")
	switch {
	case note&charset.Replaced != 0:
		rec.Warn(ecg.WarnTextReplaced, where)
	case note&charset.Repaired != 0:
		rec.Warn(ecg.WarnTextRepaired, where)
	}
	return strings.Trim(s, " \x00\t\r\n")
}

// unit is a unit's field: "µV" may have its first letter in Latin-1, GBK or UTF-8.
func (d *decoder) unit(b []byte) string {
	s := field(b)
	if _, ok := ecg.VoltageScale(s); ok {
		return s
	}
	if strings.HasSuffix(s, "V") && len(s) == 3 && s[0] >= 0x80 {
		return "uV" // A6 CC in GBK, or another two bytes for the letter
	}
	return d.text(b, "unit")
}
