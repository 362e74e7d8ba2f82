package mfer

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/records"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Types of samples, by the value of tag 0AH.
const (
	int16Type = iota
	uint16Type
	int32Type
	uint8Type
	statusType // 16 bits
	int8Type
	uint32Type
	float32Type
	float64Type
)

// typeBytes are the bytes of a sample by type; type 9, AHA compression, is not read.
var typeBytes = [...]int64{2, 2, 4, 1, 2, 1, 4, 4, 8}

// fullDisclosure is what is longer than a rhythm strip, in s.
const fullDisclosure = 600

// units are UCUM codes by the unit of tag 0CH; 0 is V.
var units = [...]string{
	1: "mm[Hg]", 2: "Pa", 3: "cm[H2O]", 4: "mm[Hg]/s", 5: "dyn", 6: "N", 7: "%", 8: "Cel", 9: "/min", 10: "/s", 11: "Ohm",
	12: "A", 13: "{rpm}", 14: "W", 15: "dB", 16: "kg", 17: "J", 18: "dyn.s/(m2.cm5)", 19: "L", 20: "L/s", 21: "L/min", 22: "cd",
}

// typeOf is the type of a channel's samples, which attribute has checked.
func (a *attributes) typeOf() byte {
	if a.kind == nil {
		return int16Type
	}
	return *a.kind
}

func (a *attributes) blockOf() int64 {
	if a.block == nil {
		return 1
	}
	return *a.block
}

// rate is the channel's sampling rate in Hz, 1000 where none is defined; false for an interval in metres, or none.
func (a *attributes) rate() (ecg.Rat, bool) {
	if a.interval == nil {
		return ecg.Int(1000), true
	}
	unit, value, ok := scaled(a.interval)
	switch {
	case !ok || unit > 1:
		return ecg.Rat{}, false
	case unit == 1:
		return ecg.Int(1).Quo(value)
	}
	return value, true
}

type key struct {
	rate    string
	block   int64
	cardiac bool
}

// groups makes the groups of every frame.
func (d *decoder) groups() error {
	if len(d.frames) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
		return nil
	}
	for n := range d.frames {
		if err := d.frame(n); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) frame(n int) error {
	f := &d.frames[n]
	sequence := int64(0) // bytes
	offsets := make([]int64, len(f.channels))
	for i := range f.channels {
		a := &f.channels[i]
		offsets[i] = sequence
		sequence += a.blockOf() * typeBytes[a.typeOf()] // at most 256 × the file's size × 8
	}
	var runs []extent
	total := int64(0)
	for _, p := range f.parts {
		count := p.size / sequence
		if p.size%sequence != 0 {
			d.rec.Warn(ecg.WarnTruncated, "sequence")
		}
		if count > 0 {
			runs = append(runs, extent{p.offset, count})
			total += count
		}
	}
	switch {
	case total == 0:
		return reject.At(reject.Truncated, op, f.parts[0].offset, "sequences of %d bytes, and less data", sequence)
	case f.seqs != 0 && f.seqs*int64(len(f.parts)) != total && f.seqs != total:
		d.rec.Warn(ecg.WarnLengthDiffers, "")
	}
	var keys []key
	members := map[key][]int{}
	leads := make([]ecg.Lead, len(f.channels))
	for i := range f.channels {
		rate, ok := f.channels[i].rate()
		if !ok || rate.Cmp(ecg.Int(ecg.MaxRateHz)) > 0 || rate.Sign() <= 0 {
			d.rec.Warn(ecg.WarnUnsupportedPart, "channel "+strconv.Itoa(i))
			continue
		}
		k := key{rate: rate.String(), block: f.channels[i].blockOf()}
		leads[i], k.cardiac = d.lead(f, i)
		if len(members[k]) == 0 {
			keys = append(keys, k)
		}
		members[k] = append(members[k], i)
	}
	for _, k := range keys {
		rate, _ := f.channels[members[k][0]].rate()
		g := &ecg.Group{Kind: ecg.OtherSignals, Rate: rate}
		if f.time.Valid() && d.rec.Acquired.Valid() {
			if after := f.time.Time.Sub(d.rec.Acquired.Time); after > 0 {
				g.StartOffset = ecg.Frac(int64(after), 1_000_000)
			}
		}
		l := records.Layout{At: d.src.At, RecordBytes: sequence, Samples: k.block}
		names := map[string]bool{}
		for _, i := range members[k] {
			if names[leads[i].Name] {
				d.rec.Warn(ecg.WarnLeadDuplicate, "channel "+strconv.Itoa(i))
			}
			names[leads[i].Name] = true
			g.Leads = append(g.Leads, leads[i])
			a := &f.channels[i]
			l.Channels = append(l.Channels, records.Channel{Offset: offsets[i], Bytes: typeBytes[a.typeOf()], Decode: a.samples(f.little)})
		}
		start := int64(0)
		for _, r := range runs {
			l.Runs = append(l.Runs, records.Run{Offset: r.offset, Records: r.size, Start: start})
			start += r.size * k.block
		}
		if err := l.Check(d.src.Size); err != nil {
			return reject.At(reject.Malformed, op, f.parts[0].offset, "%w", err)
		}
		l.Stream(g)
		if k.cardiac && ecg.RateOK(rate) {
			g.Kind = ecg.Rhythm
			if g.DurationMillis().Cmp(ecg.Int(fullDisclosure*1000)) > 0 {
				g.Kind = ecg.FullDisclosure
			}
		}
		d.rec.Groups = append(d.rec.Groups, g)
		if len(d.rec.Groups) > d.lim.Groups {
			return reject.New(reject.TooManyElements, op, "more than %d groups", d.lim.Groups)
		}
	}
	if len(d.rec.Groups) == 0 && n == len(d.frames)-1 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	return nil
}

