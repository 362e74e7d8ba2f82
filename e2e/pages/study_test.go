package pages

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

func TestStudyPage(t *testing.T) {
	w := theWorld(t)
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		pages := map[string]string{"loops": w.loops.StudyInstanceUID, "heart": w.heart.StudyInstanceUID, "mixed": w.mixed.StudyInstanceUID}
		if query == "lang=en" && v == testbrowser.Desktop {
			pages["versions"], pages["many"] = w.versions.StudyInstanceUID, w.many.StudyInstanceUID
		}
		for name, uid := range pages {
			tab := page(t, study(uid)+"?"+query, v)
			shown(tab)
			tab.Axe()
			tab.Screenshot("study-" + name + "-" + query[5:])
		}
	})
}

// shown makes the page load all small pictures, wherever they are, and waits until each is there or has given its place
// to words.
func shown(tab *testbrowser.Tab) {
	tab.Wait(`[...document.querySelectorAll(".thumb img")].map((i) => { i.loading = "eager"; return i.naturalWidth > 0 || i.hidden; }).every(Boolean)`)
}

func TestStudyShows(t *testing.T) {
	w := theWorld(t)
	tab := page(t, study(w.heart.StudyInstanceUID)+"?lang=en", testbrowser.Desktop)
	shown(tab)
	contains(t, tab.Text("main"), "张晓东", "K-20417", w.hanzi.Issuer, "1968-05-12", "Female", w.heart.AccessionNumber, "Other studies of this patient")
	if n := testbrowser.Eval[int](tab, `[...document.querySelectorAll(".thumb img")].filter((i) => i.naturalWidth > 0).length`); n != 2 {
		t.Errorf("%d pictures, want those of the ECG and of its scan", n)
	}
	// Other studies are of this person, and the namesake's is not there.
	links := testbrowser.Eval[string](tab, `[...document.querySelectorAll(".others a")].map((a) => a.pathname).join(" ")`)
	if links != study(w.loops.StudyInstanceUID) {
		t.Errorf("other studies: %s", links)
	}
	// The report is a PDF for the browser, the file a DICOM file.
	for selector, want := range map[string]string{
		`a.thumb[target="_blank"]`: "application/pdf", `a[download]`: "application/dicom",
	} {
		got := testbrowser.Eval[string](tab, `fetch(document.querySelector('`+selector+`').href).then((r) => r.status + " " + r.headers.get("Content-Type"))`)
		if !strings.HasPrefix(got, "200 "+want) {
			t.Errorf("%s: %s", selector, got)
		}
	}
	// Every viewer that is linked is there.
	for _, path := range testbrowser.Eval[[]string](tab, `[...document.querySelectorAll("a.thumb")].map((a) => a.pathname)`) {
		if !strings.HasPrefix(path, "/pages/") {
			continue
		}
		if status, _ := w.node.Get(t, path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestStudyOfMany(t *testing.T) {
	w := theWorld(t)
	tab := page(t, study(w.many.StudyInstanceUID)+"?lang=en", testbrowser.Desktop)
	tab.Click(`.series p .button`)
	tab.Wait(`location.search.includes("series=") && document.readyState === "complete"`)
	seen := testbrowser.Eval[int](tab, `document.querySelectorAll(".tile").length`)
	tab.Click(`a[rel="next"]`)
	tab.Wait(`location.search.includes("page=1") && document.readyState === "complete"`)
	seen += testbrowser.Eval[int](tab, `document.querySelectorAll(".tile").length`)
	if seen != len(w.manyInstances) {
		t.Errorf("%d of %d instances", seen, len(w.manyInstances))
	}
}

// uploaded sends a file and returns its study, once it is found.
func (w *world) uploaded(t *testing.T, path string) (uid string) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.node.URL+"/upload", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var receipt struct{ Study string }
	if err := json.Unmarshal(text, &receipt); err != nil || receipt.Study == "" {
		t.Fatalf("%s: %s %v", path, text, err)
	}
	return receipt.Study
}

// TestNoPreview: of pictures that the node does not decode, the tile names the transfer syntax.
func TestNoPreview(t *testing.T) {
	w := theWorld(t)
	uid := w.uploaded(t, corpus(t, "dicom/us/pydicom-data__US1_J2KR.dcm")[0])
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		tab := testbrowser.Open(t, v)
		tab.Allow("406")
		tab.Go(w.node.URL + study(uid) + "?" + query)
		shown(tab)
		// Other tests may have sent other instances of the study.
		tab.Wait(`[...document.querySelectorAll(".thumb .instead")].some((e) => e.offsetHeight > 0 && e.innerText.includes("JPEG 2000 Lossless"))`)
		tab.Axe()
		tab.Screenshot("study-nopreview-" + query[5:])
	})
}

// TestUrgent: a critical ECG of a cart is marked in the list and on its study, with what makes it critical.
func TestUrgent(t *testing.T) {
	w := theWorld(t)
	file := ""
	for _, f := range corpus(t, "ecg/philips/*") {
		if body, err := os.ReadFile(f); err == nil && bytes.Contains(bytes.ToLower(body), []byte("infarct, acute")) {
			file = f
			break
		}
	}
	if file == "" {
		t.Skip("the corpora have no critical ECG")
	}
	uid := w.uploaded(t, file)
	deadline := time.Now().Add(time.Minute) // until its DICOM object is made
	for {
		if status, _ := w.node.Get(t, study(uid)); status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the study is not there")
		}
		time.Sleep(50 * time.Millisecond)
	}
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		tab := page(t, study(uid)+"?"+query, v)
		shown(tab)
		stat := map[bool]string{true: "STAT", false: "危急"}[strings.HasSuffix(query, "en")]
		contains(t, tab.Text(".notice.bad"), stat)
		contains(t, strings.ToLower(tab.Text(".findings")), "infarct, acute")
		tab.Axe()
		tab.Screenshot("study-urgent-" + query[5:])
		tab.Go(w.node.URL + "/?q=" + uid)
		contains(t, tab.Text(`tr[data-study="`+uid+`"] .badge.bad`), stat)
	})
}
