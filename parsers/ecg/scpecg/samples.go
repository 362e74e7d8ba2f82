package scpecg

import (
	"encoding/binary"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// signal is the head of section 5 or 6 (§5.8, §5.9) and what follows it.
type signal struct {
	section  int
	avm      int64 // amplitude value multiplier, nV per count
	interval int64 // sample time interval, µs
	encoding int   // 0 samples, 1 first differences, 2 second differences
	bimodal  bool
	data     []byte // lead lengths and data
}

// readSignal reads the head of section 5 or 6.
func (d *decoder) readSignal(id int, b []byte) (signal, error) {
	f := fields{b: b}
	s := signal{section: id, avm: int64(f.u16()), interval: int64(f.u16()), encoding: f.u8(), bimodal: f.u8()&1 != 0, data: f.b}
	switch {
	case f.short:
		return s, reject.At(reject.Truncated, op, d.sections[id].offset, "%s has %d bytes", where(id), len(b))
	case s.encoding > 2:
		return s, reject.At(reject.Malformed, op, d.sections[id].offset, "%s has encoding %d", where(id), s.encoding)
	case s.interval == 0:
		return s, reject.At(reject.Malformed, op, d.sections[id].offset, "%s has no sampling interval", where(id))
	}
	if s.avm == 0 {
		d.rec.Warn(ecg.WarnScaleAbsent, where(id))
		s.avm = 1000
	} else if s.avm > 50_000 { // 50 µV: beyond any converter, and what −1 looks like
		d.rec.Warn(ecg.WarnScaleSuspicious, where(id))
	}
	return s, nil
}

// blocks cuts a section's data into leads.
type blocks struct {
	lengths []int64
	data    []byte
	spare   int64 // bytes that no length accounts for
}

// cutLeads reads the lead lengths: 16 bits each, or 32 bits where only that adds up to the section's length,
// which version 3 could need and no public text settles.
func (d *decoder) cutLeads(s signal) (blocks, error) {
	n := len(d.leads)
	read := func(width int) (blocks, bool) {
		if width*n > len(s.data) {
			return blocks{}, false
		}
		f := fields{b: s.data}
		c := blocks{}
		for range n {
			l := f.u16x(width)
			c.lengths = append(c.lengths, l)
			c.spare -= l
		}
		c.data = f.b
		c.spare += int64(len(c.data))
		return c, c.spare >= 0
	}
	short, ok := read(2)
	if ok && short.spare <= 1 { // one byte of padding
		return short, nil
	}
	if long, fits := read(4); fits && long.spare <= 1 {
		d.rec.Warn(ecg.WarnLayout, where(s.section)+": lead lengths of 32 bits")
		return long, nil
	}
	if !ok {
		return blocks{}, reject.At(reject.Truncated, op, d.sections[s.section].offset,
			"the leads of %s need more than its %d bytes", where(s.section), len(s.data))
	}
	return short, nil
}

// u16x takes a number of 2 or 4 bytes.
func (f *fields) u16x(width int) int64 {
	if width == 4 {
		return f.u32()
	}
	return int64(f.u16())
}

// overflow is what a length of 16 bits drops when it overflows.
const overflow = 1 << 16

// decodeLeads decodes a section's leads: of lead i at most want[i] samples. Fewer come when its bytes end
// before.
func (d *decoder) decodeLeads(s signal, want []int64) ([][]int16, error) {
	c, err := d.cutLeads(s)
	if err != nil {
		return nil, err
	}
	raw := len(d.tables) == 0
	if d.fixedWidth() {
		raw = true
		for i, l := range c.lengths {
			raw = raw && l == 2*want[i]
		}
	}
	leads := make([][]int16, len(c.lengths))
	data := c.data
	for i, length := range c.lengths {
		piece := data[:length]
		if c.spare >= overflow { // the writer stored more than its lengths can say
			piece = data
		}
		var used int
		if raw {
			n := int(min(want[i], int64(len(piece))/2))
			leads[i] = rawSamples(piece, n)
			used = 2 * n
		} else if leads[i], used, err = unpack(piece, d.tables, int(want[i])); err != nil {
			return nil, reject.At(reject.Malformed, op, d.sections[s.section].offset, "%s lead %d: %w", where(s.section), i, err)
		}
		for length < int64(used) && c.spare >= overflow {
			length += overflow
			c.spare -= overflow
			d.rec.Warn(ecg.WarnLayout, where(s.section)+": lead lengths overflow 16 bits")
		}
		if stored := length; int64(used) > stored { // spare bytes that are no overflow
			leads[i], err = d.again(data[:stored], raw, int(want[i]))
			if err != nil {
				return nil, err
			}
		}
		undoDifferences(leads[i], s.encoding)
		data = data[length:]
	}
	return leads, nil
}

// again decodes a lead within its stated length after all.
func (d *decoder) again(piece []byte, raw bool, want int) ([]int16, error) {
	if raw {
		return rawSamples(piece, min(want, len(piece)/2)), nil
	}
	samples, _, err := unpack(piece, d.tables, want)
	return samples, err
}

func rawSamples(b []byte, n int) []int16 {
	samples := make([]int16, n)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return samples
}

// undoDifferences turns differences into samples (§5.8.3): of first differences the first value is a sample, of
// second differences the first two are. Sums wrap at 16 bits, as samples have no more: a difference that
// did not fit into 16 bits was cut by the writer, and the sum is right all the same.
func undoDifferences(v []int16, encoding int) {
	switch encoding {
	case 1:
		for i := 1; i < len(v); i++ {
			v[i] += v[i-1]
		}
	case 2:
		for i := 2; i < len(v); i++ {
			v[i] += 2*v[i-1] - v[i-2]
		}
	}
}

// reference is the reference beat.
type reference struct {
	avm, interval int64
	leads         [][]int16
}

// section5 reads the reference beat and makes it a group. The group comes behind the rhythm.
func (d *decoder) section5() error {
	needed := d.flags&flagSubtracted != 0
	b, ok, err := d.body(5, needed)
	if err != nil || !ok || len(d.leads) == 0 {
		return err
	}
	s, err := d.readSignal(5, b)
	if err != nil {
		return err
	}
	n := int64(d.beats.lengthMS) * 1000 / s.interval
	if n == 0 { // no section 4 to state it: a length has 16 bits, and a sample at least one
		d.rec.Warn(ecg.WarnLayout, "reference beat without length")
		n = 8 * overflow
	}
	if n*int64(len(d.leads)) > d.lim.Samples {
		n = d.lim.Samples / int64(len(d.leads))
	}
	want := make([]int64, len(d.leads))
	for i := range want {
		want[i] = n
	}
	leads, err := d.decodeLeads(s, want)
	if err != nil {
		return err
	}
	longest := 0
	for _, l := range leads {
		longest = max(longest, len(l))
	}
	if longest > 0 {
		if d.beats.lengthMS > 0 && int64(longest) < n {
			d.rec.Warn(ecg.WarnLengthDiffers, where(5))
		}
		d.reference = &reference{avm: s.avm, interval: s.interval, leads: leads}
	}
	return nil
}

// medianGroup adds the reference beat as a group of its own.
func (d *decoder) medianGroup() {
	r := d.reference
	if r == nil {
		return
	}
	g := &ecg.Group{Kind: ecg.Median, Label: "reference beat type 0", Rate: rateOf(r.interval)}
	counts := make([][]int32, len(r.leads))
	for i, samples := range r.leads {
		l := d.lead(d.leads[i].id, i, "reference beat")
		l.Scale = ecg.Frac(r.avm, 1000)
		g.Leads = append(g.Leads, l)
		counts[i] = make([]int32, len(samples))
		for k, v := range samples {
			counts[i][k] = int32(v)
		}
	}
	g.Memory(counts, nil)
	d.median = len(d.rec.Groups)
	d.rec.Groups = append(d.rec.Groups, g)
}
