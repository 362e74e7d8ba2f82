package render

import (
	"math"
	"strings"
)

// Function is how a window maps values to grey (PS3.3 §C.11.2.1.2, §C.11.2.1.3).
type Function string

// VOI LUT Functions (0028,1056).
const (
	Linear      Function = "LINEAR"
	LinearExact Function = "LINEAR_EXACT"
	Sigmoid     Function = "SIGMOID"
)

// functionOf returns the function of an attribute's value; what is not known is Linear.
func functionOf(s string) Function {
	switch f := Function(s); f {
	case LinearExact, Sigmoid:
		return f
	}
	return Linear
}

// ParseFunction reads the name of a function as the window parameter has it: "linear", "linear-exact" or
// "sigmoid" (PS3.18 §8.3.5.1.4).
func ParseFunction(s string) (Function, bool) {
	switch f := Function(strings.ToUpper(strings.ReplaceAll(s, "-", "_"))); f {
	case Linear, LinearExact, Sigmoid:
		return f, true
	}
	return "", false
}

// Window is centre and width of the values that are shown, after the Modality LUT.
type Window struct {
	Center, Width float64
	Function      Function
}

// at returns the brightness of a value, 0 to 1.
func (w *Window) at(x float64) float64 {
	switch w.Function {
	case Sigmoid:
		return 1 / (1 + math.Exp(-4*(x-w.Center)/w.Width))
	case LinearExact:
		return clamp((x-w.Center)/w.Width + 0.5)
	}
	width := max(w.Width, 1) // LINEAR has no narrower one
	switch half := (width - 1) / 2; {
	case x <= w.Center-0.5-half:
		return 0
	case x > w.Center-0.5+half:
		return 1
	}
	return clamp((x-(w.Center-0.5))/(width-1) + 0.5)
}

// clamp keeps v within 0 and 1; NaN is 0.
func clamp(v float64) float64 {
	switch {
	case v >= 1:
		return 1
	case v > 0:
		return v
	}
	return 0
}
