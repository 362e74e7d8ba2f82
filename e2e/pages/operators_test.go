package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

// receipt is what the node answers for a file.
type receipt struct{ ID, Status, Study, Instance, Reason string }

// desk is what operators find in the tests that only look.
var desk struct {
	sync.Once
	quarantined, stored receipt
	conflict            receipt // the newer version
	err                 error
}

// patientOf is a person of these tests alone.
func patientOf(n int) fixtures.Patient {
	p := fixtures.Village(770, 16)[n]
	p.ID = fmt.Sprintf("OP-%d", n)
	return p
}

func whole(t testing.TB, i fixtures.Instance) []byte {
	t.Helper()
	body := i.Open()
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// post uploads bytes as a device does.
func (w *world) post(data []byte, name string) (r receipt, err error) {
	req, err := http.NewRequest(http.MethodPost, w.node.URL+"/upload", bytes.NewReader(data))
	if err != nil {
		return r, err
	}
	req.Header.Set("X-Filename", url.PathEscape(name))
	req.Header.Set("X-Device", "kit-7")
	req.Header.Set("X-Facility", "石桥镇卫生院")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	return r, json.NewDecoder(answer.Body).Decode(&r)
}

// twoVersions sends a picture, and another under its SOP Instance UID, whose patient is called another name.
func (w *world) twoVersions(t testing.TB, p fixtures.Patient) (first, second receipt) {
	t.Helper()
	still := func() []byte {
		return whole(t, p.NewStudy("US", "versions").UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64, Encoding: fixtures.NativeGray}))
	}
	p.Charset, p.Name = fixtures.UTF8, "Zhang^Wei=张^伟"
	var err error
	if first, err = w.post(still(), "first.dcm"); err != nil {
		t.Fatal(err)
	}
	p.Name = "Zhang^Wei=章^伟"
	if second, err = w.post(still(), "second.dcm"); err != nil {
		t.Fatal(err)
	}
	if first.Status != "stored" || second.Status != "conflict" {
		t.Fatalf("two versions are %q and %q", first.Status, second.Status)
	}
	return first, second
}

// truncated is a picture without its end.
func truncated(t testing.TB, p fixtures.Patient) []byte {
	data := whole(t, p.NewStudy("US", "truncated").UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64, Encoding: fixtures.NativeGray}))
	return data[:len(data)-1000]
}

func theDesk(t testing.TB) *world {
	t.Helper()
	w := theWorld(t)
	desk.Do(func() {
		if desk.quarantined, desk.err = w.post(truncated(t, patientOf(0)), "截断的图像.dcm"); desk.err != nil {
			return
		}
		desk.stored, desk.conflict = w.twoVersions(t, patientOf(1))
	})
	if desk.err != nil {
		t.Fatal(desk.err)
	}
	if desk.quarantined.Status != "quarantined" {
		t.Fatalf("a truncated picture is %+v", desk.quarantined)
	}
	return w
}

// TestOperatorsPages looks at every page in both languages and sizes.
func TestOperatorsPages(t *testing.T) {
	w := theDesk(t)
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		lang := strings.TrimPrefix(query, "lang=")
		tab := testbrowser.Open(t, v)
		for _, p := range [][2]string{
			{"upload", "/pages/upload?"},
			{"receipts", "/pages/receipts?"},
			{"nomatch", "/pages/receipts?device=nobody&status=stored&door=dimse&"},
			{"receipt", "/pages/receipts/" + desk.stored.ID + "?"},
			{"version", "/pages/receipts/" + desk.conflict.ID + "?"},
			{"held", "/pages/receipts/" + desk.quarantined.ID + "?"},
			{"quarantine", "/pages/quarantine?"},
			{"entry", "/pages/quarantine/" + desk.quarantined.ID + "?"},
			{"retry", "/pages/quarantine/" + desk.quarantined.ID + "/retry?"},
			{"remove", "/pages/quarantine/" + desk.quarantined.ID + "/remove?"},
			{"conflicts", "/pages/conflicts?"},
			{"conflict", "/pages/conflicts/" + desk.conflict.Instance + "?"},
			{"promote", "/pages/conflicts/" + desk.conflict.Instance + "/promote/" + desk.conflict.ID + "?"},
		} {
			tab.Go(w.node.URL + p[1] + query)
			if got := testbrowser.Eval[string](tab, `document.documentElement.lang + " " + document.querySelectorAll("h1").length`); got != lang+" 1" {
				t.Errorf("%s in %s: language and headings are %q", p[0], lang, got)
			}
			if v.Phone == (lang == "zh-CN") { // the other language has the same elements
				tab.Axe()
			}
			tab.Screenshot("operators-" + p[0] + "-" + lang)
		}
	})
}

// press moves the focus by the tab key until what a CSS selector finds has it, and presses Enter there.
func press(t *testing.T, tab *testbrowser.Tab, selector string) {
	t.Helper()
	for range 80 {
		tab.Key(kb.Tab)
		if testbrowser.Eval[bool](tab, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			if visible := testbrowser.Eval[string](tab, `getComputedStyle(document.activeElement).outlineStyle`); visible == "none" {
				t.Errorf("the focus on %s is not seen", selector)
			}
			tab.Key(kb.Enter)
			return
		}
	}
	t.Fatalf("%s is not reached by the keyboard", selector)
}

