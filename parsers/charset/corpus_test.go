package charset

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shared finds the folder of shared corpora, or skips.
func shared(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("TRIBUTARY_SHARED"); dir != "" {
		return dir
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; wd != filepath.Dir(wd); wd = filepath.Dir(wd) {
		if _, err := os.Stat(filepath.Join(wd, "shared", "corpora")); err == nil {
			return filepath.Join(wd, "shared")
		}
	}
	t.Skip("the shared corpora are not here (set TRIBUTARY_SHARED)")
	return ""
}

// TestCorpus decodes Patient's Name of the corpus' files in many character sets.
func TestCorpus(t *testing.T) {
	dir := filepath.Join(shared(t), "corpora", "dicom")
	raw, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected struct {
		Files map[string]struct {
			Charset           string
			PatientNameGroups struct{ Alphabetic, Ideographic, Phonetic string }
		}
	}
	if err := json.Unmarshal(raw, &expected); err != nil {
		t.Fatal(err)
	}
	done := 0
	for name, want := range expected.Files {
		if !strings.HasPrefix(name, "charset/") && !strings.Contains(name, "MarekLatin2") {
			continue
		}
		file, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		got, note := Parse(string(value(file, 0x0008, 0x0005, "CS"))).Decode(value(file, 0x0010, 0x0010, "PN"), "PN")
		got = strings.TrimRight(got, " =\x00")
		g := want.PatientNameGroups
		text := strings.TrimRight(strings.Join([]string{g.Alphabetic, g.Ideographic, g.Phonetic}, "="), "=")
		if got != text || note&Replaced != 0 {
			t.Errorf("%s (%s): %q (note %d), want %q", name, want.Charset, got, note, text)
		}
		done++
	}
	if done < 15 {
		t.Errorf("only %d files found", done)
	}
}

// value returns the value of the first element that looks like tag in a little endian file.
func value(file []byte, group, element uint16, vr string) []byte {
	tag := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, group), element)
	if i := bytes.Index(file, append(append([]byte{}, tag...), vr...)); i >= 0 {
		n := int(binary.LittleEndian.Uint16(file[i+6:]))
		return file[i+8 : i+8+n]
	}
	if i := bytes.Index(file, tag); i >= 0 {
		n := int(binary.LittleEndian.Uint32(file[i+4:]))
		return file[i+8 : i+8+n]
	}
	return nil
}
