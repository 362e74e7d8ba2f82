package ecg

import "math"

// Scaler turns counts into integer values, rounded to nearest with ties to even, in exact arithmetic.
type Scaler struct {
	scale, base Rat

	// value = (count·mul + add) / den when fast
	mul, add, den int64
	fast          bool
}

// NewScaler returns the scaler of count·scale + baseline.
func NewScaler(scale, baseline Rat) *Scaler {
	s := &Scaler{scale: scale, base: baseline}
	n, d, ok := scale.Fraction()
	bn, bd, bok := baseline.Fraction()
	const half = 1 << 31
	if ok && bok && d < half && bd < half {
		den := d * bd // below 2^62
		if n < half && n > -half && bn < half && bn > -half {
			mul, add := n, bn
			if bd != 1 || d != 1 {
				mulR, aok := Int(n).Mul(Int(bd)).Int64()
				addR, bok := Int(bn).Mul(Int(d)).Int64()
				if !aok || !bok || mulR >= half || mulR <= -half {
					return s
				}
				mul, add = mulR, addR
			}
			if add < math.MaxInt64/4 && add > -math.MaxInt64/4 && den < math.MaxInt64/4 {
				s.mul, s.add, s.den, s.fast = mul, add, den, true
			}
		}
	}
	return s
}

// Scaler returns the scaler of the lead's values.
func (l *Lead) Scaler() *Scaler { return NewScaler(l.Scale, l.Baseline) }

// Round returns the value of a count, rounded; false when it is beyond int32.
func (s *Scaler) Round(count int32) (int32, bool) {
	var v int64
	if s.fast {
		x := int64(count)*s.mul + s.add
		q := x / s.den
		m := x - q*s.den
		if m < 0 {
			q, m = q-1, m+s.den
		}
		switch {
		case 2*m > s.den, 2*m == s.den && q&1 != 0:
			q++
		}
		v = q
	} else {
		var ok bool
		if v, ok = Int(int64(count)).Mul(s.scale).Add(s.base).Round(); !ok {
			return 0, false
		}
	}
	return int32(v), v >= math.MinInt32 && v <= math.MaxInt32
}
