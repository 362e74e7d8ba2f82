package ecg

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Bounds of numbers that come as text. Real scales have at most eight digits; DICOM's DS has 16
// characters. Without a bound, "1e999999999" is a gigabyte of digits.
const (
	maxNumberText = 64
	maxExponent   = 60
)

// ErrNumber is the error of text that is no finite decimal number, or one beyond reason.
var ErrNumber = errors.New("not a decimal number")

// Rat is an exact rational number: scales, baselines, rates and times are kept as the file states them,
// because 2.5 µV steps put samples on halves that a float rounds either way. The zero value is 0. A Rat
// never changes.
type Rat struct{ r *big.Rat }

var zeroRat = new(big.Rat)

func (a Rat) big() *big.Rat {
	if a.r == nil {
		return zeroRat
	}
	return a.r
}

// Int returns n.
func Int(n int64) Rat { return Rat{new(big.Rat).SetInt64(n)} }

// Frac returns num/den. It panics when den is 0: denominators from files are checked before.
func Frac(num, den int64) Rat { return Rat{big.NewRat(num, den)} }

// ParseRat reads a decimal number: sign, digits with a point or a comma, and an exponent. Spaces around it
// are allowed. NaN, infinities, fractions and hexadecimal are not.
func ParseRat(text string) (Rat, error) {
	s := strings.TrimSpace(text)
	if s == "" || len(s) > maxNumberText {
		return Rat{}, ErrNumber
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i+1:]
		e, err := strconv.Atoi(exponent)
		if err != nil || e > maxExponent || e < -maxExponent {
			return Rat{}, ErrNumber
		}
	}
	mantissa = strings.Replace(mantissa, ",", ".", 1)
	digits, points := 0, 0
	for i, c := range []byte(mantissa) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			points++
		case (c == '+' || c == '-') && i == 0:
		default:
			return Rat{}, ErrNumber
		}
	}
	if digits == 0 || points > 1 {
		return Rat{}, ErrNumber
	}
	if r, ok := shortRat(mantissa, digits); ok && exponent == "" {
		return r, nil
	}
	if exponent != "" {
		mantissa += "e" + exponent
	}
	r, ok := new(big.Rat).SetString(mantissa)
	if !ok {
		return Rat{}, ErrNumber
	}
	return Rat{r}, nil
}

// shortRat reads a decimal number of at most 18 digits, as most are, without the long way; the mantissa was
// checked.
func shortRat(mantissa string, digits int) (Rat, bool) {
	if digits > 18 {
		return Rat{}, false
	}
	num, den, behind := int64(0), int64(1), false
	for _, c := range []byte(mantissa) {
		switch {
		case c == '.':
			behind = true
		case c >= '0' && c <= '9':
			num = 10*num + int64(c-'0')
			if behind {
				den *= 10
			}
		}
	}
	if mantissa[0] == '-' {
		num = -num
	}
	if den == 1 {
		return Int(num), true
	}
	return Frac(num, den), true
}

// MustRat is ParseRat for constants of the program; it panics on anything else.
func MustRat(text string) Rat {
	r, err := ParseRat(text)
	if err != nil {
		panic(fmt.Sprintf("ecg: %q: %v", text, err))
	}
	return r
}

// FromFloat returns f exactly, as formats that store binary floats mean it. NaN, infinities and values
// beyond 1e60 or, other than 0, below 1e-60 are errors.
func FromFloat(f float64) (Rat, error) {
	if a := math.Abs(f); math.IsNaN(f) || a > 1e60 || a != 0 && a < 1e-60 {
		return Rat{}, ErrNumber
	}
	return Rat{new(big.Rat).SetFloat64(f)}, nil
}

// Add returns a+b.
func (a Rat) Add(b Rat) Rat { return Rat{new(big.Rat).Add(a.big(), b.big())} }

// Sub returns a−b.
func (a Rat) Sub(b Rat) Rat { return Rat{new(big.Rat).Sub(a.big(), b.big())} }

// Mul returns a·b.
func (a Rat) Mul(b Rat) Rat { return Rat{new(big.Rat).Mul(a.big(), b.big())} }

