package scpecg

import (
	"sort"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// leadRange is one lead of section 3 (§5.6): its samples on the record's time line, counted from 1.
type leadRange struct {
	id         int
	start, end int64 // the last one included
}

// samples returns how many samples the lead has before bimodal compression.
func (l leadRange) samples() int64 { return l.end - l.start + 1 }

const (
	flagSubtracted = 1 // reference beats were subtracted from the rhythm
	leadBytes      = 9
)

// section3 reads the leads and bounds them: what is stated here sizes everything else.
func (d *decoder) section3() error {
	b, ok, err := d.body(3, true)
	if err != nil || !ok {
		return err
	}
	f := fields{b: b}
	n := f.u8()
	d.flags = f.u8()
	if n > d.lim.Leads || n*leadBytes > len(f.b) {
		return reject.At(reject.Malformed, op, d.sections[3].offset, "%d leads in %d bytes", n, len(f.b))
	}
	first, last, total := int64(0), int64(0), int64(0)
	for i := range n {
		l := leadRange{start: f.u32(), end: f.u32(), id: f.u8()}
		if l.start == 0 { // counted from 0, with the count as end
			d.rec.Warn(ecg.WarnLayout, "section 3 counts samples from 0")
			l.start = 1
		}
		if l.end < l.start-1 {
			return reject.At(reject.Malformed, op, d.sections[3].offset, "lead %d has samples %d to %d", i, l.start, l.end)
		}
		total += l.samples()
		if i == 0 || l.start < first {
			first = l.start
		}
		last = max(last, l.end)
		d.leads = append(d.leads, l)
	}
	// The time line counts too: a lead that begins after days would make all others pad them.
	if line := (last - first + 1) * int64(n); total > d.lim.Samples || line > 4*d.lim.Samples {
		return reject.At(reject.TooManyElements, op, d.sections[3].offset, "%d leads of %d samples in all", n, total)
	}
	for i := range d.leads {
		d.leads[i].start -= first - 1
		d.leads[i].end -= first - 1
	}
	d.beats.shift = first - 1
	return nil
}

// lead returns the description of a lead of a group.
func (d *decoder) lead(id, number int, group string) ecg.Lead {
	l := ecg.Lead{
		NativeCode: strconv.Itoa(id), NativeScheme: "scp", Unit: ecg.Microvolt, Bits: 16,
		Filters: d.header.filters, Placement: d.header.placement,
	}
	if known, ok := ecg.LeadByCode("scp", l.NativeCode); ok {
		l.Set(known)
	} else {
		l.Name = "lead " + strconv.Itoa(number+1)
		d.rec.Warn(ecg.WarnLeadUnknown, group+" "+l.Name)
	}
	return l
}

// beat is a QRS complex of section 4 (§5.7), in samples of the time line from 1. The zone is where the
// reference beat was subtracted; fiducial is what lies on the reference beat's fiducial point.
type beat struct {
	kind                 int // reference beat type
	from, fiducial, till int64
}

// zone is a protected zone: samples that bimodal compression leaves as they are.
type zone struct{ from, till int64 }

// beats is section 4.
type beats struct {
	shift     int64 // of section 3: what its samples were moved by
	lengthMS  int   // of the reference beat
	fiducial  int   // of the reference beat, sample from 1
	list      []beat
	protected []zone
}

const (
	beatBytes = 14
	zoneBytes = 8
)

// section4 reads beats and zones.
func (d *decoder) section4() error {
	needed := d.flags&flagSubtracted != 0
	b, ok, err := d.body(4, needed)
	if err != nil || !ok {
		return err
	}
	f := fields{b: b}
	s := &d.beats
	s.lengthMS, s.fiducial = f.u16(), f.u16()
	n := f.u16()
	if f.short {
		d.rec.Warn(ecg.WarnTruncated, where(4))
		return nil
	}
	if n*beatBytes > len(f.b) {
		if needed {
			return reject.At(reject.Malformed, op, d.sections[4].offset, "%d beats in %d bytes", n, len(f.b))
		}
		d.rec.Warn(ecg.WarnTruncated, where(4))
		n = len(f.b) / beatBytes
	}
	for range n {
		b := beat{kind: f.u16(), from: f.u32() - s.shift, fiducial: f.u32() - s.shift, till: f.u32() - s.shift}
		s.list = append(s.list, b)
	}
	for range n {
		z := zone{from: f.u32() - s.shift, till: f.u32() - s.shift}
		if f.short {
			break
		}
		if z.from >= 1 && z.till >= z.from {
			s.protected = append(s.protected, z)
		}
	}
	sort.SliceStable(s.protected, func(i, j int) bool { return s.protected[i].from < s.protected[j].from })
	return nil
}

// subtracted returns the zones from which reference beat type 0 was subtracted. They may not cover the time
// line more than twice over: real ones do not overlap, and hostile ones cost time.
func (d *decoder) subtracted() ([]beat, error) {
	var zones []beat
	var last, covered int64
	for _, l := range d.leads {
		last = max(last, l.end)
	}
	for _, b := range d.beats.list {
		if b.kind != 0 {
			continue
		}
		b.from, b.till = max(b.from, 1), min(b.till, last)
		if b.from > b.till {
			continue
		}
		covered += b.till - b.from + 1
		zones = append(zones, b)
	}
	if covered > 2*last {
		return nil, reject.At(reject.Malformed, op, d.sections[4].offset, "subtraction zones of %d samples on %d", covered, last)
	}
	return zones, nil
}
