package uid

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// standards finds the folder of the standard's tables, or skips.
func standards(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("TRIBUTARY_SHARED")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; dir == "" && wd != filepath.Dir(wd); wd = filepath.Dir(wd) {
			if _, err := os.Stat(filepath.Join(wd, "shared", "corpora")); err == nil {
				dir = filepath.Join(wd, "shared")
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "standards", "dicom", name))
	if err != nil {
		t.Skipf("the standard's tables are not here (set TRIBUTARY_SHARED): %v", err)
	}
	return b
}

func TestTablesAreSoundAndSorted(t *testing.T) {
	if !sort.SliceIsSorted(sopClasses[:], func(i, j int) bool { return sopClasses[i].uid < sopClasses[j].uid }) {
		t.Error("sopClasses is not sorted")
	}
	for _, c := range sopClasses {
		if err := Valid(c.uid); err != nil || c.name == "" {
			t.Errorf("%s %q: %v", c.uid, c.name, err)
		}
		want := strings.Contains(c.name, "Storage") && !strings.Contains(c.name, "Commitment") &&
			c.name != "Media Storage Directory Storage"
		if got := IsStorage(c.uid); got != want {
			t.Errorf("IsStorage(%s) = %v, want %v: %s", c.uid, got, want, c.name)
		}
	}
	seen := map[string]bool{}
	for _, u := range TransferSyntaxes() {
		s, ok := TransferSyntax(u)
		if !ok || s.UID != u || s.Name == "" || Valid(u) != nil || seen[u] {
			t.Errorf("TransferSyntax(%s) = %+v, %v", u, s, ok)
		}
		seen[u] = true
		if s.Encapsulated && (!s.ExplicitVR || s.BigEndian) {
			t.Errorf("%s: encapsulated is explicit VR little endian (PS3.5 §A.4)", u)
		}
	}
}

func TestSOPClassesOfTheStandard(t *testing.T) {
	var sops []struct{ Name, ID string }
	if err := json.Unmarshal(standards(t, "sops.json"), &sops); err != nil {
		t.Fatal(err)
	}
	if len(sops) == 0 {
		t.Fatal("no SOP classes")
	}
	for _, s := range sops {
		name, ok := SOPClassName(s.ID)
		if !ok || strings.TrimSuffix(name, " Storage") != strings.TrimSuffix(s.Name, " Storage") {
			t.Errorf("SOPClassName(%s) = %q, %v; want %q", s.ID, name, ok, s.Name)
		}
		if want := s.ID != "1.2.840.10008.1.3.10"; IsStorage(s.ID) != want {
			t.Errorf("IsStorage(%s) = %v: %s", s.ID, !want, s.Name)
		}
	}
}

