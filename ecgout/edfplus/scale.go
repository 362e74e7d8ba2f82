package edfplus

import (
	"math"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// field is the length of a number in the header, characters.
const field = 8

// number returns r in at most eight characters, exactly or to the nearest that they say.
func number(r ecg.Rat) (string, bool) {
	if s := r.String(); len(s) <= field && decimalText(s) {
		return s, true
	}
	f := r.Float64()
	for places := 6; places >= 0; places-- {
		if s := strconv.FormatFloat(f, 'f', places, 64); len(s) <= field {
			back, err := ecg.ParseRat(s)
			return s, err == nil && back.Equal(r)
		}
	}
	if f < 0 {
		return "-9999999", false
	}
	return "99999999", false
}

func decimalText(s string) bool {
	for _, c := range []byte(s) {
		if c == '/' {
			return false
		}
	}
	return true
}

// extremes are what a signal's header says of its scale. A count v is stored as (v − shift)/divide.
type extremes struct {
	unit             string
	physMin, physMax string
	digMin, digMax   int64
	shift, divide    int64
	exact            bool // the physical values are exact
}

// scaleOf chooses the extremes for counts from lo to hi. reserve keeps the lowest digital value for what is
// missing.
func scaleOf(l *ecg.Lead, lo, hi int64, reserve bool) extremes {
	e := extremes{divide: 1}
	least := int64(math.MinInt16)
	if reserve {
		least++
	}
	room := math.MaxInt16 - least
	switch {
	case lo >= least && hi <= math.MaxInt16:
	case hi-lo <= room:
		e.shift = lo - least
	default:
		e.shift = (lo + hi) / 2
		e.divide = (hi-lo)/(2*(math.MaxInt16-1)) + 1
	}
	step := l.Scale.Mul(ecg.Int(e.divide))
	base := l.Baseline.Add(l.Scale.Mul(ecg.Int(e.shift)))
	need := max(stored(e, hi), -stored(e, lo), 1)
	if reserve {
		need++
	}
	units := []unitOf{{l.Unit, ecg.Int(1)}}
	if l.Voltage() {
		units = []unitOf{{"uV", ecg.Int(1)}, {"mV", ecg.Frac(1, 1000)}, {"nV", ecg.Int(1000)}}
	}
	for _, u := range units {
		if d, ok := digital(step.Mul(u.factor), base.Mul(u.factor), need); ok {
			e.put(u, step, base, d)
			return e
		}
	}
	e.put(units[0], step, base, math.MaxInt16)
	return e
}

type unitOf struct {
	name   string
	factor ecg.Rat
}

func stored(e extremes, v int64) int64 { return (v - e.shift) / e.divide }

// put fills in the extremes for digital values of ±d, or from −32768 where d is the whole range.
func (e *extremes) put(u unitOf, step, base ecg.Rat, d int64) {
	e.unit, e.digMin, e.digMax = u.name, -d, d
	if d == math.MaxInt16 {
		e.digMin = math.MinInt16
	}
	var a, b bool
	e.physMin, a = number(base.Add(step.Mul(ecg.Int(e.digMin))).Mul(u.factor))
	e.physMax, b = number(base.Add(step.Mul(ecg.Int(e.digMax))).Mul(u.factor))
	e.exact = a && b && e.physMin != e.physMax
	if e.physMin == e.physMax { // readers divide by the difference
		e.physMin, e.physMax = "0", "1"
	}
}

// digital returns the largest d of at least need for which the physical values of ±d have eight characters.
func digital(step, base ecg.Rat, need int64) (int64, bool) {
	fits := func(lo, hi int64) bool {
		_, a := number(base.Add(step.Mul(ecg.Int(lo))))
		_, b := number(base.Add(step.Mul(ecg.Int(hi))))
		return a && b
	}
	if fits(math.MinInt16, math.MaxInt16) {
		return math.MaxInt16, true
	}
	for _, round := range []int64{1000, 500, 250, 125, 100, 50, 25, 20, 10, 8, 5, 4, 2, 1} {
		for d := (math.MaxInt16 - 1) / round * round; d >= need; d -= round {
			if fits(-d, d) {
				return d, true
			}
			if round == 1 && d < math.MaxInt16-2000 {
				break // coarser steps have been tried all the way down
			}
		}
	}
	return 0, false
}
