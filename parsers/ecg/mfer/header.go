package mfer

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// rootTag reads a tag that stands outside a channel's attributes.
func (d *decoder) rootTag(tag byte, v []byte) error {
	if v == nil {
		return nil
	}
	p := &d.rec.Patient
	switch tag {
	case tagByteOrder:
		d.little, d.changed = len(v) > 0 && v[0] == 1, true
	case tagVersion:
		words := make([]string, len(v))
		for i, n := range v {
			words[i] = strconv.Itoa(int(n))
		}
		d.rec.FormatVersion = strings.Join(words[:min(len(words), 3)], ".")
	case tagCharset:
		d.charset = strings.ToUpper(d.printable(v))
	case tagChannels:
		n := d.unsigned(v)
		if len(v) == 0 || n == 0 {
			return reject.At(reject.Malformed, op, d.in.pos, "%d channels", n)
		}
		if n > uint64(d.lim.Leads) {
			return reject.At(reject.TooManyElements, op, d.in.pos, "%d channels", n)
		}
		d.count, d.chans, d.changed = int(n), map[int]*attributes{}, true
	case tagSequences:
		n := d.unsigned(v)
		if n > uint64(d.src.Size) {
			return reject.At(reject.Malformed, op, d.in.pos, "%d sequences", n)
		}
		d.seqs, d.changed = int64(n), true
	case tagCompression:
		if d.unsigned(v[:min(2, len(v))]) != 0 {
			return reject.At(reject.NotParsed, op, d.in.pos, "compressed waveforms")
		}
	case tagComment:
		if text := d.text(v, "comment"); text != "" && len(p.Remarks) < d.lim.Statements {
			p.Remarks = append(p.Remarks, text)
		}
	case tagMaker:
		parts := append(strings.Split(d.text(v, "maker"), "^"), "", "", "", "")
		d.rec.Device.Maker, d.rec.Device.Model = strings.TrimSpace(parts[0]), strings.TrimSpace(parts[1])
		d.rec.Device.Software, d.rec.Device.Serial = strings.TrimSpace(parts[2]), strings.TrimSpace(parts[3])
	case tagPreamble:
	case tagEvent:
		d.event(v, -1)
	case tagName:
		p.Name = d.text(v, "name")
	case tagID:
		p.ID = d.text(v, "id")
	case tagAge:
		d.age(v)
	case tagSex:
		if len(v) > 0 {
			p.Sex = map[byte]string{1: "M", 2: "F"}[v[0]]
		}
	case tagTime:
		d.start(v)
	case tagUID:
		d.rec.DocumentID = d.printable(v)
	default:
		return d.attribute(&d.root, tag, v)
	}
	return nil
}

// age reads years, days beyond them, and the date of birth.
func (d *decoder) age(v []byte) {
	p := &d.rec.Patient
	if len(v) >= 1 && v[0] != 0xFF && (v[0] != 0 || len(v) < 7) {
		p.Age = ecg.Quantity{Value: ecg.Int(int64(v[0])), Unit: "a"}
	}
	if len(v) < 7 {
		return
	}
	year := int(d.unsigned(v[3:5]))
	if year == 0 || year == 0xFFFF {
		return
	}
	p.BirthRaw = strconv.Itoa(year) + "-" + strconv.Itoa(int(v[5])) + "-" + strconv.Itoa(int(v[6]))
	t := ecg.NewTime(p.BirthRaw, year, int(v[5]), int(v[6]), 0, 0, 0, 0, nil)
	if t.DateOnly = t.Valid(); t.DateOnly {
		p.BirthDate = t.String()
	} else {
		d.rec.Warn(ecg.WarnTime, "birth date")
	}
}

// start reads year, month, day, hour, minute, second, and where they are there ms and µs.
func (d *decoder) start(v []byte) {
	if len(v) < 7 {
		d.rec.Warn(ecg.WarnTime, "start")
		return
	}
	nanos := 0
	if len(v) >= 9 {
		nanos = int(d.unsigned(v[7:9])) * 1_000_000
	}
	if len(v) >= 11 {
		nanos += int(d.unsigned(v[9:11])) * 1000
	}
	year := int(d.unsigned(v[:2]))
	raw := fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d", year, v[2], v[3], v[4], v[5], v[6])
	t := ecg.NewTime(raw, year, int(v[2]), int(v[3]), int(v[4]), int(v[5]), int(v[6]), nanos, nil)
	if !t.Valid() {
		d.rec.Warn(ecg.WarnTime, "start")
	}
	d.time, d.changed = t, true
	if d.rec.Acquired.IsZero() {
		d.rec.Acquired = t
	}
}

