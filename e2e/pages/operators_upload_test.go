package pages

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/faultproxy"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
	"github.com/tributary-dicom/tributary/review/web"
)

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
		"letter.docx", []byte("PK, but no"), "film.mov", make([]byte, 9<<20), "empty.dcm", []byte{}, "disc.zip", disc, "broken.zip", disc[:len(disc)/2],
		"rec.hea", header, "rec.dat", make([]byte, 20))
	tab := page(t, "/pages/upload?lang=en", testbrowser.Desktop)
	tab.Allow("400", "415", "422") // what is refused
	tab.Type("#device", "卫生室电脑")
	choose(tab, paths...)
	tab.Wait(allDone + ` && document.querySelectorAll(".transfer").length === 11`)
	choose(tab, files(t, "again.dcm", still)...)
	tab.Wait(allDone + ` && document.querySelectorAll(".transfer").length === 12 && document.querySelector("#all-said").textContent.startsWith("All done: 8")`)
	all := lines(tab)
	for name, want := range map[string]string{
		"ecg.dcm": "Stored", "loop.dcm": "Stored", "cut.dcm": "Quarantined", "letter.docx": "Refused", "film.mov": "Refused", "empty.dcm": "Refused",
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
	contains(t, tab.Text("#all-said"), "All done: 8 kept, 4 not kept.")
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

// slow is a line that takes more than ten seconds for a loop: time enough to break it.
var slow = faultproxy.Faults{BytesPerSecond: 1 << 20}

// slowLine puts a slow line in front of the node, and returns it with its address.
func slowLine(t *testing.T, w *world) (*faultproxy.Proxy, string) {
	t.Helper()
	line, err := faultproxy.Listen(strings.TrimPrefix(w.node.URL, "http://"), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	if err := line.Set(slow); err != nil {
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
	if err := line.Set(slow); err != nil {
		t.Fatal(err)
	}
	tab.Wait(halfway)
	tab.Wait(`document.querySelector(".transfer progress").value > ` + fmt.Sprint(before))

	// The page goes; the file is chosen again.
	tab.Go(at + "/pages/upload?lang=en")
	tab.Wait(`!document.querySelector("#unfinished").hidden`)
	contains(t, tab.Text("#unfinished"), "1 large file was not sent to its end")
	tab.Do(chromedp.Evaluate[chromedp.Void](`{
		window.offsets = [];
		const set = XMLHttpRequest.prototype.setRequestHeader;
		XMLHttpRequest.prototype.setRequestHeader = function (name, value) {
			if (name === "Upload-Offset") window.offsets.push(Number(value));
			return set.call(this, name, value);
		};
	}`))
	if err := line.Set(faultproxy.Faults{}); err != nil {
		t.Fatal(err)
	}
	choose(tab, path)
	tab.Wait(allDone)
	if l := lines(tab)["loop.dcm"]; l.Badge != "Stored" {
		t.Errorf("the file is %+v", l)
	}
	if from := testbrowser.Eval[[]int64](tab, `window.offsets`); len(from) == 0 || from[0] == 0 {
		t.Errorf("after the reload the file goes from %v on", from)
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
	if at := testbrowser.Eval[string](tab, `document.activeElement.className`); !strings.Contains(at, "study") {
		t.Errorf("the focus is on %q when the file is there", at)
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
