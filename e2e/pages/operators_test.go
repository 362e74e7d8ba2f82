package pages

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/faultproxy"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
	"github.com/tributary-dicom/tributary/review/web"
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
	for _, v := range []testbrowser.Viewport{testbrowser.Desktop, testbrowser.Phone} {
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
			for _, lang := range []string{"zh-CN", "en"} {
				tab.Go(w.node.URL + p[1] + "lang=" + lang)
				if got := testbrowser.Eval[string](tab, `document.documentElement.lang + " " + document.querySelectorAll("h1").length`); got != lang+" 1" {
					t.Errorf("%s in %s: language and headings are %q", p[0], lang, got)
				}
				tab.Axe()
				tab.Screenshot("operators-" + p[0] + "-" + lang)
			}
		}
	}
}

// files writes files into a folder, and returns their paths in order.
func files(t testing.TB, named ...any) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(named); i += 2 {
		path := filepath.Join(dir, named[i].(string))
		if err := os.WriteFile(path, named[i+1].([]byte), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// archive makes a ZIP of files.
func archive(t testing.TB, named ...any) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i := 0; i < len(named); i += 2 {
		w, err := z.Create(named[i].(string))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(named[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// line is what the page shows of one file.
type line struct{ File, State, Badge, Why, Next, Study, Receipt string }

// lines are those of the upload page, by the name of the file.
func lines(tab *testbrowser.Tab) map[string]line {
	all := map[string]line{}
	for _, l := range testbrowser.Eval[[]line](tab, `[...document.querySelectorAll(".transfer")].map((l) => ({
		File: l.querySelector(".file").textContent, State: l.dataset.state, Badge: l.querySelector(".badge").textContent,
		Why: l.querySelector(".why").textContent, Next: l.querySelector(".next").textContent,
		Study: l.querySelector(".study").getAttribute("href") || "", Receipt: l.querySelector(".receipt").getAttribute("href") || "",
	}))`) {
		all[l.File] = l
	}
	return all
}

const allDone = `document.querySelectorAll(".transfer").length > 0 &&
	[...document.querySelectorAll(".transfer")].every((l) => ["kept", "refused", "failed"].includes(l.dataset.state))`

func choose(tab *testbrowser.Tab, paths ...string) {
	tab.Do(chromedp.SetUploadFiles(chromedp.CSS("#files"), paths))
}

// loop is a loop of some 14 MB, above the size from which files go by pieces.
func loop(t testing.TB, n int) []byte {
	return whole(t, patientOf(n).NewStudy("US", "loop").UltrasoundCine(fixtures.Cine{Columns: 320, Rows: 240, Frames: 60}))
}

// TestUploadPage uploads files of all sorts, and follows a receipt to the study.
func TestUploadPage(t *testing.T) {
	w := theDesk(t)
	still := whole(t, patientOf(2).NewStudy("US", "still").UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64}))
	ecg := whole(t, patientOf(2).NewStudy("ECG", "heart").ECG12Lead(fixtures.ECG{}))
	disc := archive(t, "DICOMDIR", []byte("x"), "viewer/run.exe", []byte("MZ"),
		"IMAGES/IM1", whole(t, patientOf(3).NewStudy("US", "a").UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64})),
		"IMAGES/IM2", whole(t, patientOf(3).NewStudy("US", "b").UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64})))
	header := []byte("rec 1 250 10\nrec.dat 16 200 16 0 0 0 0 I\n")
	paths := files(t, "李伟 still.dcm", still, "ecg.dcm", ecg, "loop.dcm", loop(t, 2), "cut.dcm", truncated(t, patientOf(3)),
		"letter.docx", []byte("PK, but no"), "empty.dcm", []byte{}, "disc.zip", disc, "broken.zip", disc[:len(disc)/2],
		"rec.hea", header, "rec.dat", make([]byte, 20))
	tab := page(t, "/pages/upload?lang=en", testbrowser.Desktop)
	tab.Allow("400", "415", "422") // what is refused
	tab.Type("#device", "卫生室电脑")
	choose(tab, paths...)
	tab.Wait(allDone + ` && document.querySelectorAll(".transfer").length === 10`)
	choose(tab, files(t, "again.dcm", still)...)
	tab.Wait(`document.querySelectorAll(".transfer").length === 11 && document.querySelector("#all-said").textContent.startsWith("All done")`)
	all := lines(tab)
	for name, want := range map[string]string{
		"ecg.dcm": "Stored", "loop.dcm": "Stored", "cut.dcm": "Quarantined", "letter.docx": "Refused", "empty.dcm": "Refused",
		"IM1": "Stored", "IM2": "Stored", "broken.zip": "Failed",
	} {
		l := all[name]
		if l.Badge != want || l.Why == "" {
			t.Errorf("%s is %+v, want %s", name, l, want)
		}
		if (want == "Stored") != strings.HasPrefix(l.Study, "/pages/studies/") {
			t.Errorf("%s leads to the study %q", name, l.Study)
		}
	}
	if a, b := all["李伟 still.dcm"], all["again.dcm"]; a.Study != b.Study || a.Study == "" || a.Badge != "Stored" || b.Badge != "Here already" {
		t.Errorf("the same bytes twice are %+v and %+v", a, b)
	}
	if l := all["rec.hea"]; l.State != "kept" {
		t.Errorf("a WFDB record is %+v", l)
	}
	if _, alone := all["rec.dat"]; alone {
		t.Error("the signals of a record go without their header")
	}
	contains(t, tab.Text("#all-said"), "All done: 8 kept, 3 not kept.")
	contains(t, all["cut.dcm"].Why, "cut off")
	tab.Axe()
	tab.Screenshot("operators-uploaded")

	tab.Click(`.transfer .receipt[href="` + all["loop.dcm"].Receipt + `"]`)
	tab.Wait(`location.pathname.startsWith("/pages/receipts/")`)
	contains(t, tab.Text("main"), "loop.dcm", "卫生室电脑", "Resumable upload", "Stored")
	tab.Click(`main a[href^="/pages/studies/"]`)
	tab.Wait(`location.pathname === ` + fmt.Sprintf("%q", all["loop.dcm"].Study))

	tab.Go(w.node.URL + "/pages/receipts?lang=en&device=" + url.QueryEscape("卫生室电脑"))
	contains(t, tab.Text("main"), "李伟 still.dcm", "cut.dcm", "loop.dcm", "Quarantined")
	tab.Go(w.node.URL + "/pages/receipts?lang=en&status=quarantined&device=" + url.QueryEscape("卫生室电脑"))
	if text := tab.Text("main"); !strings.Contains(text, "cut.dcm") || strings.Contains(text, "loop.dcm") {
		t.Errorf("the filter by status shows %q", text)
	}
}

