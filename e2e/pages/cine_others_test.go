package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

func TestCineOthers(t *testing.T) {
	theCines(t)
	w := theWorld(t)
	tab := page(t, cineView(cines.undecodable)+"?lang=en", testbrowser.Desktop)
	tab.Allow("406")
	tab.Wait(`document.querySelector("#viewer").dataset.state === "problem"`)
	contains(t, tab.Text("#problem"), "JPEG 2000 Image Compression (Lossless Only)", "Download")
	contains(t, tab.Text(".cine-head"), "Derived", "Lossy 12.5:1", "测试")
	if n := testbrowser.Eval[int](tab, `fetch(document.querySelector("#problem a[download]").href).then((r) => r.ok ? r.arrayBuffer() : new ArrayBuffer()).then((b) => b.byteLength)`); n < 500 {
		t.Errorf("the download has %d bytes", n)
	}
	if testbrowser.Eval[string](tab, `document.querySelector("#problem").innerText`) == "" || strings.Contains(tab.Text("#problem"), "OHIF") {
		t.Error("OHIF is offered where there is none")
	}

	tab.Go(w.node.URL + cineView(cines.odd) + "?lang=en")
	tab.Wait(`document.querySelector("#viewer").dataset.state === "problem"`)
	contains(t, tab.Text("#problem"), "Frame 1 cannot be shown")

	tab.Go(w.node.URL + cineView(cines.video) + "?lang=en")
	if src := testbrowser.Eval[string](tab, `document.querySelector("video[controls]").getAttribute("src")`); !strings.HasSuffix(src, cines.video.SOPInstanceUID+"/rendered") {
		t.Errorf("the video's source is %s", src)
	}
	// This one is only the head of a film.
	tab.Wait(`!document.querySelector("#problem").hidden`)
	contains(t, tab.Text("#problem"), "The browser cannot play this video", "H.264")
	tab.Axe("video-caption") // ultrasound has no speech

	tab.Go(w.node.URL + cineView(w.pdf) + "?lang=en")
	if href := testbrowser.Eval[string](tab, `document.querySelector('main a[target="_blank"][rel~="noopener"]').getAttribute("href")`); !strings.HasSuffix(href, w.pdf.SOPInstanceUID+"/rendered") {
		t.Errorf("the document opens %s", href)
	}
	tab.Axe()
	tab.Go(w.node.URL + cineView(w.ecg) + "?lang=en")
	contains(t, testbrowser.Eval[string](tab, `[...document.querySelectorAll("main a")].map((a) => a.getAttribute("href")).join(" ")`), strings.Replace(cineView(w.ecg), "/view/", "/ecg/", 1))

	tab.Allow("404")
	tab.Go(w.node.URL + cineView(fixtures.Instance{StudyInstanceUID: "1.2.3", SeriesInstanceUID: "1.2.4", SOPInstanceUID: "1.2.5"}) + "?lang=en")
	contains(t, tab.Text("main"), "Not found")
}

// TestCineWithoutScripts: what is said of an instance, and a picture of it.
func TestCineWithoutScripts(t *testing.T) {
	theCines(t)
	tab := testbrowser.Open(t, testbrowser.Desktop)
	testbrowser.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	tab.Go(theWorld(t).node.URL + cineView(cines.beat) + "?lang=en")
	contains(t, tab.Text(".cine-head"), "播放", "Lossy")
	tab.Wait(`document.querySelector("img.cine-still").naturalWidth === 320`)
	if testbrowser.Eval[bool](tab, `[...document.querySelectorAll("[data-act]")].some((b) => b.checkVisibility())`) {
		t.Error("there are buttons that do nothing")
	}
}

// TestCineVideo plays H.264 under a class of ultrasound loops, which OHIF does not show, where the browser has a decoder.
func TestCineVideo(t *testing.T) {
	w := theWorld(t)
	body, err := os.Open(corpus(t, "dicom/video/syn-h264-hp41.dcm")[0])
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	at, err := cineSend(w, body)
	if err != nil {
		t.Fatal(err)
	}
	uids := strings.Split(at, "/")
	film := cineFetch(t, w, fixtures.Instance{StudyInstanceUID: uids[3], SeriesInstanceUID: uids[4], SOPInstanceUID: uids[5]}, "/rendered", "*/*")
	f := cineFile{
		class: cineUSMultiFrame, syntax: cineH264, modality: "US", number: 1, columns: 64, rows: 64, samples: 3, photometric: "YBR_PARTIAL_420",
		allocated: 8, stored: 8, more: map[string]string{"NumberOfFrames": "10", "CineRate": "25"}, fragments: [][]byte{film},
	}
	const study = cineStudy + "6"
	if err := w.send(bytes.NewReader(f.bytes(t, study))); err != nil {
		t.Fatal(err)
	}
	tab := page(t, cineView(f.instance(study))+"?lang=en", testbrowser.Desktop)
	tab.Wait(`document.querySelector("video").readyState > 0 || !document.querySelector("#problem").hidden`)
	type seen struct {
		Width, Seconds float64
		Can, Container string
	}
	got := testbrowser.Eval[seen](tab, `(async () => {
		const v = document.querySelector("video");
		const head = await fetch(v.src, {method: "HEAD"});
		return {Width: v.videoWidth, Seconds: v.duration || 0, Can: v.canPlayType('video/mp4; codecs="avc1.640029"'), Container: head.headers.get("Content-Type")};
	})()`)
	t.Logf("%+v", got)
	if got.Can == "" || got.Container != "video/mp4" {
		contains(t, tab.Text("#problem"), "The browser cannot play this video")
		return
	}
	if got.Width == 0 || got.Seconds == 0 {
		t.Errorf("the video is not there: %+v", got)
	}
	tab.Screenshot("cine-video")
}

