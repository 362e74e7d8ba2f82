package sniff

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

func sharedDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("TRIBUTARY_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "shared", "corpora")); err == nil {
			return filepath.Join(dir, "shared")
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("no shared/corpora above the working directory and TRIBUTARY_SHARED is not set")
		}
		dir = up
	}
}

func pad(s string, n int) string { return s + strings.Repeat("\x00", max(0, n-len(s))) }

func utf16(s string, big bool) string {
	var b []byte
	if big {
		b = append(b, 0xFE, 0xFF)
	} else {
		b = append(b, 0xFF, 0xFE)
	}
	for _, r := range s {
		if big {
			b = binary.BigEndian.AppendUint16(b, uint16(r))
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(r))
		}
	}
	return string(b)
}

// scpHead is section 0 without its name, whose pointer table starts with itself at offset first.
func scpHead(first uint32) string {
	b := []byte{0x12, 0x34, 0, 4, 0, 0, 0x56, 0x78, 0, 0}
	b = binary.LittleEndian.AppendUint32(b, 136)
	b = append(b, 13, 13, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, 136)
	b = binary.LittleEndian.AppendUint32(b, first)
	return pad(string(b), 200)
}

func edfHead(signals string) string {
	b := []byte(strings.Repeat(" ", 256))
	copy(b, "0       ")
	copy(b[184:], "768")
	copy(b[252:], signals)
	return string(b)
}

var samples = []struct {
	name, head string
	want       Format
}{
	{"nothing", "", Unknown},
	{"zeros", strings.Repeat("\x00", 127), Unknown},
	{"preamble", pad("", 128) + "DICM\x02\x00\x00\x00UL\x04\x00", DICOM},
	{"executable preamble", pad("MZ", 128) + "DICM\x02\x00", DICOM},
	{"PDF preamble", pad("%PDF-1.4", 128) + "DICM\x02\x00", DICOM},
	{"bare File Meta", "\x02\x00\x00\x00UL\x04\x00\x10\x00\x00\x00", DICOM},
	{"bare explicit", "\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", DICOM},
	{"bare big endian", "\x00\x08\x00\x05CS\x00\x0aISO_IR 100", DICOM},
	{"bare implicit", "\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100", DICOM},
	{"SCP", pad("\x12\x34\x00\x04\x00\x00\x00\x00\x00\x00\x88\x00\x00\x00\x14\x14SCPECG", 64), SCPECG},
	{"SCP without name", scpHead(7), SCPECG},
	{"Heal Force", scpHead(6), HealForce},
	{"aECG", `<?xml version="1.0"?><!-- c --><AnnotatedECG xmlns="urn:hl7-org:v3">`, AECG},
	{"aECG with prefix", `<h:AnnotatedECG xmlns:h="urn:hl7-org:v3">`, AECG},
	{"aECG with mark", "\xef\xbb\xbf<AnnotatedECG>", AECG},
	{"MUSE", `<?xml version="1.0"?><!DOCTYPE RestingECG SYSTEM "restecg.dtd"><RestingECG>`, MUSE},
	{"MUSE with subset", `<!DOCTYPE x [<!ENTITY a "b>">]><RestingECG>`, MUSE},
	{"Sierra, little", utf16(`<?xml version="1.0" encoding="utf-16"?><restingecgdata xmlns="x">`, false), Sierra},
	{"Sierra, big", utf16(`<restingecgdata>`, true), Sierra},
	{"CardioSoft", "<?xml version=\"1.0\" ?>\r\n<CardiologyXML>", CardioSoft},
	{"ELI", `<ECG ACQUISITION_TIME="1"><CHANNEL NAME="I">`, ELI},
	{"ELI, demographics first", `<ECG ACQUISITION_TIME="20240229"><SUBJECT/>`, ELI},
	{"aECG in GBK with a style sheet", "<?xml version=\"1.0\" encoding=\"GBK\"?>\r\n<?xml-stylesheet href=\"a.xsl\"?>\n<!-- \xd0\xc4\xb5\xe7\xcd\xbc -->\n<AnnotatedECG>", AECG},
	{"FHIR JSON with mark", "\xef\xbb\xbf{\n\"resourceType\":\"Bundle\"", FHIR},
	{"another ECG", `<ECG><lead/></ECG>`, XML},
	{"Zoncare", `<zqecg><lead>12</lead>`, Zoncare},
	{"Schiller", `<data><examdescript>`, Schiller},
	{"FHIR XML", `<Observation xmlns="http://hl7.org/fhir">`, FHIR},
	{"FHIR JSON", ` { "resourceType" : "Observation" }`, FHIR},
	{"JSON", `{"a":1}`, Unknown},
	{"HTML", `<html><body>`, Unknown},
	{"EDF", edfHead("2"), EDF},
	{"EDF of another length", edfHead("3"), Unknown},
	{"EDF of another length with its start", edfHead("3")[:168] + "16.11.2021:44:39" + edfHead("3")[184:], EDF},
	{"BDF", pad("\xffBIOSEMI", 256), BDF},
	{"ISHNE", "ISHNE1.0\x00\x00", ISHNE},
	{"ISHNE annotations", "ANN  1.0", ISHNEAnn},
	{"MFER", "@ MFR Standard 12 leads ECG", MFER},
	{"MFER with E", "@  MFER standard", MFER},
	{"MFER chain", "\x01\x01\x00\x02\x03\x01\x02\x03\x08\x02\x01\x00\x0b\x04\x01\xfd\x00\x02\x04\x02\x00\x01\x1e\x84\x00\x00\x10\x00", MFER},
	{"at sign", "@home", Unknown},
	{"Contec", pad("0000050\x00\x00\x002020-11-16 21:44:39", 64), Contec},
	{"WFDB", "# c\n100 2 360 650000\r\n100.dat 212 200 11", WFDBHeader},
	{"WFDB segments", "041s/2 7 125 2000\n041s01 1000\n", WFDBHeader},
	{"prose", "hello 2 you\nand 16 more\nlines", Unknown},
	{"other prose", "hello world\nand all", Unknown},
	{"PDF", "%PDF-1.7\n", PDF},
	{"PDF behind junk", "\x00\x01junk\n%PDF-1.7\n", PDF},
	{"ZIP", "PK\x03\x04\x14\x00", ZIP},
	{"GZIP", "\x1f\x8b\x08\x00", GZIP},
	{"TAR", pad("name", 257) + "ustar\x0000", TAR},
	{"JPEG", "\xff\xd8\xff\xe0", JPEG},
	{"PNG", "\x89PNG\r\n\x1a\n", PNG},
	{"MP4", "\x00\x00\x00\x18ftypmp42", MP4},
}

