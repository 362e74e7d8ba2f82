package draw

import (
	"math"
	"testing"
)

func sine(hz, rate float64, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.Sin(2 * math.Pi * hz * float64(i) / rate)
	}
	return v
}

// response returns amplitude and shift in time (samples) of a sine in the middle of a run.
func response(f Filters, hz, rate float64) (gain, shift float64) {
	n := int(20 * rate)
	v := sine(hz, rate, n)
	f.apply(v, rate)
	var a, b, w float64
	for i := n / 4; i < 3*n/4; i++ {
		p := 2 * math.Pi * hz * float64(i) / rate
		a, b, w = a+v[i]*math.Sin(p), b+v[i]*math.Cos(p), w+0.5
	}
	return math.Hypot(a, b) / w, math.Atan2(b, a) / (2 * math.Pi * hz) * rate
}

func TestFilterResponse(t *testing.T) {
	for _, c := range []struct {
		f         Filters
		hz        float64
		low, high float64 // bounds of the amplitude
	}{
		{Filters{LowPassHz: 40}, 40, 0.700, 0.714}, // −3 dB
		{Filters{LowPassHz: 40}, 10, 0.99, 1.001},
		{Filters{LowPassHz: 40}, 120, 0, 0.03},
		{Filters{LowPassHz: 100}, 100, 0.700, 0.714},
		{Filters{LowPassHz: 150}, 150, 0.700, 0.714},
		{Filters{HighPassHz: 0.5}, 0.5, 0.69, 0.72},
		{Filters{HighPassHz: 0.5}, 5, 0.99, 1.001},
		{Filters{HighPassHz: 0.5}, 0.1, 0, 0.05},
		{Filters{NotchHz: 50}, 50, 0, 0.01},
		{Filters{NotchHz: 50}, 47, 0.8, 1.001},
		{Filters{NotchHz: 60}, 60, 0, 0.01},
		{Filters{NotchHz: 60}, 50, 0.97, 1.001},
	} {
		for _, rate := range []float64{500, 1000} {
			gain, shift := response(c.f, c.hz, rate)
			if gain < c.low || gain > c.high {
				t.Errorf("%+v at %v Hz, sampled at %v: amplitude %.4f, want %v to %v", c.f, c.hz, rate, gain, c.low, c.high)
			}
			if gain > 0.1 && math.Abs(shift) > 0.02*rate/c.hz {
				t.Errorf("%+v at %v Hz: shifted by %v samples", c.f, c.hz, shift)
			}
		}
	}
}

// TestFilterEdges: a level stays level to the last sample, a gap stays a gap, and no wave grows at either end.
func TestFilterEdges(t *testing.T) {
	for _, f := range []Filters{{LowPassHz: 40}, {NotchHz: 50}, {LowPassHz: 150, NotchHz: 60}, {HighPassHz: 0.5}} {
		want := 3.0
		if f.HighPassHz > 0 {
			want = 0
		}
		v := make([]float64, 3000)
		for i := range v {
			v[i] = 3
			if i >= 1000 && i < 1200 || i == 2000 {
				v[i] = math.NaN()
			}
		}
		f.apply(v, 500)
		for i, x := range v {
			gap := i >= 1000 && i < 1200 || i == 2000
			if math.IsNaN(x) != gap || !gap && math.Abs(x-want) > 1e-9 {
				t.Fatalf("%+v: sample %d is %v", f, i, x)
			}
		}
	}
	v := []float64{math.NaN(), 1, math.NaN(), 2, 3}
	Filters{LowPassHz: 40}.apply(v, 500)
	if v[1] != 1 || math.IsNaN(v[3]) || math.IsNaN(v[4]) {
		t.Errorf("short runs: %v", v)
	}
}

// TestFilterMargin: the first and last second of a stretch look as they do in the middle of a longer one.
func TestFilterMargin(t *testing.T) {
	rec := synth(500, 10, "II")
	f := Options{Layout: L12x1, Filters: Filters{0.5, 40, 50}}
	whole := mustPlan(t, rec, f)
	f.Start, f.Length = 3e9, 2e9
	part := mustPlan(t, rec, f)
	a, _ := readSVG(t, svgOf(t, whole))
	b, _ := readSVG(t, svgOf(t, part))
	at := map[float64]float64{}
	for _, p := range tracesOf(a, "II")[0][0] {
		at[math.Round(100*(p.x-75))/100] = p.y
	}
	n := 0
	for _, p := range tracesOf(b, "II")[0][0] {
		if y, ok := at[math.Round(100*p.x)/100]; ok {
			n++
			if math.Abs(y-p.y) > 0.05 {
				t.Errorf("at %v mm: %v, and %v within the whole", p.x, p.y, y)
			}
		}
	}
	if n < 500 {
		t.Errorf("%d points compared", n)
	}
}