// lead describes a channel, and tells whether it is a lead of the ECG.
func (d *decoder) lead(f *frame, i int) (ecg.Lead, bool) {
	a := &f.channels[i]
	where := "channel " + strconv.Itoa(i)
	l := ecg.Lead{Bits: int(8 * typeBytes[a.typeOf()]), Label: a.label, Filters: ecg.Filters{Text: a.filter}}
	if a.hasLead {
		l.NativeCode, l.NativeScheme = strconv.Itoa(a.lead), "mfer"
	}
	d.scale(&l, a, where)
	id, known := ecg.LeadByCode("mfer", l.NativeCode)
	if known && l.Voltage() && a.typeOf() != statusType {
		l.Set(id)
		if l.Label == "" {
			l.Label = l.Name
		}
		return l, true
	}
	if l.Name = l.Label; l.Name == "" {
		l.Name = "waveform " + l.NativeCode
		if !a.hasLead {
			l.Name = where
		}
	}
	if byName, _, ok := ecg.LeadByName(l.Label); ok && l.Voltage() && a.typeOf() != statusType {
		l.Set(byName)
		return l, true
	}
	if l.Voltage() {
		d.rec.Warn(ecg.WarnLeadUnknown, where)
	}
	return l, false
}

func (d *decoder) scale(l *ecg.Lead, a *attributes, where string) {
	kind := a.typeOf()
	if kind == statusType {
		l.Scale = ecg.Int(1)
		return
	}
	unit, value, ok := scaled(a.sense)
	switch {
	case a.sense == nil:
		d.rec.Warn(ecg.WarnScaleAbsent, where)
		l.Scale, l.Unit = ecg.Int(1), ecg.Microvolt
	case !ok:
		d.rec.Warn(ecg.WarnScaleAbsent, where)
		l.Scale = ecg.Int(1)
	case unit == 0:
		l.Scale, l.Unit = value.Pow10(6), ecg.Microvolt
	default:
		l.Scale = value
		if int(unit) < len(units) {
			l.Unit = units[unit]
		} else {
			d.rec.Warn(ecg.WarnUnitUnknown, where)
		}
	}
	if l.Voltage() && l.Scale.Cmp(ecg.Int(1_000_000)) > 0 {
		d.rec.Warn(ecg.WarnScaleSuspicious, where)
		l.Scale, l.Unit = ecg.Int(1), ""
	}
	step := l.Scale
	if kind == float32Type || kind == float64Type {
		l.Scale = step.Mul(ecg.Frac(1, floatSteps(a)))
	}
	if off, ok := a.value(a.offset); ok {
		l.Baseline = ecg.Int(off).Mul(step).Neg()
	}
	if kind == uint32Type {
		l.Baseline = l.Baseline.Add(step.Mul(ecg.Int(1 << 31)))
	}
}

