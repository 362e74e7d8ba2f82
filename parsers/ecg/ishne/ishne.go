package ishne

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ishne.Decode"

// Places in the file, bytes from its start.
const (
	atCRC        = 8
	atVarSize    = 10
	atSamples    = 14
	atVarOffset  = 18
	atData       = 22
	atVersion    = 26
	atFirst      = 28
	atLast       = 68
	atID         = 108
	atSex        = 128
	atRace       = 130
	atBirth      = 132
	atRecorded   = 138
	atStart      = 150
	atLeads      = 156
	atSpecs      = 158
	atQuality    = 182
	atResolution = 206
	atPacemaker  = 230
	atRecorder   = 232
	atRate       = 272
	fixedEnd     = 522
)

const (
	maxLeads       = 12
	unused         = -9
	missing        = -32768
	fullDisclosure = 600 // s: what is longer is a Holter
)

// leadNames are canonical names by ISHNE's numbers; 0 is unknown, 1 a bipolar lead that has no name.
var leadNames = [...]string{
	2: "X", 3: "Y", 4: "Z", 5: "I", 6: "II", 7: "III", 8: "aVR", 9: "aVL", 10: "aVF",
	11: "V1", 12: "V2", 13: "V3", 14: "V4", 15: "V5", 16: "V6", 17: "ES", 18: "AS", 19: "AI",
}

type decoder struct {
	src  ecg.Source
	lim  ecg.Limits
	rec  *ecg.Recording
	head []byte // fixedEnd bytes
	rate ecg.Rat
}

// Decode reads an ISHNE recording, and the annotations that came with it: the companion of the same name with
// ".ann", or the only one that is an annotation file. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	d, err := open(src, lim, "ISHNE1.0", sniff.ISHNE)
	if err != nil {
		return nil, err
	}
	if err := d.group(); err != nil {
		return nil, err
	}
	return d.rec, d.companion()
}

// DecodeAnnotations reads an annotation file without its recording: who and when, and the beats. It is an
// ecg.Decoder.
func DecodeAnnotations(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	d, err := open(src, lim, "ANN  1.0", sniff.ISHNEAnn)
	if err != nil {
		return nil, err
	}
	d.rec.Warn(ecg.WarnCompanionMissing, "samples")
	d.rec.Warn(ecg.WarnNoWaveform, "")
	return d.rec, annotations(d.rec, d.src.File, -1, d.rate, d.lim)
}

func open(src ecg.Source, lim ecg.Limits, magic string, format sniff.Format) (*decoder, error) {
	d := &decoder{src: src, lim: lim.Fill(), rec: &ecg.Recording{Format: format}}
	head, err := src.Head(fixedEnd)
	if err != nil {
		return nil, err
	}
	if len(head) < fixedEnd {
		return nil, reject.At(reject.Truncated, op, int64(len(head)), "the header has %d bytes of %d", len(head), fixedEnd)
	}
	if string(head[:8]) != magic {
		return nil, reject.At(reject.Malformed, op, 0, "no %s", magic)
	}
	d.head = head
	d.rec.FormatVersion = strconv.Itoa(int(d.short(atVersion)))
	d.rate = ecg.Int(int64(binary.LittleEndian.Uint16(head[atRate:])))
	if !ecg.RateOK(d.rate) {
		return nil, reject.At(reject.Malformed, op, atRate, "%s Hz", d.rate)
	}
	d.patient()
	return d, d.checksum()
}

func (d *decoder) short(at int) int16 { return int16(binary.LittleEndian.Uint16(d.head[at:])) }

func (d *decoder) long(at int) int64 { return int64(int32(binary.LittleEndian.Uint32(d.head[at:]))) }

var undeclared = charset.Parse("")

func (d *decoder) text(from, n int, where string) string {
	b, _, _ := strings.Cut(string(d.head[from:from+n]), "\x00")
	s, note := undeclared.Decode([]byte(b), "UT")
	switch {
	case note&charset.Replaced != 0:
		d.rec.Warn(ecg.WarnTextReplaced, where)
	case note&charset.Repaired != 0:
		d.rec.Warn(ecg.WarnTextRepaired, where)
	}
	return strings.TrimSpace(s)
}

