package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// TestLogHasNoPatients sends patients' data in every way that goes well and ill, and searches the node's
// log for them, in both of its forms.
func TestLogHasNoPatients(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds; not with -short")
	}
	t.Parallel() // most of it is waiting
	secrets := map[string]bool{"Nobody": true, "HOSTILE-1": true, "DROP TABLE": true, "onerror": true, "Zhang": true, "张": true, "P99999": true, "Liu-Wei": true}
	type sample struct {
		name string
		file []byte
	}
	samples := []sample{
		{"Liu-Wei-1970.dcm", object{number: 99999 * 20, pixels: 1024}.file()},
		{"Liu-Wei-cut.dcm", object{number: 99999*20 + 1, pixels: 1024}.file()[:900]},
		{"Liu-Wei-other.dcm", object{number: 99999 * 20, pixels: 2048}.file()}, // a conflict
		{"Liu-Wei.txt", []byte("Zhang San, P99999, came today")},
	}
	for _, c := range hostile.DICOM() {
		var b bytes.Buffer
		if n, err := b.ReadFrom(c.Data()); err == nil && n < 256<<10 {
			samples = append(samples, sample{"Liu-Wei-" + c.Name, b.Bytes()})
		}
	}
	if dir := filepath.Join(sharedOrNone(), "corpora", "dicom"); dir != "" {
		if _, err := os.Stat(dir); err == nil {
			_, names, files := corpus(t)
			for _, name := range names {
				file, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
				if err != nil {
					t.Fatal(err)
				}
				if len(file) > 64<<10 {
					continue // the larger ones add time, not names
				}
				samples = append(samples, sample{name, file})
				want := files[name]
				secrets[want.PatientID] = true
				if g := want.PatientNameGroups; g != nil {
					for _, group := range []string{g.Alphabetic, g.Ideographic, g.Phonetic} {
						for _, part := range strings.Split(group, "^") {
							secrets[part] = true
						}
					}
				}
			}
		}
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			address, args := serveArgs(t, dir, "--log-format", format, "--log-level", "info")
			p := begin(t, args...)
			p.ready(t, address)
			n := &testnode.Node{URL: "http://" + address, DICOM: args[slices.Index(args, "--dicom")+1], AET: "TRIBUTARY"}
			for _, via := range doors {
				s := sender(n, via)
				for _, x := range samples {
					o, err := device.Bytes(x.name, x.file)
					if err != nil {
						t.Fatal(err)
					}
					if via == device.ViaDICOM && !o.DICOM() {
						continue
					}
					if _, err := s.Send(t.Context(), o); device.Temporary(err) {
						t.Fatalf("%s by %s: %v", x.name, via, err)
					}
				}
				_ = s.Close() // every answer is in
			}
			for _, path := range []string{"/dicom-web/studies?PatientName=Zhang*&PatientID=P99999", "/dicom-web/studies?PatientBirthDate=Zhang", "/dicom-web/Zhang", "/quarantine/Zhang"} {
				n.Get(t, path)
			}
			if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if code := p.wait(t); code != 0 {
				t.Errorf("exit %d", code)
			}
			log := strings.ReplaceAll(p.err.String(), dir, "DATA") // the folder's name has this test's
			log = timestamp.ReplaceAllString(log, "")
			if !strings.Contains(log, "draining") {
				t.Fatalf("this is no log of a whole run:\n%.1000s", log)
			}
			for secret := range secrets {
				if !telling(secret) {
					continue
				}
				for line := range strings.Lines(log) {
					if strings.Contains(line, secret) {
						t.Errorf("%q is in the log: %.300s", secret, line)
						break
					}
				}
			}
		})
	}
}

// timestamp is when a line was logged: digits that may look like somebody's ID.
var timestamp = regexp.MustCompile(`"?time"?[=:]"?[0-9T:.+-]+Z?`)

// telling reports whether a text would mean a patient and is no accident: a word, an ideograph, or a number
// longer than that of a port.
func telling(secret string) bool {
	if strings.Trim(secret, "0123456789") == "" {
		return len(secret) > 5
	}
	return len(secret) > 3 || strings.IndexFunc(secret, func(r rune) bool { return r > 0x2E80 }) >= 0
}

// sharedOrNone is testnode.Shared for tests that have something to do without it.
func sharedOrNone() string {
	if dir := os.Getenv("TRIBUTARY_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil {
		if _, serr := os.Stat(filepath.Join(dir, "shared", "corpora")); serr == nil {
			return filepath.Join(dir, "shared")
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		break
	}
	return ""
}