func TestTransferSyntaxTraits(t *testing.T) {
	for _, want := range []Syntax{
		{UID: "1.2.840.10008.1.2", Name: "Implicit VR Little Endian"},
		{UID: "1.2.840.10008.1.2.2", Name: "Explicit VR Big Endian", ExplicitVR: true, BigEndian: true, Retired: true},
		{UID: "1.2.840.10008.1.2.1.99", Name: "Deflated Explicit VR Little Endian", ExplicitVR: true, Deflated: true},
		{UID: "1.2.840.10008.1.2.4.95", Name: "JPIP Referenced Deflate", ExplicitVR: true, Deflated: true},
		{UID: "1.2.840.10008.1.2.8.1", Name: "Deflated Image Frame Compression", ExplicitVR: true, Encapsulated: true},
		{UID: "1.2.840.10008.1.2.4.106.1", Name: "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", ExplicitVR: true, Encapsulated: true, Video: true},
		{UID: "1.2.840.113619.5.2", Name: "GE Private Implicit VR Little Endian, Big Endian Pixel Data"},
	} {
		if got, ok := TransferSyntax(want.UID); !ok || got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if _, ok := TransferSyntax("1.2.840.10008.1.2.3"); ok {
		t.Error("unknown syntax found")
	}
}

func TestIsStorage(t *testing.T) {
	for u, want := range map[string]bool{
		"":                               false,
		"nonsense":                       false,
		"1.2.840.10008":                  false,
		"1.2.840.10008.1.1":              false, // Verification
		"1.2.840.10008.1.20.1":           false, // Storage Commitment Push Model
		"1.2.840.10008.1.3.10":           false, // Media Storage Directory
		"1.2.840.10008.3.1.2.3.3":        false, // Modality Performed Procedure Step
		"1.2.840.10008.5.1.1.1":          false, // Basic Film Session
		"1.2.840.10008.5.1.4.1.2.2.1":    false, // Study Root - FIND
		"1.2.840.10008.5.1.4.31":         false, // Modality Worklist
		"1.2.840.10008.5.1.4.34.6.1":     false, // UPS Push
		"1.2.840.10008.5.1.4.1.1.200.5":  false,
		"1.2.840.10008.5.1.4.1.1.":       false,
		"1.2.840.10008.5.1.4.1.1.9.1.1":  true,
		"1.2.840.10008.5.1.4.1.1.3":      true, // retired
		"1.2.840.10008.5.1.4.1.1.9999.1": true, // of a later edition
		"1.3.12.2.1107.5.9.1":            true, // private: Siemens CSA Non-Image
		"1.2.840.100089.1":               true, // not under the standard's root
		"1.2.840.10008.5.1.4.34.7":       true,
		"1.2.840.10008.5.1.4.38.1":       true,
		"1.2.840.10008.5.1.4.38.2":       false,
	} {
		if got := IsStorage(u); got != want {
			t.Errorf("IsStorage(%q) = %v, want %v", u, got, want)
		}
	}
}

func TestValid(t *testing.T) {
	long := "1." + strings.Repeat("2", 62)
	for _, c := range []struct {
		s               string
		strict, lenient error
	}{
		{"1.2.840.10008.1.1", nil, nil},
		{"0", nil, nil},
		{"0.0.0", nil, nil},
		{"1.20.300", nil, nil},
		{long, nil, nil},
		{long + "2", ErrTooLong, ErrTooLong},
		{"", ErrEmpty, ErrEmpty},
		{".", ErrComponent, ErrComponent},
		{"1..2", ErrComponent, ErrComponent},
		{"1.2.", ErrComponent, ErrComponent},
		{".1", ErrComponent, ErrComponent},
		{"1.02.3", ErrLeadingZero, nil},
		{"01.2", ErrLeadingZero, nil},
		{"1.00", ErrLeadingZero, nil},
		{"1.2 ", ErrCharacter, ErrCharacter},
		{"1.2\x00", ErrCharacter, ErrCharacter},
		{"../../etc", ErrComponent, ErrComponent},
		{"1.2.a", ErrCharacter, ErrCharacter},
	} {
		if err := Valid(c.s); !errors.Is(err, c.strict) {
			t.Errorf("Valid(%q) = %v, want %v", c.s, err, c.strict)
		}
		if err := ValidLenient(c.s); !errors.Is(err, c.lenient) {
			t.Errorf("ValidLenient(%q) = %v, want %v", c.s, err, c.lenient)
		}
	}
}

func TestFromHash(t *testing.T) {
	a, b := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
	u := FromHash("clinic", a[:])
	if Valid(u) != nil || !strings.HasPrefix(u, "2.25.") {
		t.Fatalf("FromHash = %q", u)
	}
	if n, ok := new(big.Int).SetString(u[5:], 10); !ok || n.BitLen() > 128 {
		t.Errorf("%q is no 128-bit number", u)
	}
	if u != FromHash("clinic", a[:]) {
		t.Error("not deterministic")
	}
	for _, other := range []string{FromHash("county", a[:]), FromHash("clinic", b[:]), FromHash("", a[:])} {
		if other == u {
			t.Errorf("collision: %s", u)
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, s := range []string{"", "1.2.840.10008.1.1", "1.02", "..", "2.25.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if Valid(s) == nil && ValidLenient(s) != nil {
			t.Errorf("%q is valid strictly but not leniently", s)
		}
		if ValidLenient(s) == nil && (strings.Trim(s, "0123456789.") != "" || len(s) > MaxLength) {
			t.Errorf("%q passed", s)
		}
		IsStorage(s)
		SOPClassName(s)
		TransferSyntax(s)
	})
}