// Quo returns a/b, and false when b is 0.
func (a Rat) Quo(b Rat) (Rat, bool) {
	if b.Sign() == 0 {
		return Rat{}, false
	}
	return Rat{new(big.Rat).Quo(a.big(), b.big())}, true
}

// Neg returns −a.
func (a Rat) Neg() Rat { return Rat{new(big.Rat).Neg(a.big())} }

// Abs returns |a|.
func (a Rat) Abs() Rat { return Rat{new(big.Rat).Abs(a.big())} }

// Pow10 returns a·10^n for n of −60 to 60; other n are cut to that.
func (a Rat) Pow10(n int) Rat {
	n = max(-maxExponent, min(maxExponent, n))
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil)
	if n >= 0 {
		return a.Mul(Rat{new(big.Rat).SetInt(p)})
	}
	return a.Mul(Rat{new(big.Rat).SetFrac(big.NewInt(1), p)})
}

// Cmp compares: −1, 0 or +1.
func (a Rat) Cmp(b Rat) int { return a.big().Cmp(b.big()) }

// Equal reports whether a and b are the same number.
func (a Rat) Equal(b Rat) bool { return a.Cmp(b) == 0 }

// Sign returns −1, 0 or +1.
func (a Rat) Sign() int { return a.big().Sign() }

// IsZero reports whether a is 0.
func (a Rat) IsZero() bool { return a.Sign() == 0 }

// Float64 returns the nearest float64, for display and drawing.
func (a Rat) Float64() float64 {
	f, _ := a.big().Float64()
	return f
}

// Int64 returns a, and whether a is a whole number that fits.
func (a Rat) Int64() (int64, bool) {
	r := a.big()
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}

// Fraction returns numerator and denominator (positive, no common factor), and whether both fit.
func (a Rat) Fraction() (num, den int64, ok bool) {
	r := a.big()
	if !r.Num().IsInt64() || !r.Denom().IsInt64() {
		return 0, 0, false
	}
	return r.Num().Int64(), r.Denom().Int64(), true
}

// Round returns the nearest integer, ties to even, and whether it fits.
func (a Rat) Round() (int64, bool) {
	r := a.big()
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int)) // m ≥ 0
	switch m.Lsh(m, 1).Cmp(r.Denom()) {
	case 1:
		q.Add(q, big.NewInt(1))
	case 0:
		if q.Bit(0) == 1 {
			q.Add(q, big.NewInt(1))
		}
	}
	return q.Int64(), q.IsInt64()
}

// String returns the shortest exact decimal ("2.5", "4.88"), or "num/den" where no decimal of up to 40
// places is exact (a third).
func (a Rat) String() string {
	r := a.big()
	if r.IsInt() {
		return r.Num().String()
	}
	places, exact := decimalPlaces(r.Denom())
	if !exact || places > 40 {
		return r.String()
	}
	return r.FloatString(places)
}

// decimalPlaces returns how many places 1/den needs, and whether any number of them is exact.
func decimalPlaces(den *big.Int) (int, bool) {
	twos := int(den.TrailingZeroBits())
	rest := new(big.Int).Rsh(den, uint(twos))
	five, mod, fives := big.NewInt(5), new(big.Int), 0
	for rest.Cmp(big.NewInt(1)) > 0 {
		if fives > 64 {
			return 0, false
		}
		q, m := new(big.Int).DivMod(rest, five, mod)
		if m.Sign() != 0 {
			return 0, false
		}
		rest = q
		fives++
	}
	return max(twos, fives), true
}

// MarshalText returns String.
func (a Rat) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *Rat) UnmarshalText(text []byte) error {
	num, den, fraction := strings.Cut(string(text), "/")
	n, err := ParseRat(num)
	if err != nil {
		return err
	}
	if fraction {
		d, err := ParseRat(den)
		if err != nil {
			return err
		}
		q, ok := n.Quo(d)
		if !ok {
			return ErrNumber
		}
		n = q
	}
	*a = n
	return nil
}
