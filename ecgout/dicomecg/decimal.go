package dicomecg

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// maxDecimal is the length of a decimal string (PS3.5 §6.2, DS).
const maxDecimal = 16

// decimal returns r as a decimal string, exactly if 16 characters can say it; otherwise to as many digits as
// they hold, and false.
func decimal(r ecg.Rat) (string, bool) {
	if s := r.String(); len(s) <= maxDecimal && !strings.Contains(s, "/") {
		return s, true
	}
	if digits, exponent, ok := scientific(r); ok {
		if s := scientificText(digits, exponent); len(s) <= maxDecimal {
			return s, true
		}
	}
	f := r.Float64()
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return "0", false
	}
	for precision := 15; precision > 0; precision-- {
		for _, s := range []string{strconv.FormatFloat(f, 'g', precision, 64), strconv.FormatFloat(f, 'e', precision-1, 64)} {
			if len(s) <= maxDecimal {
				back, err := ecg.ParseRat(s)
				return s, err == nil && back.Equal(r)
			}
		}
	}
	return "0", false
}

func scientificText(digits *big.Int, exponent int) string {
	if exponent == 0 {
		return digits.String()
	}
	return digits.String() + "E" + strconv.Itoa(exponent)
}

// scientific returns r as digits·10^exponent, and false when no such numbers of reasonable size are exact.
func scientific(r ecg.Rat) (digits *big.Int, exponent int, ok bool) {
	s := r.String()
	if strings.Contains(s, "/") || len(s) > 120 {
		return nil, 0, false
	}
	whole, places, _ := strings.Cut(s, ".")
	digits, ok = new(big.Int).SetString(whole+places, 10)
	if !ok || digits.Sign() == 0 {
		return digits, 0, ok
	}
	exponent = -len(places)
	ten, rest := big.NewInt(10), new(big.Int)
	for {
		q, m := new(big.Int).DivMod(digits, ten, rest)
		if m.Sign() != 0 {
			return digits, exponent, true
		}
		digits, exponent = q, exponent+1
	}
}

// product returns two decimal strings whose product is r: Channel Sensitivity and its Correction Factor. The
// second is "1" where one string is enough. Binary fractions of 16 and more bits take two. When two cannot
// say r either, the first is the nearest.
func product(r ecg.Rat) (sensitivity, correction string, exact bool) {
	s, exact := decimal(r)
	if exact {
		return s, "1", true
	}
	digits, exponent, ok := scientific(r)
	if !ok {
		return s, "1", false
	}
	a, b, ok := split(digits)
	if !ok {
		return s, "1", false
	}
	first, second := scientificText(a, exponent), b.String()
	if len(first) > maxDecimal || len(second) > maxDecimal {
		return s, "1", false
	}
	return first, second, true
}

// split parts n into two factors of few digits, by its small primes.
func split(n *big.Int) (a, b *big.Int, ok bool) {
	a, b = big.NewInt(int64(n.Sign())), big.NewInt(1)
	rest := new(big.Int).Abs(n)
	var factors []*big.Int
	for p := int64(2); p < 2000 && rest.Cmp(big.NewInt(1)) > 0; p++ {
		prime := big.NewInt(p)
		for {
			q, m := new(big.Int).DivMod(rest, prime, new(big.Int))
			if m.Sign() != 0 {
				break
			}
			factors, rest = append(factors, prime), q
		}
	}
	factors = append(factors, rest)
	for i := len(factors) - 1; i >= 0; i-- { // the large ones first
		smaller := &b
		if a.CmpAbs(b) <= 0 {
			smaller = &a
		}
		*smaller = new(big.Int).Mul(*smaller, factors[i])
	}
	const most = 12 // digits, so that sign and exponent have a place
	return a, b, len(a.String()) <= most+1 && len(b.String()) <= most+3
}
