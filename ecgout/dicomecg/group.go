package dicomecg

import (
	"encoding/binary"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// labels are Multiplex Group Label (003A,0020): by these words viewers tell a rhythm from a median beat.
var labels = map[ecg.Kind]string{ecg.Rhythm: "RHYTHM", ecg.Median: "MEDIAN BEAT", ecg.FullDisclosure: "FULL DISCLOSURE"}

// item returns an item of Waveform Sequence up to the value of Waveform Data (PS3.3 §C.10.9), item header
// included.
func (b *builder) item(w *wave) []byte {
	g := w.group
	where := "group " + strconv.Itoa(w.index)
	d := &dataset{t: b.t}
	if b.offset() {
		d.number(0x00181068, g.StartOffset, where)
		// Of the Synchronization Module, and repeated here: dciodvfy looks for the condition of the offset
		// beside the offset, and calls it an error otherwise.
		d.ascii(0x00181800, "CS", "Y")
	}
	originality := "ORIGINAL"
	if g.Kind == ecg.Median {
		originality = "DERIVED"
	}
	d.ascii(0x003A0004, "CS", originality)
	d.short(0x003A0005, uint16(len(w.order)))
	d.long(0x003A0010, uint32(w.count))
	d.number(0x003A001A, g.Rate, where+" rate")
	d.known(0x003A0020, "SH", labels[g.Kind])
	var channels []*dataset
	for c, i := range w.order {
		channels = append(channels, b.channel(d.item(), w, &g.Leads[i], c, where+" lead "+strconv.Itoa(i)))
	}
	d.items(0x003A0200, channels...)
	d.short(0x54001004, uint16(8*w.sampleBytes()))
	kind, padding := "SS", binary.LittleEndian.AppendUint16(nil, uint16(w.padding))
	if w.wide {
		kind, padding = "SL", binary.LittleEndian.AppendUint32(nil, uint32(w.padding))
	}
	d.ascii(0x54001006, "CS", kind)
	if w.padded {
		d.put(0x5400100A, "OW", padding)
	}
	out := appendTag(nil, 0xFFFEE000)
	out = binary.LittleEndian.AppendUint32(out, undefinedLength)
	out = d.appendTo(out)
	return appendLongHeader(out, 0x54001010, "OW", uint32(w.dataBytes()))
}

// channel is one item of Channel Definition Sequence (003A,0200).
func (b *builder) channel(d *dataset, w *wave, l *ecg.Lead, n int, where string) *dataset {
	d.ascii(0x003A0202, "IS", strconv.Itoa(n+1))
	if len([]rune(l.Name)) <= 16 {
		d.known(0x003A0203, "SH", l.Name)
	}
	d.code(0x003A0208, leadCode(l))
	if l.Derived {
		d.code(0x003A0209, code{"DERIVED", private, "Derived from other leads"})
		by := l.DerivedBy
		if by == "" {
			by = "device"
		}
		d.text(0x003A020C, "LO", "Derived by "+by)
	}
	b.scale(d, l, where)
	b.skew(d, w, l, where)
	d.short(0x003A021A, uint16(8*w.sampleBytes()))
	f := &l.Filters
	if f.HighPassHz.Sign() > 0 {
		d.number(0x003A0220, f.HighPassHz, where)
	}
	if f.LowPassHz.Sign() > 0 {
		d.number(0x003A0221, f.LowPassHz, where)
	}
	if f.NotchHz.Sign() > 0 {
		d.number(0x003A0222, f.NotchHz, where)
	} else if f.NotchOff {
		d.ascii(0x003A0222, "DS", "0")
	}
	return d
}

// scale puts sensitivity, its units, correction factor and baseline. Counts of no stated unit and a step of
// one have none of them: they are arbitrary (PS3.3 §C.10.9.1.4).
func (b *builder) scale(d *dataset, l *ecg.Lead, where string) {
	unit := unitCode(l.Unit, "")
	if l.Unit == "" {
		if l.Scale.Equal(ecg.Int(1)) && l.Baseline.IsZero() {
			return
		}
		unit = code{"[arb'U]", "UCUM", "arbitrary unit"}
	}
	sensitivity, correction, exact := product(l.Scale)
	if !exact {
		b.plan.warn(WarnRounded, where)
	}
	d.ascii(0x003A0210, "DS", sensitivity)
	d.code(0x003A0211, unit)
	d.ascii(0x003A0212, "DS", correction)
	d.number(0x003A0213, l.Baseline, where)
}

// skew puts how much later than its place a channel is sampled, in seconds, or in samples where that is the
// exact number.
func (b *builder) skew(d *dataset, w *wave, l *ecg.Lead, where string) {
	seconds, exact := decimal(l.Skew.Mul(ecg.Frac(1, 1000)))
	if samples, fits := decimal(l.Skew.Mul(w.group.Rate).Mul(ecg.Frac(1, 1000))); !exact && fits {
		d.ascii(0x003A0215, "DS", samples)
		return
	}
	if !exact {
		b.plan.warn(WarnRounded, where)
	}
	d.ascii(0x003A0214, "DS", seconds)
}
