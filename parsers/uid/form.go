package uid

import (
	"crypto/sha256"
	"errors"
	"math/big"
)

// MaxLength is the most characters that a UID has (PS3.5 §9.1).
const MaxLength = 64

// Ways in which a string is no UID.
var (
	ErrEmpty       = errors.New("uid: empty")
	ErrTooLong     = errors.New("uid: more than 64 characters")
	ErrCharacter   = errors.New("uid: a character other than digits and dots")
	ErrComponent   = errors.New("uid: an empty component")
	ErrLeadingZero = errors.New("uid: a component with a leading zero")
)

// Valid checks s against PS3.5 §9.1: 1 to 64 characters, digits and dots only, no component empty, none
// with a leading zero but "0" itself. s must be without padding.
func Valid(s string) error {
	if err := ValidLenient(s); err != nil {
		return err
	}
	for i := range len(s) - 1 {
		if s[i] == '0' && s[i+1] != '.' && (i == 0 || s[i-1] == '.') {
			return ErrLeadingZero
		}
	}
	return nil
}

// ValidLenient checks s as Valid does, but lets leading zeros pass: real archives are full of UIDs made
// from dates such as "….20190304.070512", and they identify as well as any.
func ValidLenient(s string) error {
	switch {
	case s == "":
		return ErrEmpty
	case len(s) > MaxLength:
		return ErrTooLong
	}
	prev := byte('.')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if prev == '.' {
				return ErrComponent
			}
		case c < '0' || c > '9':
			return ErrCharacter
		}
		prev = s[i]
	}
	if prev == '.' {
		return ErrComponent
	}
	return nil
}

// FromHash derives a UID under 2.25 (PS3.5 §B.2) from a tenant's name and the SHA-256 of an object
// without UIDs of its own, so that the same object sent again is the same instance. To name several
// things of one object, hash with a suffix of one's own. The 128 bits are shaped as a version 8 UUID
// (RFC 9562 §5.8).
func FromHash(tenant string, sum []byte) string {
	h := sha256.New()
	h.Write([]byte("tributary uid\x00"))
	h.Write([]byte(tenant))
	h.Write([]byte{0})
	h.Write(sum)
	var b [sha256.Size]byte
	u := h.Sum(b[:0])[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return "2.25." + new(big.Int).SetBytes(u).String()
}
