package scpecg

import (
	"encoding/binary"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Section 12 of version 3, the long-term rhythm, as the public reader of its draft has it: 70 bytes of
// head, two blocks whose lengths the head states, the leads, then samples of all leads in turn.
const (
	longTermHead      = 70
	longTermLead      = 4  // id, nV per count, one byte more
	longTermLengths   = 62 // two lengths of 32 bits
	firstLongTermBeta = 26 // protocol version from which section 12 has this layout
)

// section12 makes the long-term rhythm a group that streams. Nothing but arithmetic tells whether the
// layout is the one we know: a section whose parts do not add up to its length is left unread, with a warning.
func (d *decoder) section12() error {
	s, ok := d.sections[12]
	if !ok {
		if offset, broken := d.broken[12]; broken && len(d.rec.Groups) == 0 {
			return reject.At(reject.Truncated, op, max(offset, 0), "section 12 lies outside the file")
		} else if broken {
			d.rec.Warn(ecg.WarnTruncated, where(12))
		}
		return nil
	}
	size := s.length - sectionHead
	if size == 0 {
		return nil
	}
	unread := func() error { d.rec.Warn(ecg.WarnUnsupportedPart, where(12)+": long-term rhythm"); return nil }
	if size < longTermHead || max(s.version, s.protocol) < firstLongTermBeta {
		return unread()
	}
	head, err := d.src.Bytes(s.offset+sectionHead, longTermHead)
	if err != nil {
		return err
	}
	f := fields{b: head}
	rate, leads, samples, width := f.u32(), int64(f.u8()), f.u32(), int64(f.u8())
	when := clock{date: true, time: true}
	when.year, when.month, when.day = f.u16(), f.u8(), f.u8()
	when.hour, when.minute, when.second = f.u8(), f.u8(), f.u8()
	lengths := fields{b: head[longTermLengths:]}
	start := longTermHead + lengths.u32() + lengths.u32()
	frame := leads * width
	if !ecg.RateOK(ecg.Int(rate)) || leads == 0 || leads > int64(d.lim.Leads) || width < 1 || width > 4 || samples == 0 {
		return unread()
	}
	if rest := size - start - leads*longTermLead - samples*frame; rest < 0 || rest > 1 {
		return unread()
	}
	table, err := d.src.Bytes(s.offset+sectionHead+start, leads*longTermLead)
	if err != nil {
		return err
	}
	g := &ecg.Group{Kind: ecg.FullDisclosure, Label: "long-term", Rate: ecg.Int(rate)}
	t := fields{b: table}
	for i := range int(leads) {
		id, avm := t.u8(), int64(t.u16())
		t.u8()
		l := d.lead(id, i, "long-term")
		if avm == 0 {
			d.rec.Warn(ecg.WarnScaleAbsent, "long-term lead "+strconv.Itoa(i+1))
			avm = 1000
		}
		l.Scale, l.Bits = ecg.Frac(avm, 1000), int(8*width)
		g.Leads = append(g.Leads, l)
	}
	frames := ecg.Frames{
		At: d.src.At, Offset: s.offset + sectionHead + start + leads*longTermLead, FrameBytes: frame, Samples: 1, Count: samples,
		Decode: func(frame []byte, b *ecg.Block, at int) {
			for i := range int(leads) {
				b.Counts[i][at] = little(frame[int64(i)*width:], int(width))
			}
		},
	}
	if err := frames.Check(d.src.Size); err != nil {
		return reject.At(reject.Malformed, op, s.offset, "section 12: %w", err)
	}
	g.Stream(frames)
	if !d.rec.Acquired.Valid() {
		d.rec.Acquired = when.acquired(d.header.zone)
	}
	d.rec.Groups = append(d.rec.Groups, g)
	d.rec.Warn(ecg.WarnUnsupportedPart, where(12)+": its head beyond sampling and leads")
	return nil
}

// little returns a signed little-endian number of 1 to 4 bytes.
func little(b []byte, width int) int32 {
	switch width {
	case 1:
		return int32(int8(b[0]))
	case 2:
		return int32(int16(binary.LittleEndian.Uint16(b)))
	case 3:
		return int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8
	}
	return int32(binary.LittleEndian.Uint32(b))
}