// floatSteps is how many counts a floating-point sample's unit is made into: of V, tenths of a µV where the
// sensitivity says µV, and always thousandths of what the sample counts otherwise.
func floatSteps(a *attributes) int64 {
	if unit, value, ok := scaled(a.sense); ok && unit == 0 {
		if v, fits := value.Pow10(7).Round(); fits && v >= 1 && v <= 10_000_000 {
			return v
		}
	}
	return 1000
}

// value reads an offset or NULL value, highest byte first, as a sample of the channel's type.
func (a *attributes) value(v []byte) (int64, bool) {
	kind := a.typeOf()
	if len(v) == 0 || len(v) > 8 || kind == float32Type || kind == float64Type {
		return 0, false
	}
	n := uint64(0)
	for _, b := range v {
		n = n<<8 | uint64(b)
	}
	switch kind {
	case int16Type, int32Type, int8Type:
		shift := 64 - 8*len(v)
		return int64(n<<shift) >> shift, true
	}
	return int64(n), n <= math.MaxUint32
}

// samples makes the function that reads the channel's samples.
func (a *attributes) samples(little bool) func([]byte, []int32, func(int)) {
	var order binary.ByteOrder = binary.BigEndian
	if little {
		order = binary.LittleEndian
	}
	null, has := a.value(a.null)
	kind := a.typeOf()
	if kind == float32Type || kind == float64Type {
		return floats(order, kind, float64(floatSteps(a)))
	}
	if kind == uint32Type {
		null -= 1 << 31
	}
	return func(raw []byte, into []int32, miss func(int)) {
		switch kind {
		case int16Type:
			for i := range into {
				into[i] = int32(int16(order.Uint16(raw[2*i:])))
			}
		case uint16Type, statusType:
			for i := range into {
				into[i] = int32(order.Uint16(raw[2*i:]))
			}
		case int32Type:
			for i := range into {
				into[i] = int32(order.Uint32(raw[4*i:]))
			}
		case uint32Type:
			for i := range into {
				into[i] = int32(order.Uint32(raw[4*i:]) - 1<<31)
			}
		case uint8Type:
			for i := range into {
				into[i] = int32(raw[i])
			}
		case int8Type:
			for i := range into {
				into[i] = int32(int8(raw[i]))
			}
		}
		if has {
			for i, v := range into {
				if int64(v) == null {
					miss(i)
				}
			}
		}
	}
}

// floats reads floating-point samples as counts; what no count can be is missing.
func floats(order binary.ByteOrder, kind byte, steps float64) func([]byte, []int32, func(int)) {
	return func(raw []byte, into []int32, miss func(int)) {
		for i := range into {
			var v float64
			if kind == float32Type {
				v = float64(math.Float32frombits(order.Uint32(raw[4*i:])))
			} else {
				v = math.Float64frombits(order.Uint64(raw[8*i:]))
			}
			if v = math.RoundToEven(v * steps); v >= math.MinInt32 && v <= math.MaxInt32 {
				into[i] = int32(v)
			} else {
				into[i] = 0
				miss(i)
			}
		}
	}
}