// date reads day, month and year; −9 and 0 say that they are not known.
func (d *decoder) date(at int, where string) (day, month, year int, raw string) {
	day, month, year = int(d.short(at)), int(d.short(at+2)), int(d.short(at+4))
	if day <= 0 && month <= 0 && year <= 0 {
		return 0, 0, 0, ""
	}
	raw = strconv.Itoa(day) + "." + strconv.Itoa(month) + "." + strconv.Itoa(year)
	if !ecg.NewTime(raw, year, month, day, 0, 0, 0, 0, nil).Valid() {
		d.rec.Warn(ecg.WarnTime, where)
	}
	return day, month, year, raw
}

func (d *decoder) patient() {
	p := &d.rec.Patient
	p.ID = d.text(atID, 20, "id")
	p.Name = strings.Trim(d.text(atLast, 40, "name")+"^"+d.text(atFirst, 40, "name"), "^")
	p.Sex = map[int16]string{1: "M", 2: "F"}[d.short(atSex)]
	p.Race = map[int16]string{1: "Caucasian", 2: "Black", 3: "Oriental"}[d.short(atRace)]
	day, month, year, raw := d.date(atBirth, "birth date")
	p.BirthRaw = raw
	if t := ecg.NewTime(raw, year, month, day, 0, 0, 0, 0, nil); t.Valid() {
		t.DateOnly = true
		p.BirthDate = t.String()
	}
	day, month, year, raw = d.date(atRecorded, "record date")
	h, m, s := int(d.short(atStart)), int(d.short(atStart+2)), int(d.short(atStart+4))
	if h >= 0 && m >= 0 && s >= 0 {
		d.rec.Acquired = ecg.NewTime(strings.TrimSpace(raw+" "+strconv.Itoa(h)+":"+strconv.Itoa(m)+":"+strconv.Itoa(s)), year, month, day, h, m, s, 0, nil)
	} else {
		d.rec.Acquired = ecg.NewTime(raw, year, month, day, 0, 0, 0, 0, nil)
		d.rec.Acquired.DateOnly = d.rec.Acquired.Valid()
	}
	d.rec.Device.Model = d.text(atRecorder, 40, "recorder")
	switch code := d.short(atPacemaker); code {
	case 0:
		d.rec.Pacing.Known = true
	case 1, 2, 3, 4, 5:
		d.rec.Pacing = ecg.Pacing{Known: true, Paced: true, Text: [...]string{
			1: "unknown type", 2: "single chamber unipolar", 3: "dual chamber unipolar", 4: "single chamber bipolar", 5: "dual chamber bipolar",
		}[code]}
	}
}

// variable returns where the block of free text lies.
func (d *decoder) variable() (offset, size int64) {
	offset, size = d.long(atVarOffset), d.long(atVarSize)
	if size <= 0 {
		return fixedEnd, 0
	}
	if offset < fixedEnd {
		offset = fixedEnd
	}
	return offset, size
}

// checksum compares the CRC with both header blocks, and bounds the second.
func (d *decoder) checksum() error {
	if size := d.long(atVarSize); size < 0 {
		return reject.At(reject.Malformed, op, atVarSize, "a block of %d bytes", size)
	}
	offset, size := d.variable()
	if size > d.lim.HeaderBytes {
		return reject.At(reject.HeaderTooLarge, op, atVarSize, "a block of %d bytes", size)
	}
	block, err := d.src.Bytes(offset, size)
	if err != nil {
		return err
	}
	switch stored := binary.LittleEndian.Uint16(d.head[atCRC:]); {
	case stored == 0:
		d.rec.Warn(ecg.WarnChecksumAbsent, "")
	case stored != crc(crc(0xFFFF, d.head[atVarSize:]), block):
		d.rec.Warn(ecg.WarnChecksum, "")
	}
	return nil
}

