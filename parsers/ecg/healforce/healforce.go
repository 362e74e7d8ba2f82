// Package healforce reads the recordings of Heal Force Prince hand-held recorders (力康 Prince 180). Their files
// end in .SCP and are no SCP-ECG, though derived from it. There is no specification; the layout is known from
// files and from the one decoder that is public for them.
//
// What differs from SCP-ECG: the size of the file has 16 bits and stands at byte 4; CRCs are of another kind,
// unknown; section 0 has no name and its pointers count from 0; dates are big-endian; the sampling interval of
// section 6 is the rate in Hz; the leads lie sample by sample in turn, four samples of 12 bits in three words.
// A sample has 10 bits around 512, 10 µV each, and two bits that mark a beat and an irregular one.
//
// # Traps of real files
//
// Section 2 is there, and nothing is Huffman code. The amplitude multiplier says 9.524 µV where the
// public decoder takes 10 µV; the 5 % between them are noted as a warning (docs/decisions/0011-scp-decoding.md).
package healforce

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "healforce.Decode"

// The container, bytes.
const (
	recordHead   = 6
	sectionHead  = 16
	pointerBytes = 10
	maxSection0  = 4096
)

// What samples mean.
const (
	microvolt = 10
	zero      = 512
	maxLeads  = 12
)

// Tags of section 1.
const (
	tagID   = 2
	tagDate = 25
	tagTime = 26
	tagEnd  = 255
)

// Decode reads a Heal Force recording. It refuses with Truncated when a section lies outside the file, and with
// Malformed what has no leads or rhythm.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	rec := &ecg.Recording{Format: sniff.HealForce, Device: ecg.Device{Maker: "Heal Force"}}
	parts, err := sections(src)
	if err != nil {
		return nil, err
	}
	header, err := part(src, parts, 1)
	if err != nil {
		return nil, err
	}
	patient(rec, header)
	definition, err := part(src, parts, 3)
	if err != nil {
		return nil, err
	}
	if len(definition) < 1 || definition[0] < 1 || definition[0] > maxLeads {
		return nil, reject.At(reject.Malformed, op, parts[3].offset, "no leads")
	}
	rhythm, err := part(src, parts, 6)
	if err != nil {
		return nil, err
	}
	if err := group(rec, rhythm, int(definition[0]), parts[6].offset, lim); err != nil {
		return nil, err
	}
	if parts[9].length > sectionHead {
		rec.Warn(ecg.WarnUnsupportedPart, "section 9: heart rates and events")
	}
	return rec, nil
}

// place is where a section lies.
type place struct{ offset, length int64 }

// sections reads the pointers of section 0.
func sections(src ecg.Source) (map[int]place, error) {
	head, err := src.Bytes(0, recordHead+sectionHead)
	if err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(head[recordHead+4:]))
	if id := binary.LittleEndian.Uint16(head[recordHead+2:]); id != 0 || length < sectionHead+pointerBytes || length > maxSection0 {
		return nil, reject.At(reject.Malformed, op, recordHead, "section %d of %d bytes where section 0 must be", id, length)
	}
	b, err := src.Bytes(recordHead+sectionHead, length-sectionHead)
	if err != nil {
		return nil, err
	}
	parts := map[int]place{}
	for ; len(b) >= pointerBytes; b = b[pointerBytes:] {
		id := int(binary.LittleEndian.Uint16(b))
		if _, have := parts[id]; !have {
			parts[id] = place{offset: int64(binary.LittleEndian.Uint32(b[6:])), length: int64(binary.LittleEndian.Uint32(b[2:]))}
		}
	}
	return parts, nil
}

// part returns the data of a section; nil when there is none.
func part(src ecg.Source, parts map[int]place, id int) ([]byte, error) {
	p, ok := parts[id]
	if !ok || p.length <= sectionHead {
		return nil, nil
	}
	const most = 1 << 20 // lengths inside have 16 bits
	if p.length > most {
		return nil, reject.At(reject.HeaderTooLarge, op, p.offset, "section %d has %d bytes", id, p.length)
	}
	head, err := src.Bytes(p.offset, sectionHead)
	if err != nil {
		return nil, err
	}
	if got := int(binary.LittleEndian.Uint16(head[2:])); got != id {
		return nil, reject.At(reject.Malformed, op, p.offset, "section %d where section %d must be", got, id)
	}
	return src.Bytes(p.offset+sectionHead, p.length-sectionHead)
}