// event reads code, start and duration in samples, and text.
func (d *decoder) event(v []byte, channel int) {
	if len(v) < 2 {
		return
	}
	if len(d.events) >= d.lim.Annotations {
		d.rec.Warn(ecg.WarnAnnotationsCut, "")
		return
	}
	e := event{channel: channel, frame: len(d.frames), code: int(d.unsigned(v[:2]))}
	if len(v) >= 6 {
		e.start = int64(d.unsigned(v[2:6]))
	}
	if len(v) >= 10 {
		e.last = int64(d.unsigned(v[6:10]))
		e.text = d.text(v[10:], "event")
	}
	d.events = append(d.events, e)
}

// annotate turns events into annotations. An event before waveform data belongs to those that follow.
func (d *decoder) annotate() {
	for _, e := range d.events {
		if len(d.frames) == 0 {
			return
		}
		f := &d.frames[min(e.frame, len(d.frames)-1)]
		at := max(0, min(e.channel, len(f.channels)-1))
		rate, ok := f.channels[at].rate()
		if !ok {
			continue
		}
		perSample, _ := ecg.Int(1000).Quo(rate)
		a := ecg.Annotation{
			Kind: ecg.Event, Group: -1, Onset: ecg.Int(e.start).Mul(perSample), Duration: ecg.Int(e.last).Mul(perSample),
			Code: strconv.Itoa(e.code), Text: e.text,
		}
		if e.channel >= 0 {
			a.Lead = ecg.LeadID(min(255, f.channels[at].lead)).Name()
		}
		d.rec.Annotations = append(d.rec.Annotations, a)
	}
}

// sets are the decoders of what tag 03 names. Anything else goes by what the bytes look like.
var sets = []struct {
	mark string
	enc  encoding.Encoding
}{
	{"EUC", japanese.EUCJP},
	{"2022", japanese.ISO2022JP},
	{"SHIFT", japanese.ShiftJIS},
	{"SJIS", japanese.ShiftJIS},
	{"932", japanese.ShiftJIS},
}

// text decodes text in the character set that holds at this point of the file.
func (d *decoder) text(v []byte, where string) string {
	if len(v) > d.lim.Text {
		v = v[:d.lim.Text]
		d.rec.Warn(ecg.WarnValueCut, where)
	}
	switch {
	case strings.Contains(d.charset, "UTF-16"), strings.Contains(d.charset, "UTF16"), strings.Contains(d.charset, "UNICODE"):
		return d.utf16(v)
	case strings.Contains(d.charset, "UTF-8"), strings.Contains(d.charset, "UTF8"):
		return d.charsetText(charset.Parse("ISO_IR 192"), v, where)
	case strings.Contains(d.charset, "GB"):
		return d.charsetText(charset.Parse("GB18030"), v, where)
	}
	for _, s := range sets {
		if strings.Contains(d.charset, s.mark) {
			out, err := s.enc.NewDecoder().Bytes(v)
			if err == nil {
				return strings.Trim(strings.ToValidUTF8(string(out), "\uFFFD"), " \x00\r\n")
			}
		}
	}
	if strings.Contains(d.charset, "JIS") { // JIS X 0201 and 0208, in one of their dresses
		return d.charsetText(charset.Parse(`ISO 2022 IR 13\ISO 2022 IR 87`), v, where)
	}
	return d.charsetText(charset.Parse(""), v, where)
}

func (d *decoder) charsetText(set *charset.Set, v []byte, where string) string {
	s, note := set.Decode(v, "UT")
	switch {
	case note&charset.Replaced != 0:
		d.rec.Warn(ecg.WarnTextReplaced, where)
	case note&charset.Repaired != 0:
		d.rec.Warn(ecg.WarnTextRepaired, where)
	}
	return strings.Trim(s, " \x00\r\n")
}

func (d *decoder) utf16(v []byte) string {
	var order binary.ByteOrder = binary.LittleEndian
	if strings.Contains(d.charset, "BE") || !strings.Contains(d.charset, "LE") && !d.little {
		order = binary.BigEndian
	}
	units := make([]uint16, 0, len(v)/2)
	for i := 0; i+1 < len(v); i += 2 {
		u := order.Uint16(v[i:])
		if i == 0 && u == 0xFFFE { // a mark says otherwise
			if order == binary.ByteOrder(binary.LittleEndian) {
				order = binary.BigEndian
			} else {
				order = binary.LittleEndian
			}
			continue
		}
		units = append(units, u)
	}
	return strings.Trim(string(utf16.Decode(units)), " \x00\r\n\uFEFF")
}

// printable is the ASCII of v.
func (d *decoder) printable(v []byte) string {
	out := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(v[:min(len(v), 256)]))
	return strings.TrimSpace(out)
}
