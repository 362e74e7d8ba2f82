package ecg

import (
	"io"
	"math"
	"math/big"
	"strconv"
)

// A limb lead is (a·first + b·second)/2 of two others (Einthoven, Goldberger): III = II − I,
// aVR = −(I+II)/2, aVL = I − II/2, aVF = II − I/2, and what follows from them when another pair is stored.
type combination struct {
	name string
	a, b int64 // halves
}

var limbPairs = []struct {
	first, second string
	leads         []combination
}{
	{"I", "II", []combination{{"III", -2, 2}, {"aVR", -1, -1}, {"aVL", 2, -1}, {"aVF", -1, 2}}},
	{"II", "III", []combination{{"I", 2, -2}, {"aVR", -2, 1}, {"aVL", 1, -2}, {"aVF", 1, 1}}},
	{"I", "III", []combination{{"II", 2, 2}, {"aVR", -2, -1}, {"aVL", 1, -1}, {"aVF", 1, 2}}},
}

// derived is one lead to compute: count = mul·first + mul2·second.
type derived struct {
	lead          Lead
	first, second int // indices of stored leads
	mul, mul2     int64
}

// Complete adds the limb leads that each group lacks and that follow from two stored ones, marked Derived.
// Halves stay exact: a derived lead has half the step of the stored ones where it needs it. Stored leads are
// never touched; that they agree with each other is checked over the first minute.
func (r *Recording) Complete() error {
	for n, g := range r.Groups {
		if g.source == nil {
			continue
		}
		if ok, err := g.consistent(); err != nil {
			return err
		} else if !ok {
			r.Warn(WarnLimbLeads, "group "+strconv.Itoa(n))
		}
		if !g.deriveLimbLeads() {
			r.Warn(WarnNotDerivable, "group "+strconv.Itoa(n))
		}
	}
	return nil
}

// deriveLimbLeads reports false when leads are missing and cannot be computed exactly.
func (g *Group) deriveLimbLeads() bool {
	for _, pair := range limbPairs {
		first, i := g.Lead(pair.first)
		second, j := g.Lead(pair.second)
		if first == nil || second == nil {
			continue
		}
		var add []derived
		for _, c := range pair.leads {
			if have, _ := g.Lead(c.name); have != nil {
				continue
			}
			d, ok := combine(first, second, c)
			if !ok {
				return false
			}
			d.first, d.second = i, j
			add = append(add, d)
		}
		if len(add) > 0 {
			g.extend(add)
		}
		return true
	}
	return true
}

// combine describes lead c of two stored leads; false when they are no voltages, share no time or have
// steps without a common measure that counts could hold.
func combine(first, second *Lead, c combination) (derived, bool) {
	if !first.Voltage() || !second.Voltage() || first.Start != second.Start || first.Length != second.Length || !first.Skew.Equal(second.Skew) {
		return derived{}, false
	}
	// Steps s and t are p·u and q·u of their largest common measure u.
	u := commonMeasure(first.Scale, second.Scale)
	p, pok := first.Scale.Mul(u.inverse()).Int64()
	q, qok := second.Scale.Mul(u.inverse()).Int64()
	const most = 1 << 15 // counts of 16 bits stay within 32
	if !pok || !qok || p > most || p < -most || q > most || q < -most {
		return derived{}, false
	}
	step, a, b := u.Mul(Frac(1, 2)), c.a*p, c.b*q
	if a%2 == 0 && b%2 == 0 {
		step, a, b = u, a/2, b/2
	}
	d := derived{mul: a, mul2: b}
	id, _, _ := LeadByName(c.name)
	d.lead = Lead{
		Unit: Microvolt, Scale: step,
		Baseline: first.Baseline.Mul(Frac(c.a, 2)).Add(second.Baseline.Mul(Frac(c.b, 2))),
		Start:    first.Start, Length: first.Length, Skew: first.Skew,
		Filters: first.Filters, Placement: first.Placement,
		Derived: true, DerivedBy: "tributary: " + first.Name + ", " + second.Name,
	}
	d.lead.Set(id)
	return d, true
}

