package dimse

import (
	"fmt"
	"log/slog"
)

// Kinds of user identity (PS3.7 §D.3.3.7).
const (
	IdentityUsername         byte = 1
	IdentityUsernamePasscode byte = 2
	IdentityKerberos         byte = 3
	IdentitySAML             byte = 4
	IdentityJWT              byte = 5
)

// UserIdentity is the item 58H (PS3.7 §D.3.3.7). It prints as its kind alone.
type UserIdentity struct {
	Kind              byte
	ResponseRequested bool
	Primary           []byte // user name, ticket, assertion or token
	Secondary         []byte // passcode, kind 2 only
}

// Format prints the kind for every verb.
func (u UserIdentity) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(u.redacted())) }

// LogValue implements slog.LogValuer.
func (u UserIdentity) LogValue() slog.Value { return slog.StringValue(u.redacted()) }

// MarshalText keeps the secrets out of JSON and its like.
func (u UserIdentity) MarshalText() ([]byte, error) { return []byte(u.redacted()), nil }

func (u UserIdentity) redacted() string {
	return "user identity of kind " + string('0'+u.Kind%10) + " [redacted]"
}
