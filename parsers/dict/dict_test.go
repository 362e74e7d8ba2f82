package dict

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

func TestTableIsSorted(t *testing.T) {
	if !sort.SliceIsSorted(attributes[:], func(i, j int) bool { return attributes[i].tag < attributes[j].tag }) {
		t.Error("attributes is not sorted")
	}
	if len(attributes)+len(repeating) > math.MaxUint16 {
		t.Error("too many attributes for the keyword index")
	}
}

func TestVRAndKeyword(t *testing.T) {
	for _, c := range []struct {
		tag         uint32
		vr, keyword string
	}{
		{0x00080005, "CS", "SpecificCharacterSet"},
		{0x00100010, "PN", "PatientName"},
		{0x00020010, "UI", "TransferSyntaxUID"},
		{0x00280106, "US/SS", "SmallestImagePixelValue"},
		{0x00283006, "US/OW", "LUTData"},
		{0x7FE00010, "OB/OW", "PixelData"},
		{0x7FE00001, "OV", "ExtendedOffsetTable"},
		{0x54000100, "SQ", "WaveformSequence"},
		{0x60003000, "OB/OW", "OverlayData"},
		{0x60223000, "OB/OW", "OverlayData"},
		{0x501E0005, "US", "CurveDimensions"},
		{0x50010005, "", ""}, // odd group
		{0x60013000, "", ""},
		{0x00203110, "CS", "SourceImageIDs"},
		{0x10000010, "US", "EscapeTriplet"},
		{0x10105678, "US", "ZonalMap"},
		{0xFFFEE000, "", "Item"},
		{0x00080000, "UL", ""}, // group length
		{0x00090010, "LO", ""}, // private creator
		{0x00091001, "", ""},
		{0x00090001, "", ""},
		{0x00010010, "", ""}, // groups 0001 to 0007 are no private groups
		{0xFFFFFFFF, "", ""},
		{0x00180061, "DS", ""}, // retired, its keyword lost
	} {
		if vr, keyword := VR(c.tag), Keyword(c.tag); vr != c.vr || keyword != c.keyword {
			t.Errorf("%08X is %q %q, want %q %q", c.tag, vr, keyword, c.vr, c.keyword)
		}
	}
}

func TestTag(t *testing.T) {
	for keyword, want := range map[string]uint32{
		"PatientName": 0x00100010, "OverlayData": 0x60003000, "PixelData": 0x7FE00010, "StudyInstanceUID": 0x0020000D,
	} {
		if got, ok := Tag(keyword); !ok || got != want {
			t.Errorf("Tag(%s) = %08X, %v", keyword, got, ok)
		}
	}
	for _, keyword := range []string{"", "patientname", "Zzz", "Patient Name"} {
		if got, ok := Tag(keyword); ok {
			t.Errorf("Tag(%q) = %08X", keyword, got)
		}
	}
}

// TestAgainstTheStandard compares with the list that the table was made from.
func TestAgainstTheStandard(t *testing.T) {
	var list []struct{ Tag, Keyword, ValueRepresentation string }
	if err := json.Unmarshal(standard(t), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 5000 {
		t.Fatalf("only %d attributes", len(list))
	}
	for _, a := range list {
		digits := strings.NewReplacer("(", "", ")", "", ",", "").Replace(a.Tag)
		if a.ValueRepresentation == "" && a.Keyword == "" {
			continue
		}
		// Twos for free digits: an even group, and beside the attributes that (0028,04X0) would hide.
		n, err := strconv.ParseUint(strings.ReplaceAll(digits, "X", "2"), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		tag := uint32(n)
		vr := strings.ReplaceAll(a.ValueRepresentation, " or ", "/")
		if vr == "See Note 2" {
			vr = ""
		}
		if got := VR(tag); got != vr {
			t.Errorf("VR(%08X) = %q, want %q", tag, got, vr)
		}
		if got := Keyword(tag); got != a.Keyword {
			t.Errorf("Keyword(%08X) = %q, want %q", tag, got, a.Keyword)
		}
		if a.Keyword == "" {
			continue
		}
		tag, ok := Tag(a.Keyword)
		want := strings.ReplaceAll(digits, "X", "0")
		if got := strings.ToUpper(strconv.FormatUint(uint64(tag)|1<<32, 16)[1:]); !ok || got != want {
			t.Errorf("Tag(%s) = %s, %v; want %s", a.Keyword, got, ok, want)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	Tag("PatientName")
	if n := testing.AllocsPerRun(100, func() { VR(0x00100010); Keyword(0x60223000); Tag("PatientName") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// standard returns the standard's list of attributes, or skips.
func standard(t *testing.T) []byte {
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
	b, err := os.ReadFile(filepath.Join(dir, "standards", "dicom", "attributes.json"))
	if err != nil {
		t.Skipf("the standard's tables are not here (set TRIBUTARY_SHARED): %v", err)
	}
	return b
}