func (a Rat) inverse() Rat { return Rat{new(big.Rat).Inv(a.big())} }

// commonMeasure returns the largest u of which both are whole multiples.
func commonMeasure(s, t Rat) Rat {
	a, b := s.Abs().big(), t.Abs().big()
	// gcd(n1/d1, n2/d2) = gcd(n1·d2, n2·d1) / (d1·d2)
	x := new(big.Int).Mul(a.Num(), b.Denom())
	y := new(big.Int).Mul(b.Num(), a.Denom())
	return Rat{new(big.Rat).SetFrac(new(big.Int).GCD(nil, nil, x, y), new(big.Int).Mul(a.Denom(), b.Denom()))}
}

// extend adds leads that are computed from each block as it is read.
func (g *Group) extend(add []derived) {
	stored := g.source
	n := len(g.Leads)
	for _, d := range add {
		g.Leads = append(g.Leads, d.lead)
	}
	g.source = func() (SampleReader, error) {
		r, err := stored()
		if err != nil {
			return nil, err
		}
		return &deriver{in: r, n: n, add: add}, nil
	}
}

type deriver struct {
	in  SampleReader
	n   int // stored leads
	add []derived
	b   Block
}

func (r *deriver) Next(b *Block) error {
	err := r.in.Next(&r.b)
	if err != nil {
		b.Resize(r.b.Start, r.n+len(r.add), 0)
		return err
	}
	b.Resize(r.b.Start, r.n+len(r.add), r.b.Len)
	for i := range r.n {
		copy(b.Counts[i], r.b.Counts[i])
		if r.b.Missing[i] != nil {
			b.Missing[i] = append([]bool(nil), r.b.Missing[i]...)
		}
	}
	for k, d := range r.add {
		x, y, out := b.Counts[d.first], b.Counts[d.second], b.Counts[r.n+k]
		for j := range out {
			v := int64(x[j])*d.mul + int64(y[j])*d.mul2
			if b.IsMissing(d.first, j) || b.IsMissing(d.second, j) || v > math.MaxInt32 || v < math.MinInt32 {
				b.Miss(r.n+k, j)
				continue
			}
			out[j] = int32(v)
		}
	}
	return nil
}

// consistent reports whether stored I, II and III satisfy III = II − I within two steps over the first
// minute. Groups that lack one of them do.
func (g *Group) consistent() (bool, error) {
	one, i := g.Lead("I")
	two, j := g.Lead("II")
	three, k := g.Lead("III")
	if one == nil || two == nil || three == nil || !one.Voltage() || !two.Voltage() || !three.Voltage() {
		return true, nil
	}
	r, err := g.Samples()
	if err != nil {
		return true, err
	}
	s1, s2, s3 := one.Scale.Float64(), two.Scale.Float64(), three.Scale.Float64()
	base := two.Baseline.Sub(one.Baseline).Sub(three.Baseline).Float64()
	// Each of the three may be off by a step of rounding; devices that filter leads one by one are off by
	// another.
	slack := 2*math.Max(math.Abs(s1), math.Max(math.Abs(s2), math.Abs(s3))) + 1
	until := int64(60 * g.Rate.Float64())
	var b Block
	off, all := 0, 0
	for b.Start+int64(b.Len) < until {
		if err := r.Next(&b); err == io.EOF {
			break
		} else if err != nil {
			return true, err
		}
		for n := range b.Len {
			if b.IsMissing(i, n) || b.IsMissing(j, n) || b.IsMissing(k, n) {
				continue
			}
			all++
			d := float64(b.Counts[j][n])*s2 - float64(b.Counts[i][n])*s1 - float64(b.Counts[k][n])*s3 + base
			if math.Abs(d) > slack {
				off++
			}
		}
	}
	return off*100 <= all, nil // lone samples at a lead switch or a calibration pulse are no fault of the leads
}
