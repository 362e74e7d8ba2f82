package dimse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

// everyPDU has each PDU with each item that we know.
func everyPDU() []PDU {
	rq := testRQ()
	rq.User.AsyncWindow = &AsyncOperationsWindow{Invoked: 0, Performed: 3}
	rq.User.Roles = []RoleSelection{{ctStorage, false, true}, {mrStorage, true, true}}
	rq.User.ImplementationVersionName = "TEST 1"
	rq.User.Extended = []ExtendedNegotiation{{patFind, []byte{1, 0, 1}}}
	rq.User.Identity = &UserIdentity{IdentityUsernamePasscode, true, []byte("anna"), []byte("secret")}
	return []PDU{
		rq,
		&AssociateAC{
			ProtocolVersion: 1, CalledAETitle: "SCP", CallingAETitle: "SCU", ApplicationContext: ApplicationContext,
			Contexts: []ContextAnswer{{1, ContextAccepted, ImplicitVRLittleEndian}, {3, ContextNoReason, ""}},
			User:     UserInformation{MaxLength: 131072, IdentityAnswer: []byte{}},
		},
		&AssociateRJ{1, 1, 7},
		&PDataTF{[]PDV{{1, true, true, echoRQ()}, {3, false, false, []byte{}}, {3, false, true, []byte("abc")}}},
		&ReleaseRQ{},
		&ReleaseRP{},
		&Abort{2, 6},
	}
}

func TestPDURoundTrip(t *testing.T) {
	for _, p := range everyPDU() {
		b := p.AppendTo(nil)
		got, err := ReadPDU(bytes.NewReader(b), 1<<20)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%T: got %+v, %v; want %+v", p, got, err, p)
		}
		if _, err := ReadPDU(bytes.NewReader(b), len(b)-pduHeader-1); err == nil {
			t.Errorf("%T passes its limit", p)
		}
		for n := range b {
			_, err := ReadPDU(bytes.NewReader(b[:n]), 1<<20)
			if want := io.ErrUnexpectedEOF; n > 0 && !errors.Is(err, want) {
				t.Fatalf("%T cut at %d: %v, want %v", p, n, err, want)
			}
		}
	}
}

// TestAssociateRQCuts cuts the body and corrects the PDU length: items must notice.
func TestAssociateRQCuts(t *testing.T) {
	b := everyPDU()[0].AppendTo(nil)[pduHeader:]
	for n := range b {
		p, err := decodeAssociateRQ(b[:n], DefaultLimits())
		if err == nil && (len(p.Contexts) > 4 || p.User.Identity != nil) {
			t.Errorf("cut at %d decodes to everything", n)
		}
	}
}

func TestUserIdentityIsNotPrinted(t *testing.T) {
	rq := everyPDU()[0].(*AssociateRQ)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "rq", rq, "identity", rq.User.Identity, "user", rq.User)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "rq", rq, "identity", rq.User.Identity, "user", rq.User)
	js, err := json.Marshal(rq)
	if err != nil {
		t.Fatal(err)
	}
	id := rq.User.Identity
	all := log.String() + string(js) + fmt.Sprintf("%v %+v %#v %s %x %v %+v %v", id, id, id, id, id, *id, rq, rq.User)
	for _, secret := range []string{"anna", "secret", "616e6e61", "c2VjcmV0", "115 101"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is printed in %s", secret, all)
		}
	}
}

func TestValidUID(t *testing.T) {
	for uid, want := range map[string]bool{
		"1.2.840.10008.1.1": true, "2.25.0": true, "1": true, "1.02": true,
		"": false, ".": false, "1.": false, ".1": false, "1..2": false, "1.a": false, "1/2": false,
		"../../../tmp/x": false, string(' ') + "1.2": false, "1.2\x00": false,
		strings.Repeat("1", 64): true, strings.Repeat("1", 65): false,
	} {
		if ValidUID(uid) != want {
			t.Errorf("ValidUID(%q) = %v", uid, !want)
		}
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := (Limits{}).Validate(); err != nil {
		t.Errorf("zero limits: %v", err)
	}
	if (Limits{}).withDefaults() != DefaultLimits() {
		t.Error("zero limits are not the defaults")
	}
	err := Limits{MaxPDU: 1, MaxContexts: 500, ARTIM: -1}.Validate()
	for _, field := range []string{"MaxPDU", "MaxContexts", "ARTIM"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	v := reflect.ValueOf(DefaultLimits())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("no default for %s", v.Type().Field(i).Name)
		}
	}
}
