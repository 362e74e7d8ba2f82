package ecg

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// TestParseRatShort compares the short way with math/big's.
func TestParseRatShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[+-]?[0-9]{0,10}\.?[0-9]{1,10}`).Draw(t, "text")
		got, err := ParseRat(text)
		want, ok := new(big.Rat).SetString(text)
		if err != nil || !ok || got.big().Cmp(want) != 0 {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	})
}