// TestCineConflict: of two data sets under one UID the page says that there are several.
func TestCineConflict(t *testing.T) {
	theCines(t)
	w := theWorld(t)
	const study = cineStudy + "5"
	for n := range 2 {
		f := cineFile{
			class: cineSecondary, syntax: cineExplicit, modality: "OT", number: 1, columns: 8, rows: 8, samples: 1, photometric: "MONOCHROME2",
			allocated: 8, stored: 8, native: bytes.Repeat([]byte{byte(100 * n)}, 64),
		}
		if err := w.send(bytes.NewReader(f.bytes(t, study))); err != nil {
			t.Fatal(err)
		}
	}
	i := cineFile{number: 1}.instance(study)
	tab := page(t, cineView(i)+"?lang=en", testbrowser.Desktop)
	cineWait(tab, 1)
	contains(t, tab.Text(".cine-badges"), "Conflict: 2 versions")
	tab.Click(".cine-badges a")
	tab.Wait(fmt.Sprintf(`location.pathname === "/pages/conflicts/%s"`, i.SOPInstanceUID))
}

// cineSend uploads a file and returns the path of its page, "" when it is no instance.
func cineSend(w *world, body io.Reader) (string, error) {
	answer, err := http.Post(w.node.URL+"/upload", "application/octet-stream", body)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var receipt struct{ Format, Status, Study, Series, Instance string }
	if err := json.NewDecoder(answer.Body).Decode(&receipt); err != nil {
		return "", err
	}
	if receipt.Instance == "" || receipt.Status == "quarantined" {
		return "", nil
	}
	return cineView(fixtures.Instance{StudyInstanceUID: receipt.Study, SeriesInstanceUID: receipt.Series, SOPInstanceUID: receipt.Instance}), nil
}

// cineBlank reports whether the node's own rendering of the picture in a tab has one colour, or is one of few pixels.
func cineBlank(t testing.TB, tab *testbrowser.Tab) bool {
	t.Helper()
	frame := cineNumber(t, tab, "frame")
	if testbrowser.Eval[bool](tab, `document.querySelector("#stack") !== null`) {
		frame = 1 // of an instance with no other
	}
	return testbrowser.Eval[bool](tab, fmt.Sprintf(`(async () => {
		const answer = await fetch(document.querySelector("#viewer").dataset.root + "/frames/%d/rendered", {headers: {Accept: "image/png"}});
		const picture = await createImageBitmap(await answer.blob());
		const to = new OffscreenCanvas(picture.width, picture.height);
		const ctx = to.getContext("2d");
		ctx.drawImage(picture, 0, 0);
		const d = new Uint32Array(ctx.getImageData(0, 0, to.width, to.height).data.buffer);
		return d.every((v) => v === d[0]) || d.length < 100;
	})()`, frame))
}

// TestCineCorpus opens files of other makers: each shows a picture that is not blank, or says why not.
func TestCineCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; not with -short")
	}
	var files []string
	for _, folder := range []string{"us", "us-multiframe", "ct", "mr", "enhanced", "sc-vl", "dx-mg-cr", "xa-rf-nm-pt", "htj2k", "jpegxl", "video", "encapsulated", "sr", "edge"} {
		found, err := filepath.Glob(filepath.Join(filepath.Dir(corpus(t, "dicom/MANIFEST.tsv")[0]), folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	w := theWorld(t)
	opened := map[string]int{}
	tab := testbrowser.Open(t, testbrowser.Desktop)
	tab.Allow("406", "422", "404") // the page says what they mean
	for _, file := range files {
		body, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		at, err := cineSend(w, body)
		body.Close()
		if err != nil || at == "" {
			continue // quarantined or refused
		}
		name := filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file)
		tab.Go(w.node.URL + at + "?lang=en")
		tab.Wait(`["ready", "problem"].includes(document.querySelector("#viewer").dataset.state) || document.querySelector(".cine-plain") ||
			document.querySelector("video")?.readyState > 0 || document.querySelector("video") && !document.querySelector("#problem").hidden`)
		cineDrawn(tab)
		state := testbrowser.Eval[string](tab, `(() => {
			const kind = document.querySelector("#viewer").dataset.kind;
			if (kind !== "picture") return kind;
			if (document.querySelector("#viewer").dataset.state === "problem") return "problem: " + document.querySelector("#problem").innerText;
			const c = document.querySelector("#canvas");
			const to = document.createElement("canvas");
			to.width = 64; to.height = 64;
			const ctx = to.getContext("2d");
			ctx.drawImage(c, 0, 0, 64, 64);
			const d = ctx.getImageData(0, 0, 64, 64).data;
			for (let i = 4; i < d.length; i += 4) for (let c = 0; c < 3; c++) if (d[i + c] !== d[c]) return "picture";
			return "blank";
		})()`)
		kind, why, _ := strings.Cut(state, ":")
		if kind == "blank" && cineBlank(t, tab) {
			kind = "black" // it is, in itself
		}
		opened[kind]++
		if kind == "blank" {
			t.Errorf("%s is blank", name)
		}
		if kind != "picture" {
			t.Logf("%s: %s %s", name, kind, strings.Join(strings.Fields(why), " "))
		}
	}
	t.Log(opened)
	if opened["picture"] < 40 || opened["video"] == 0 {
		t.Errorf("%v is less than the corpus has", opened)
	}
}