// crc is CRC-16 with the polynomial 1021H.
func crc(sum uint16, b []byte) uint16 {
	for _, c := range b {
		sum ^= uint16(c) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// group describes the samples.
func (d *decoder) group() error {
	leads := int(d.short(atLeads))
	if leads < 1 || leads > maxLeads {
		return reject.At(reject.Malformed, op, atLeads, "%d leads", leads)
	}
	stated, offset := d.long(atSamples), d.long(atData)
	if stated < 0 || offset < 0 {
		return reject.At(reject.Malformed, op, atSamples, "%d samples from byte %d on", stated, offset)
	}
	if varAt, size := d.variable(); offset < varAt+size && offset < fixedEnd {
		d.rec.Warn(ecg.WarnLayout, "data offset")
		offset = varAt + size
	}
	if offset > d.src.Size {
		return reject.At(reject.Truncated, op, offset, "the samples begin behind the end of the file")
	}
	frame := int64(2 * leads)
	count := (d.src.Size - offset) / frame
	switch {
	case stated == count*int64(leads) && leads > 1:
		d.rec.Warn(ecg.WarnHeaderDiffers, "samples of all leads together")
	case stated > count:
		d.rec.Warn(ecg.WarnTruncated, "")
	case stated < count:
		d.rec.Warn(ecg.WarnLengthDiffers, "")
	}
	if (d.src.Size-offset)%frame != 0 {
		d.rec.Warn(ecg.WarnTrailingBytes, "")
	}
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: d.rate}
	if ecg.Int(count).Cmp(d.rate.Mul(ecg.Int(fullDisclosure))) > 0 {
		g.Kind = ecg.FullDisclosure
	}
	names := map[string]bool{}
	for i := range leads {
		l := d.lead(i)
		if names[l.Name] {
			d.rec.Warn(ecg.WarnLeadDuplicate, "lead "+strconv.Itoa(i))
		}
		names[l.Name] = true
		g.Leads = append(g.Leads, l)
	}
	frames := ecg.Frames{At: d.src.At, Offset: offset, FrameBytes: frame, Samples: 1, Count: count, Decode: func(b []byte, into *ecg.Block, at int) {
		for i := range leads {
			v := int32(int16(uint16(b[2*i]) | uint16(b[2*i+1])<<8))
			into.Counts[i][at] = v
			if v == missing {
				into.Miss(i, at)
			}
		}
	}}
	if err := frames.Check(d.src.Size); err != nil {
		return reject.At(reject.Malformed, op, offset, "%w", err)
	}
	if count == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
		return nil
	}
	g.Stream(frames)
	d.rec.Groups = append(d.rec.Groups, g)
	return nil
}

func (d *decoder) lead(i int) ecg.Lead {
	where := "lead " + strconv.Itoa(i)
	spec := d.short(atSpecs + 2*i)
	l := ecg.Lead{NativeCode: strconv.Itoa(int(spec)), NativeScheme: "ishne", Bits: 16, Unit: ecg.Microvolt}
	if spec > 0 && int(spec) < len(leadNames) && leadNames[spec] != "" {
		id, _, _ := ecg.LeadByName("lead " + leadNames[spec])
		l.Label = leadNames[spec]
		l.Set(id)
	} else {
		l.Name = "lead " + strconv.Itoa(i+1)
		l.Label = l.Name
		d.rec.Warn(ecg.WarnLeadUnknown, where)
	}
	if q := d.short(atQuality + 2*i); q > 0 {
		l.Quality = strconv.Itoa(int(q))
		if int(q) < len(qualities) {
			l.Quality = qualities[q]
		}
	}
	nanovolts := d.short(atResolution + 2*i)
	l.Scale = ecg.Frac(int64(nanovolts), 1000)
	if nanovolts <= 0 { // −9 where the lead is not used
		d.rec.Warn(ecg.WarnScaleAbsent, where)
		l.Scale, l.Unit = ecg.Int(1), ""
	}
	return l
}

// qualities are the standard's words for a lead's quality; 0 is unknown.
var qualities = [...]string{1: "good", 2: "intermittent noise", 3: "frequent noise", 4: "intermittent disconnect", 5: "frequent disconnect"}
