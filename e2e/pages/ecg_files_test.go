package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

// TestECGOthers: what is no ECG has no page here, and says so.
func TestECGOthers(t *testing.T) {
	w := theWorld(t)
	at := func(i fixtures.Instance) string {
		return "/pages/ecg/" + i.StudyInstanceUID + "/" + i.SeriesInstanceUID + "/" + i.SOPInstanceUID
	}
	for path, want := range map[string]int{
		at(w.still): http.StatusUnsupportedMediaType, at(w.pdf): http.StatusUnsupportedMediaType, at(w.ecg): http.StatusOK,
		"/pages/ecg/1.2/3.4/5.6": http.StatusNotFound, "/pages/ecg/1.2/3.4/x": http.StatusNotFound,
		at(w.ecg) + "/recording": http.StatusOK, at(w.still) + "/samples": http.StatusUnsupportedMediaType,
		at(w.ecg) + "/samples?group=1": http.StatusNotFound, at(w.ecg) + "/samples?from=-1": http.StatusBadRequest,
	} {
		if status, _ := w.node.Get(t, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	tab := openECG(t, at(w.ecg), "lang=zh-CN", testbrowser.Desktop)
	contains(t, tab.Text(".ecg-banner"), "张晓东")
	tab.Screenshot("ecg-fixture")
}

// TestECGDerived: a file of another format can be looked at once a DICOM object was made of it, and the file be fetched.
func TestECGDerived(t *testing.T) {
	for _, pattern := range []string{"ecg/scp/*.scp", "ecg/aecg/hl7_Example_aECG.xml", "ecg/philips/129DYPRG.XML"} {
		t.Run(filepath.Base(filepath.Dir(pattern)), func(t *testing.T) {
			w := theWorld(t)
			file := corpus(t, pattern)[0]
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.send(bytes.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(body)
			path, original := derivedPage(t, hex.EncodeToString(sum[:]))
			tab := openECG(t, path, "lang=en", testbrowser.Desktop)
			link := testbrowser.Eval[string](tab, `[...document.querySelectorAll(".ecg-links a")].map((a) => a.getAttribute("href")).find((h) => h.startsWith("/originals/")) ?? ""`)
			if link != original {
				t.Errorf("the original is linked as %q, want %q", link, original)
			}
			if status, got := w.node.Get(t, link); status != http.StatusOK || !bytes.Equal(got, body) {
				t.Errorf("the original: %d, %d bytes", status, len(got))
			}
			banner := tab.Text(".ecg-banner")
			if strings.Contains(banner, "Unconfirmed machine reading") {
				t.Errorf("the object's words stand for the file's: %s", banner)
			}
			if strings.Contains(pattern, "philips") {
				contains(t, banner, "STAT", "Inferior infarct, acute", "Sinus bradycardia", "50 y", "41 /min")
			}
			tab.Screenshot("ecg-derived-" + filepath.Base(filepath.Dir(pattern)))
		})
	}
}

// derivedPage waits until an object was made of a file, and returns the path of its page and of the file.
func derivedPage(t *testing.T, sha string) (path, original string) {
	t.Helper()
	w := theWorld(t)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		status, body := w.node.Get(t, "/ecgs?limit=200")
		if status != http.StatusOK {
			t.Fatalf("/ecgs: %d", status)
		}
		var answer struct {
			ECGs []struct {
				Links struct{ Original, Instance string }
			}
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		for _, r := range answer.ECGs {
			if r.Links.Original == "" || r.Links.Instance == "" {
				continue
			}
			_, about := w.node.Get(t, r.Links.Original+"/about")
			var file struct{ SHA256, Study, Series, Instance string }
			if json.Unmarshal(about, &file) == nil && file.SHA256 == sha && file.Instance != "" {
				return "/pages/ecg/" + file.Study + "/" + file.Series + "/" + file.Instance, r.Links.Original
			}
		}
	}
	t.Fatal("no object was made of the file")
	return "", ""
}