// TestUploadPhone: the page with files on their way fits a phone.
func TestUploadPhone(t *testing.T) {
	tab := page(t, "/pages/upload?lang=zh-CN", testbrowser.Phone)
	tab.Allow("415")
	choose(tab, files(t, "心电图-2026-03-01-长长长长长长长长长长长长长长长长长长的文件名.dcm", whole(t, patientOf(4).NewStudy("ECG", "heart").ECG12Lead(fixtures.ECG{})), "notes.txt", []byte("hello"))...)
	tab.Wait(allDone)
	tab.Axe()
	tab.Screenshot("operators-uploaded-zh-CN")
}

// TestUploadArchives: what the node does not take as one recording goes member by member.
func TestUploadArchives(t *testing.T) {
	theWorld(t)
	still := func(n int) []byte {
		return whole(t, patientOf(10).NewStudy("US", fmt.Sprint("zip", n)).UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64}))
	}
	// A name in GBK, as Windows in China writes it, stored without compression.
	var gbk bytes.Buffer
	z := zip.NewWriter(&gbk)
	for i, name := range []string{"\xd0\xc4\xb5\xe7\xcd\xbc.dcm", "b.dcm"} { // 心电图
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, NonUTF8: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(still(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	rotten := archive(t, "x.dcm", still(3), "y.dcm", still(4))
	rotten[200] ^= 0xff // within x.dcm
	record := archive(t, "rec/r.hea", []byte("r 1 250 10\nr.dat 16 200 16 0 0 0 0 I\n"), "rec/r.dat", bytes.Repeat([]byte{1, 0}, 10))
	tab := page(t, "/pages/upload?lang=en", testbrowser.Desktop)
	tab.Allow("415")
	choose(tab, files(t, "one.zip", archive(t, "only.dcm", still(2)), "names.zip", gbk.Bytes(), "rotten.zip", rotten, "record.zip", record,
		"junk.zip", archive(t, "setup.exe", []byte("MZ")))...)
	tab.Wait(`document.querySelector("#all-said").textContent.startsWith("All done")`)
	all := lines(tab)
	for name, want := range map[string]string{
		"only.dcm": "Stored", "心电图.dcm": "Stored", "b.dcm": "Stored", "y.dcm": "Stored", "x.dcm": "Failed", "record.zip": "Stored", "junk.zip": "Failed",
	} {
		if l := all[name]; l.Badge != want {
			t.Errorf("%s is %+v, want %s", name, l, want)
		}
	}
	contains(t, all["x.dcm"].Why, "damaged")
	contains(t, all["junk.zip"].Why, "nothing to upload")
	if len(all) != 7 {
		t.Errorf("the page shows %v", all)
	}
}

// TestUploadDrop: files that are dropped anywhere on the page go.
func TestUploadDrop(t *testing.T) {
	theWorld(t)
	tab := page(t, "/pages/upload?lang=en", testbrowser.Desktop)
	tab.Allow("415")
	tab.Do(chromedp.Evaluate[chromedp.Void](`{
		const data = new DataTransfer();
		data.items.add(new File(["hello"], "dropped.txt"));
		document.querySelector("main").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
	}`))
	tab.Wait(allDone)
	if l := lines(tab)["dropped.txt"]; l.Badge != "Refused" {
		t.Errorf("the file is %+v", l)
	}
}

// TestUploadElsewhere: pages of a node that takes no files say so, unless what is in front of it brings uploads to one
// that does.
func TestUploadElsewhere(t *testing.T) {
	w := theWorld(t)
	upstream, err := url.Parse(w.node.URL)
	if err != nil {
		t.Fatal(err)
	}
	reader := web.New(web.Config{})
	for name, proxied := range map[string]bool{"alone": false, "behind a proxy": true} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.Handle("/pages/", reader)
			if proxied {
				mux.Handle("/upload", httputil.NewSingleHostReverseProxy(upstream))
				mux.Handle("/upload/tus/", httputil.NewSingleHostReverseProxy(upstream))
			}
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			tab := testbrowser.Open(t, testbrowser.Phone)
			tab.Allow("404")
			tab.Go(server.URL + "/pages/upload?lang=en")
			if !proxied {
				contains(t, tab.Text("#elsewhere"), "does not take files", "/pages/upload")
				tab.Axe()
				tab.Screenshot("operators-elsewhere")
				return
			}
			tab.Wait(`document.querySelector("#elsewhere").hidden && !document.querySelector("#upload").hidden`)
			choose(tab, files(t, "a.dcm", whole(t, patientOf(11).NewStudy("US", "proxy").UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64})))...)
			tab.Wait(allDone)
			if l := lines(tab)["a.dcm"]; l.Badge != "Stored" {
				t.Errorf("the file is %+v", l)
			}
		})
	}
}