// patient reads the tags of section 1: id, date, time. An empty tag ends them as the last one does.
func patient(rec *ecg.Recording, b []byte) {
	var date, clock []byte
	for len(b) >= 3 {
		tag, n := b[0], int(binary.LittleEndian.Uint16(b[1:]))
		b = b[3:]
		if tag == tagEnd || n == 0 {
			break
		}
		if n > len(b) {
			rec.Warn(ecg.WarnTruncated, "section 1")
			break
		}
		value := b[:n]
		b = b[n:]
		switch tag {
		case tagID:
			value, _, _ = bytes.Cut(value, []byte{0})
			text, note := charset.Parse("GB18030").Decode(bytes.TrimSpace(value[:min(len(value), 64)]), "LO")
			if note&charset.Replaced != 0 {
				rec.Warn(ecg.WarnTextReplaced, "section 1 tag 2")
			}
			rec.Patient.ID = text
		case tagDate:
			date = value
		case tagTime:
			clock = value
		default:
			rec.Warn(ecg.WarnUnsupportedPart, "section 1 tag "+strconv.Itoa(int(tag)))
		}
	}
	if len(date) != 4 {
		return
	}
	year, month, day := int(binary.BigEndian.Uint16(date)), int(date[2]), int(date[3])
	if len(clock) != 3 {
		raw := fmt.Sprintf("%04d-%02d-%02d", year, month, day)
		rec.Acquired = ecg.NewTime(raw, year, month, day, 0, 0, 0, 0, nil)
		rec.Acquired.DateOnly = rec.Acquired.Valid()
	} else {
		raw := fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d", year, month, day, clock[0], clock[1], clock[2])
		rec.Acquired = ecg.NewTime(raw, year, month, day, int(clock[0]), int(clock[1]), int(clock[2]), 0, nil)
	}
	if !rec.Acquired.Valid() {
		rec.Warn(ecg.WarnTime, "section 1 tag 25")
	}
}

// group reads section 6.
func group(rec *ecg.Recording, b []byte, leads int, offset int64, lim ecg.Limits) error {
	const head = 8
	if len(b) < head {
		return reject.At(reject.Malformed, op, offset, "no rhythm")
	}
	if nano := binary.LittleEndian.Uint16(b); nano != 1000*microvolt {
		rec.Warn(ecg.WarnScaleSuspicious, fmt.Sprintf("section 6 states %d nV a count, read as %d", nano, 1000*microvolt))
	}
	rate := ecg.Int(int64(binary.LittleEndian.Uint16(b[2:])))
	if !ecg.RateOK(rate) {
		return reject.At(reject.Malformed, op, offset, "%s Hz", rate)
	}
	size := int(binary.LittleEndian.Uint16(b[6:]))
	b = b[head:]
	if size > len(b) {
		return reject.At(reject.Truncated, op, offset, "%d bytes of samples in %d", size, len(b))
	}
	samples, marks := unpack(b[:size])
	n := len(samples) / leads
	if int64(n*leads) > lim.Samples {
		return reject.At(reject.TooManyElements, op, offset, "%d samples", n*leads)
	}
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: rate}
	counts := make([][]int32, leads)
	for i := range leads {
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.Int(microvolt), Bits: 10}
		l.SetLabel("ch" + strconv.Itoa(i+1)) // where its electrodes are is up to who holds it
		g.Leads = append(g.Leads, l)
		counts[i] = make([]int32, n)
		for k := range n {
			counts[i][k] = samples[k*leads+i]
		}
	}
	rec.Warn(ecg.WarnLeadUnknown, "group 0")
	g.Memory(counts, nil)
	rec.Groups = []*ecg.Group{g}
	beats(rec, marks, leads, rate, lim)
	return nil
}

// Marks of a sample.
const (
	markBeat      = 2
	markIrregular = 1
)

// unpack takes samples apart: four in three words of 16 bits. Each word is two marks, four bits of the fourth
// sample, and a sample of ten bits.
func unpack(b []byte) (samples []int32, marks []byte) {
	samples, marks = make([]int32, 0, len(b)/6*4), make([]byte, 0, len(b)/6*4)
	for ; len(b) >= 6; b = b[6:] {
		fourth := uint16(0)
		for i := range 3 {
			w := binary.LittleEndian.Uint16(b[2*i:])
			samples, marks = append(samples, int32(w&0x3FF)-zero), append(marks, byte(w>>14))
			fourth = fourth<<4 | w>>10&0xF
		}
		samples, marks = append(samples, int32(fourth&0x3FF)-zero), append(marks, byte(fourth>>10))
	}
	return samples, marks
}

// beats makes annotations of marked samples: one where marks begin on any lead.
func beats(rec *ecg.Recording, marks []byte, leads int, rate ecg.Rat, lim ecg.Limits) {
	before := byte(0)
	for k := 0; k+leads <= len(marks); k += leads {
		now := byte(0)
		for _, m := range marks[k : k+leads] {
			now |= m
		}
		if now&markBeat != 0 && before&markBeat == 0 {
			if len(rec.Annotations) >= lim.Annotations {
				rec.Warn(ecg.WarnAnnotationsCut, "annotations")
				return
			}
			onset, _ := ecg.Int(int64(k / leads * 1000)).Quo(rate)
			a := ecg.Annotation{Kind: ecg.Beat, Onset: onset}
			if now&markIrregular != 0 {
				a.Code = "irregular"
			}
			rec.Annotations = append(rec.Annotations, a)
		}
		before = now
	}
}