func TestDetect(t *testing.T) {
	for _, s := range samples {
		if got := Detect([]byte(s.head)); got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
	}
}

func TestHostileDICOM(t *testing.T) {
	for _, c := range hostile.DICOM() {
		if c.Number <= 3 {
			continue
		}
		head := make([]byte, HeadBytes)
		n, _ := c.Data().Read(head)
		if got := Detect(head[:n]); got != DICOM {
			t.Errorf("%d %s: %s", c.Number, c.Name, got)
		}
	}
}

func headOf(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[:min(len(b), HeadBytes)]
}

func TestECGCorpus(t *testing.T) {
	root := filepath.Join(sharedDir(t), "corpora", "ecg")
	text, err := os.ReadFile(filepath.Join(root, "expected.json"))
	if err != nil {
		t.Skip(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	ours := map[string]Format{
		"aecg": AECG, "bdf": BDF, "cardiosoft": CardioSoft, "contec": Contec, "dicom": DICOM, "edf": EDF, "fhir": FHIR,
		"ishne": ISHNE, "mfer": MFER, "muse": MUSE, "pdf": PDF, "philips": Sierra, "scp": SCPECG, "wfdb": WFDBHeader,
	}
	except := map[string]Format{"ishne/ECG_P28.01.ann": ISHNEAnn, "scp/healforce_62.SCP": HealForce}
	for name, entry := range all {
		var e struct{ Format string }
		if json.Unmarshal(entry, &e) != nil || e.Format == "" {
			continue
		}
		want, known := except[name]
		if !known {
			want = ours[e.Format]
		}
		if got := Detect(headOf(t, filepath.Join(root, filepath.FromSlash(name)))); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestDICOMCorpus(t *testing.T) {
	root := filepath.Join(sharedDir(t), "corpora", "dicom")
	text, err := os.ReadFile(filepath.Join(root, "expected.json"))
	if err != nil {
		t.Skip(err)
	}
	var all struct{ Files map[string]json.RawMessage }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for name := range all.Files {
		if got := Detect(headOf(t, filepath.Join(root, filepath.FromSlash(name)))); got != DICOM {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestFormatNames(t *testing.T) {
	for _, s := range samples {
		f := s.want
		if f.String() == "" || f.MediaType() == "" || f.ECG() && !f.Kept() || f.Archive() && f.Kept() {
			t.Errorf("%q: %q, ECG %t, kept %t", f, f.MediaType(), f.ECG(), f.Kept())
		}
	}
}

func FuzzDetect(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.head))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got := Detect(in)
		if got == "" {
			t.Fatal("no name")
		}
		if got == DICOM && !part10.LooksLikeDICOM(in) {
			t.Fatal("the scanner would not agree")
		}
		if long := append(in[:len(in):len(in)], "tail"...); len(in) >= HeadBytes && Detect(long) != got {
			t.Fatal("looked beyond the head")
		}
	})
}
