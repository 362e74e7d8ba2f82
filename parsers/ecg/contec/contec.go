// Package contec reads the native files of Contec carts (康泰 ECG90A and its family): a head of 43 bytes, eight
// series of 16-bit samples in turn, and a tail of 37 bytes. There is no specification; the layout is known from
// files and from the decoders that people wrote for them.
//
// The series are II, III, V1 to V6 with 2048 as zero, 5 µV a count, 800 Hz. 6800H stands for an electrode that
// is off. Lead I is not stored: ecg.Complete derives it. The head has case number, time, name, sex, age and
// weight, and neither model nor rate.
//
// # Traps of real files
//
// Names of eight bytes are GBK and may be cut inside a character. A frame of zeros is no sample: the cart fills
// up with them. A cut file lacks the tail, so that its last bytes are samples.
package contec

import (
	"bytes"
	"encoding/binary"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "contec.Decode"

// The layout, bytes.
const (
	headBytes  = 43
	tailBytes  = 37
	frameBytes = 2 * len(leads)
	caseAt     = 0 // 8 bytes
	timeAt     = 10
	timeBytes  = 19
	nameAt     = 32 // 8 bytes
	sexAt      = 40 // 0 female, 1 male, 255 unknown
	ageAt      = 41 // years; 0 unknown
	weightAt   = 42 // kg; 0 unknown
)

// What samples mean.
const (
	rateHz    = 800
	microvolt = 5
	zero      = 2048
	unplugged = 0x6800
)

// leads are II, III, V1 to V6 in the numbering of SCP-ECG.
var leads = [8]ecg.LeadID{2, 61, 3, 4, 5, 6, 7, 8}

// Decode reads a Contec file. It refuses with Truncated what has no sample, and with Malformed what has no date
// where the head must have it. Nothing in the file states a size, so no limit is asked.
func Decode(src ecg.Source, _ ecg.Limits) (*ecg.Recording, error) {
	if src.Size < headBytes+int64(frameBytes) {
		return nil, reject.At(reject.Truncated, op, 0, "%d bytes", src.Size)
	}
	head, err := src.Bytes(0, headBytes)
	if err != nil {
		return nil, err
	}
	rec := &ecg.Recording{Format: sniff.Contec, Device: ecg.Device{Maker: "Contec"}}
	rec.Acquired = ecg.ParseTime(string(bytes.TrimRight(head[timeAt:timeAt+timeBytes], "\x00 ")))
	if !rec.Acquired.Valid() {
		if c := head[timeAt]; c < '0' || c > '9' {
			return nil, reject.At(reject.Malformed, op, timeAt, "no date")
		}
		rec.Warn(ecg.WarnTime, "head")
	}
	rec.DocumentID = text(rec, head[caseAt:caseAt+8], "case number")
	patient(rec, head)

	frames := ecg.Frames{
		At: src.At, Offset: headBytes, FrameBytes: int64(frameBytes), Samples: 1,
		Count: (src.Size - headBytes - tailBytes) / int64(frameBytes), Decode: decode,
	}
	if (src.Size-headBytes-tailBytes)%int64(frameBytes) != 0 || frames.Count < 1 {
		rec.Warn(ecg.WarnTruncated, "file")
		frames.Count = (src.Size - headBytes) / int64(frameBytes)
	}
	if err := frames.Check(src.Size); err != nil {
		return nil, reject.At(reject.Malformed, op, headBytes, "%w", err)
	}
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: ecg.Int(rateHz)}
	for _, id := range leads {
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.Int(microvolt), Bits: 16}
		l.Set(id)
		g.Leads = append(g.Leads, l)
	}
	g.Stream(frames)
	rec.Groups = []*ecg.Group{g}
	if missing(frames, headBytes) {
		rec.Warn(ecg.WarnMissingSamples, "group 0")
	}
	return rec, nil
}

// missing reports whether the first frame has an electrode that is off: carts say so from the start.
func missing(f ecg.Frames, offset int64) bool {
	b := make([]byte, frameBytes)
	if n, _ := f.At.ReadAt(b, offset); n < len(b) {
		return false
	}
	for ; len(b) > 0; b = b[2:] {
		if binary.LittleEndian.Uint16(b) == unplugged {
			return true
		}
	}
	return false
}

// decode reads a sample of every lead.
func decode(frame []byte, b *ecg.Block, at int) {
	empty := true
	for _, c := range frame {
		if c != 0 {
			empty = false
			break
		}
	}
	for i := range leads {
		v := binary.LittleEndian.Uint16(frame[2*i:])
		if empty || v == unplugged {
			b.Miss(i, at)
			continue
		}
		b.Counts[i][at] = int32(v) - zero
	}
}

func patient(rec *ecg.Recording, head []byte) {
	p := &rec.Patient
	p.Name = text(rec, head[nameAt:nameAt+8], "name")
	switch head[sexAt] {
	case 0:
		p.Sex = "F"
	case 1:
		p.Sex = "M"
	}
	if age := head[ageAt]; age > 0 {
		p.Age = ecg.Quantity{Value: ecg.Int(int64(age)), Unit: "a"}
	}
	if weight := head[weightAt]; weight > 0 {
		p.WeightKG = ecg.Int(int64(weight))
	}
}

var chinese = charset.Parse("GB18030")

// text reads a field that ends at its NUL or at its own end.
func text(rec *ecg.Recording, b []byte, where string) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	s, note := chinese.Decode(bytes.TrimSpace(b), "LO")
	if note&charset.Replaced != 0 {
		rec.Warn(ecg.WarnTextReplaced, where)
	}
	return s
}