// TestQuarantineByKeyboard retries an entry in vain, then removes it.
func TestQuarantineByKeyboard(t *testing.T) {
	w := theWorld(t)
	rec, err := w.post(truncated(t, patientOf(8)), "keyboard.dcm")
	if err != nil {
		t.Fatal(err)
	}
	at := "/pages/quarantine/" + rec.ID
	tab := page(t, "/pages/quarantine?lang=en", testbrowser.Desktop)
	tab.Allow("422")
	badge := func() string {
		return testbrowser.Eval[string](tab, `document.querySelector("nav a[href='/pages/quarantine'] .badge")?.firstChild.textContent ?? ""`)
	}
	var waiting []any
	if _, list := w.node.Get(t, "/quarantine"); json.Unmarshal(list, &waiting) != nil || len(waiting) == 0 {
		t.Fatalf("the quarantine is %s", list)
	}
	for patience := time.Now().Add(time.Minute); badge() != fmt.Sprint(len(waiting)); { // counted now and then
		if time.Now().After(patience) {
			t.Fatalf("the navigation tells of %q in quarantine, there are %d", badge(), len(waiting))
		}
		time.Sleep(200 * time.Millisecond)
		tab.Go(w.node.URL + "/pages/quarantine")
	}
	press(t, tab, `a[href="`+at+`"]`)
	tab.Wait(`location.pathname === "` + at + `" && document.readyState === "complete"`)
	contains(t, tab.Text("main"), "The file is cut off", "keyboard.dcm", "44 49 43 4d") // DICM
	press(t, tab, `a[href="`+at+`/retry"]`)
	tab.Wait(`location.pathname.endsWith("/retry") && document.readyState === "complete"`)
	press(t, tab, `form button`)
	tab.Wait(`document.querySelector("[role=alert]")`)
	contains(t, tab.Text("[role=alert]"), "It still cannot be taken", "cut off")
	tab.Axe()
	tab.Screenshot("operators-invain")
	press(t, tab, `a[href="`+at+`/remove"]`)
	tab.Wait(`location.pathname.endsWith("/remove") && document.readyState === "complete"`)
	press(t, tab, `form button`)
	tab.Wait(`location.pathname === "/pages/quarantine" && document.readyState === "complete"`)
	contains(t, tab.Text(".notice.ok"), "removed")
	if text := tab.Text("main"); strings.Contains(text, "keyboard.dcm") {
		t.Error("what was removed is still listed")
	}
	if got, want := badge(), strings.TrimSuffix(fmt.Sprint(len(waiting)-1), "0"); len(waiting) < 10 && got != want {
		t.Errorf("after the removal the navigation tells of %q, want %q", got, want)
	}
	if status, _ := w.node.Get(t, at); status != http.StatusNotFound {
		t.Errorf("the entry is still there: %d", status)
	}
}

// TestConflictPromote lets readers see the newer version, then keeps it.
func TestConflictPromote(t *testing.T) {
	w := theWorld(t)
	first, second := w.twoVersions(t, patientOf(9))
	tab := page(t, "/pages/conflicts?lang=en", testbrowser.Desktop)
	at := "/pages/conflicts/" + second.Instance
	tab.Click(`a[href="` + at + `"]`)
	tab.Wait(`location.pathname === "` + at + `" && document.readyState === "complete"`)
	contains(t, tab.Text(".version.current"), "Readers see this", first.ID)
	contains(t, tab.Text("main"), "kit-7", "石桥镇卫生院", "Waits for a decision", "PatientName", "Zhang^Wei=章^伟")
	tab.Click(`a[href="` + at + "/promote/" + second.ID + `"]`)
	tab.Wait(`document.querySelector("form[method=post]")`)
	tab.Click("form[method=post] button")
	tab.Wait(`location.search.includes("done=promoted") && document.readyState === "complete"`)
	contains(t, tab.Text(".version.current"), second.ID)
	contains(t, tab.Text("main"), "Decided")
	// The page of a decision that somebody else has made meanwhile.
	tab.Allow("409")
	tab.Go(w.node.URL + at + "/promote/" + second.ID)
	contains(t, tab.Text("main"), "It changed meanwhile")
}

// TestForeignPages: a form on another site changes nothing.
func TestForeignPages(t *testing.T) {
	w := theDesk(t)
	for _, path := range []string{
		"/pages/quarantine/" + desk.quarantined.ID + "/remove", "/pages/quarantine/" + desk.quarantined.ID + "/retry",
		"/pages/conflicts/" + desk.conflict.Instance + "/promote/" + desk.conflict.ID, "/pages/upload",
	} {
		for name, header := range map[string]http.Header{
			"by its fetch metadata": {"Sec-Fetch-Site": {"cross-site"}}, "by its origin": {"Origin": {"https://elsewhere.example"}},
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.node.URL+path, strings.NewReader(""))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header.Clone()
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s %s: %d", path, name, answer.StatusCode)
			}
		}
	}
	if status, _ := w.node.Get(t, "/quarantine/"+desk.quarantined.ID); status != http.StatusOK {
		t.Errorf("the entry is gone: %d", status)
	}
}
