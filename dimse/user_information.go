package dimse

import (
	"bytes"
	"encoding/binary"
)

// UserInformation is the User Information item (PS3.8 §9.3.2.3, PS3.7 Annex D.3.3).
type UserInformation struct {
	MaxLength                 uint32 // of P-DATA-TF that its sender takes, in bytes; 0 is no limit
	ImplementationClassUID    string
	ImplementationVersionName string
	AsyncWindow               *AsyncOperationsWindow // nil: absent, which means 1 and 1
	Roles                     []RoleSelection
	Extended                  []ExtendedNegotiation
	Identity                  *UserIdentity // requests only
	IdentityAnswer            []byte        // server response of item 59H, answers only; nil: absent
}

func (u *UserInformation) appendTo(b []byte) []byte {
	return appendItem(b, itemUserInformation, func(b []byte) []byte {
		b = appendItem(b, itemMaxLength, func(b []byte) []byte {
			return binary.BigEndian.AppendUint32(b, u.MaxLength)
		})
		if u.ImplementationClassUID != "" {
			b = appendStringItem(b, itemImplementationUID, u.ImplementationClassUID)
		}
		if w := u.AsyncWindow; w != nil {
			b = appendItem(b, itemAsyncWindow, func(b []byte) []byte {
				return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, w.Invoked), w.Performed)
			})
		}
		for _, r := range u.Roles {
			b = appendItem(b, itemRoleSelection, func(b []byte) []byte {
				return append(appendSized(b, r.SOPClassUID), flag(r.SCU), flag(r.SCP))
			})
		}
		if u.ImplementationVersionName != "" {
			b = appendStringItem(b, itemImplementationName, u.ImplementationVersionName)
		}
		for _, e := range u.Extended {
			b = appendItem(b, itemExtended, func(b []byte) []byte {
				return append(appendSized(b, e.SOPClassUID), e.Info...)
			})
		}
		if id := u.Identity; id != nil {
			b = appendItem(b, itemUserIdentity, func(b []byte) []byte {
				b = append(b, id.Kind, flag(id.ResponseRequested))
				return appendSized(appendSized(b, id.Primary), id.Secondary)
			})
		}
		if u.IdentityAnswer != nil {
			b = appendItem(b, itemUserIdentityAnswer, func(b []byte) []byte {
				return appendSized(b, u.IdentityAnswer)
			})
		}
		return b
	})
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// decodeUserInformation decodes the sub-items. One that we know and that is malformed breaks the protocol;
// one that we do not know is skipped (PS3.8 §9.3.1).
func decodeUserInformation(b []byte) (UserInformation, error) {
	var u UserInformation
	for len(b) > 0 {
		it, rest, err := nextItem(b)
		if err != nil {
			return u, err
		}
		b = rest
		if !u.decodeItem(it) {
			return u, violation(abortBadParam, "malformed user information item %02XH", it.kind)
		}
	}
	return u, nil
}

func (u *UserInformation) decodeItem(it item) (ok bool) {
	v := it.value
	switch it.kind {
	case itemMaxLength:
		if len(v) != 4 {
			return false
		}
		u.MaxLength = binary.BigEndian.Uint32(v)
	case itemImplementationUID:
		u.ImplementationClassUID = uidString(v)
	case itemImplementationName:
		u.ImplementationVersionName = uidString(v)
	case itemAsyncWindow:
		if len(v) != 4 {
			return false
		}
		u.AsyncWindow = &AsyncOperationsWindow{binary.BigEndian.Uint16(v), binary.BigEndian.Uint16(v[2:])}
	case itemRoleSelection:
		uid, rest, ok := cutSized(v)
		if !ok || len(rest) != 2 {
			return false
		}
		u.Roles = append(u.Roles, RoleSelection{uidString(uid), rest[0] == 1, rest[1] == 1})
	case itemExtended:
		uid, rest, ok := cutSized(v)
		if !ok {
			return false
		}
		u.Extended = append(u.Extended, ExtendedNegotiation{uidString(uid), bytes.Clone(rest)})
	case itemUserIdentity:
		if len(v) < 2 {
			return false
		}
		primary, rest, ok1 := cutSized(v[2:])
		secondary, _, ok2 := cutSized(rest)
		if !ok1 || !ok2 {
			return false
		}
		u.Identity = &UserIdentity{v[0], v[1] == 1, bytes.Clone(primary), bytes.Clone(secondary)}
	case itemUserIdentityAnswer:
		answer, _, ok := cutSized(v)
		if !ok {
			return false
		}
		u.IdentityAnswer = bytes.Clone(answer)
	}
	return true
}