// slowLine puts a line in front of the node that takes 4 MB/s, and returns it with its address.
func slowLine(t *testing.T, w *world) (*faultproxy.Proxy, string) {
	t.Helper()
	line, err := faultproxy.Listen(strings.TrimPrefix(w.node.URL, "http://"), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	if err := line.Set(faultproxy.Faults{BytesPerSecond: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	return line, "http://" + line.Addr()
}

const halfway = `document.querySelector(".transfer progress").value > 0.4`

// TestUploadGoesOn: a large file goes on behind a line that dropped, and behind a reload of the page.
func TestUploadGoesOn(t *testing.T) {
	w := theWorld(t)
	line, at := slowLine(t, w)
	tab := testbrowser.Open(t, testbrowser.Desktop)
	tab.Allow("ERR_", "Failed to load", "beforeunload")
	tab.Go(at + "/pages/upload?lang=en")
	path := files(t, "loop.dcm", loop(t, 5))[0]
	choose(tab, path)
	tab.Wait(halfway)
	if err := line.Set(faultproxy.Faults{Refuse: true}); err != nil {
		t.Fatal(err)
	}
	line.ResetAll()
	tab.Wait(`document.querySelector(".transfer .said").textContent.includes("trying again")`)
	before := testbrowser.Eval[float64](tab, `document.querySelector(".transfer progress").value`)
	if before < 0.4 {
		t.Errorf("progress falls to %v when the line drops", before)
	}
	if err := line.Set(faultproxy.Faults{BytesPerSecond: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	tab.Wait(halfway)
	tab.Wait(`document.querySelector(".transfer progress").value > ` + fmt.Sprint(before))

	// The page goes; the file is chosen again.
	tab.Go(at + "/pages/upload?lang=en")
	tab.Wait(`!document.querySelector("#unfinished").hidden`)
	contains(t, tab.Text("#unfinished"), "1 large file was not sent to its end")
	tab.Do(chromedp.Evaluate[chromedp.Void](`{
		window.patched = 0;
		const open = XMLHttpRequest.prototype.open, send = XMLHttpRequest.prototype.send;
		XMLHttpRequest.prototype.open = function (method, ...rest) { this.method = method; return open.call(this, method, ...rest); };
		XMLHttpRequest.prototype.send = function (body) { if (this.method === "PATCH") window.patched += body.size; return send.call(this, body); };
	}`))
	choose(tab, path)
	tab.Wait(allDone)
	if l := lines(tab)["loop.dcm"]; l.Badge != "Stored" {
		t.Errorf("the file is %+v", l)
	}
	size := int64(len(loop(t, 5)))
	if sent := testbrowser.Eval[int64](tab, `window.patched`); sent == 0 || sent > size*8/10 {
		t.Errorf("after the reload %d of %d bytes were sent again", sent, size)
	}
	if hidden := testbrowser.Eval[bool](tab, `document.querySelector("#unfinished").hidden && Object.keys(localStorage).every((k) => !k.startsWith("tributary-upload-"))`); !hidden {
		t.Error("an upload that ended is remembered")
	}
}

// TestUploadStop: a file on its way is cancelled, by keyboard, and sent again.
func TestUploadStop(t *testing.T) {
	w := theWorld(t)
	line, at := slowLine(t, w)
	tab := testbrowser.Open(t, testbrowser.Desktop)
	tab.Allow("ERR_", "Failed to load")
	tab.Go(at + "/pages/upload?lang=en")
	choose(tab, files(t, "loop.dcm", loop(t, 6))...)
	tab.Wait(`document.querySelector(".transfer progress").value > 0.1`)
	tab.Do(chromedp.Focus(chromedp.CSS(".transfer .stop")))
	tab.Key(kb.Enter)
	tab.Wait(`document.querySelector(".transfer").dataset.state === "stopped" && document.activeElement.classList.contains("again")`)
	if err := line.Set(faultproxy.Faults{}); err != nil {
		t.Fatal(err)
	}
	tab.Key(kb.Enter)
	tab.Wait(allDone)
	if l := lines(tab)["loop.dcm"]; l.Badge != "Stored" {
		t.Errorf("the file is %+v", l)
	}
}

// TestUploadWithoutScripts: the form alone sends files, and the answer is a page.
func TestUploadWithoutScripts(t *testing.T) {
	w := theWorld(t)
	for _, v := range []testbrowser.Viewport{testbrowser.Desktop, testbrowser.Phone} {
		tab := testbrowser.Open(t, v)
		testbrowser.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		tab.Go(w.node.URL + "/pages/upload?lang=en")
		tab.Allow("207")
		choose(tab, files(t, "a.dcm", whole(t, patientOf(7).NewStudy("US", "plain").UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64})), "b.txt", []byte("no"))...)
		tab.Click("#send")
		tab.Wait(`document.querySelector(".notice.bad")`)
		contains(t, tab.Text("main"), "1 of 2 files kept", "Files of this format are not taken here")
		tab.Screenshot("operators-plain")
	}
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
	if badge() == "" {
		t.Error("the navigation does not tell that something waits")
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
