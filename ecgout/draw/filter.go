package draw

import "math"

// A display filter is a Butterworth of second order, run forward and then backward, so that its phase is zero
// and QRS, ST and T stay where they are. The pole frequency is moved so that both runs together are at −3 dB
// at the stated edge. Runs between missing samples are filtered each by itself, with the signal continued
// beyond its ends by point reflection, so that an edge makes no wave.

// biquad is y = b0·x + b1·x₁ + b2·x₂ − a1·y₁ − a2·y₂, in the transposed form.
type biquad struct{ b0, b1, b2, a1, a2 float64 }

// twoRuns is (√2 − 1)^¼: |H|⁴ of a Butterworth whose pole is moved by it is one half at the edge.
var twoRuns = math.Pow(math.Sqrt2-1, 0.25)

func lowPass(hz, rate float64) biquad {
	k := math.Tan(math.Pi*hz/rate) / twoRuns
	n := 1 / (1 + math.Sqrt2*k + k*k)
	return biquad{k * k * n, 2 * k * k * n, k * k * n, 2 * (k*k - 1) * n, (1 - math.Sqrt2*k + k*k) * n}
}

func highPass(hz, rate float64) biquad {
	k := math.Tan(math.Pi*hz/rate) * twoRuns
	n := 1 / (1 + math.Sqrt2*k + k*k)
	return biquad{n, -2 * n, n, 2 * (k*k - 1) * n, (1 - math.Sqrt2*k + k*k) * n}
}

// notch is 2 Hz wide: mains wander by less, and what is narrower rings for longer after each QRS.
func notch(hz, rate float64) biquad {
	const width = 2.0
	w := 2 * math.Pi * hz / rate
	alpha := math.Sin(w) * width / (2 * hz)
	n := 1 / (1 + alpha)
	return biquad{n, -2 * math.Cos(w) * n, n, -2 * math.Cos(w) * n, (1 - alpha) * n}
}

// run filters v in place.
func (q biquad) run(v []float64) {
	var s1, s2 float64
	for i, x := range v {
		y := q.b0*x + s1
		s1 = q.b1*x - q.a1*y + s2
		s2 = q.b2*x - q.a2*y
		v[i] = y
	}
}

func reverse(v []float64) {
	for i, j := 0, len(v)-1; i < j; i, j = i+1, j-1 {
		v[i], v[j] = v[j], v[i]
	}
}

// effective returns the filters that a rate allows, Hz: an edge beyond 0.45 of it is no filter.
func (f Filters) effective(rate float64) Filters {
	if f.LowPassHz > 0.45*rate {
		f.LowPassHz = 0
	}
	if f.NotchHz > 0.45*rate {
		f.NotchHz = 0
	}
	return f
}

// apply filters v, whose NaNs are missing samples and stay, in place.
func (f Filters) apply(v []float64, rate float64) {
	f = f.effective(rate)
	var chain []biquad
	if f.HighPassHz > 0 {
		chain = append(chain, highPass(f.HighPassHz, rate))
	}
	if f.NotchHz > 0 {
		chain = append(chain, notch(f.NotchHz, rate))
	}
	if f.LowPassHz > 0 {
		chain = append(chain, lowPass(f.LowPassHz, rate))
	}
	if len(chain) == 0 {
		return
	}
	for from := 0; from < len(v); {
		if math.IsNaN(v[from]) {
			from++
			continue
		}
		to := from
		for to < len(v) && !math.IsNaN(v[to]) {
			to++
		}
		zeroPhase(chain, v[from:to], int(filterMargin*rate))
		from = to
	}
}

// zeroPhase filters one unbroken run in place, continued by pad samples at each end.
func zeroPhase(chain []biquad, v []float64, pad int) {
	n := len(v)
	if n < 2 {
		return
	}
	pad = min(pad, 16*n) // thousands of short runs must not cost seconds of continuation each
	w := make([]float64, n+2*pad)
	copy(w[pad:], v)
	for i := 1; i <= pad; i++ {
		w[pad-i] = 2*v[0] - v[fold(i, n)]
		w[pad+n-1+i] = 2*v[n-1] - v[n-1-fold(i, n)]
	}
	// The level goes: a run that begins far from zero would start with a step.
	level := w[0]
	keep := true
	for _, q := range chain {
		keep = keep && q.b0+q.b1+q.b2 > 1e-12 // no high-pass among them
	}
	for i := range w {
		w[i] -= level
	}
	for range 2 {
		for _, q := range chain {
			q.run(w)
		}
		reverse(w)
		if keep { // the second run begins at the other end's level
			back := w[0]
			for i := range w {
				w[i] -= back
			}
			level += back
		}
	}
	if !keep {
		level = 0
	}
	for i := range v {
		v[i] = w[pad+i] + level
	}
}

// fold folds an index beyond n samples back into them: 1, 2, … n−1, n−2, … 1, 0, 1, …
func fold(i, n int) int {
	period := 2 * (n - 1)
	if i %= period; i >= n {
		i = period - i
	}
	return i
}
