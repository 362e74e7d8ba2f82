// Package pages tests the node's own pages in a browser: one node, filled once, for all tests.
package pages

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// world is the node with what was sent to it. Tests look, and send only studies of people of their own.
type world struct {
	node *testnode.Node
	dir  string

	village []fixtures.Patient

	// hanzi's name has no Latin letters: 张晓东. She had an ultrasound today and an ECG a year before.
	hanzi          fixtures.Patient
	loops          fixtures.Study      // of hanzi
	native, jpeg   fixtures.Instance   // its loops: 12 frames 320 × 240 RGB, and 16 JPEG ones 640 × 480
	gray           fixtures.Instance   // its loop of 8 frames in gray
	still          fixtures.Instance   // its single picture
	heart          fixtures.Study      // of hanzi
	ecg, pdf, scan fixtures.Instance   // its recording, report and scanned strip
	both           fixtures.Patient    // Ouyang^Fengxian=欧阳^凤仙
	fontHeart      fixtures.Study      // of both: an ECG
	namesake       fixtures.Patient    // has hanzi's Patient ID from another issuer
	mixed          fixtures.Study      // instances of hanzi and both
	versions       fixtures.Study      // one SOP Instance UID with two data sets
	many           fixtures.Study      // 130 stills in one series
	manyInstances  []fixtures.Instance // in order
	queue          []fixtures.Study    // more than a page of studies of 分页测, oldest first
}

var shared struct {
	sync.Once
	w   *world
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	testbrowser.Close()
	if w := shared.w; w != nil {
		w.node.Kill()
		if err := os.RemoveAll(w.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// theWorld starts and fills the node at the first call.
func theWorld(t testing.TB) *world {
	t.Helper()
	bin := testnode.Binary(t)
	shared.Do(func() { shared.w, shared.err = newWorld(bin) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.w
}

// page opens a path of the node in a tab of its own. The test fails for what the page complains of.
func page(t testing.TB, path string, v testbrowser.Viewport) *testbrowser.Tab {
	t.Helper()
	w := theWorld(t)
	tab := testbrowser.Open(t, v)
	tab.Go(w.node.URL + path)
	return tab
}

// each runs a test for every language at both sizes; query is "lang=zh-CN" or "lang=en".
func each(t *testing.T, fn func(t *testing.T, query string, v testbrowser.Viewport)) {
	for _, lang := range []string{"zh-CN", "en"} {
		for _, v := range []testbrowser.Viewport{testbrowser.Desktop, testbrowser.Phone} {
			t.Run(lang+"/"+v.String(), func(t *testing.T) { fn(t, "lang="+lang, v) })
		}
	}
}

func newWorld(bin string) (w *world, err error) {
	dir, err := os.MkdirTemp("", "tributary-pages-")
	if err != nil {
		return nil, err
	}
	w = &world{dir: dir, village: fixtures.Village(11, 14)}
	if w.node, err = testnode.Launch(bin, filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	var all []fixtures.Instance
	for _, p := range w.village[4:] {
		for _, s := range p.Studies() {
			all = append(all, s.Instances()...)
		}
	}
	w.hanzi, w.both, w.namesake = w.village[0], w.village[1], w.village[2]
	w.hanzi.ID, w.hanzi.Name, w.hanzi.Sex, w.hanzi.Charset, w.hanzi.BirthDate = "K-20417", "张^晓东", "F", fixtures.UTF8, "19680512"
	w.both.ID, w.both.Name, w.both.Sex, w.both.Charset = "K-20500", "Ouyang^Fengxian=欧阳^凤仙", "F", fixtures.GB18030
	w.namesake.ID, w.namesake.Name, w.namesake.Charset, w.namesake.Issuer = w.hanzi.ID, "Li^Wei=李^伟", fixtures.GB18030, "ANOTHER"
	now := time.Now()

	w.loops = w.hanzi.NewStudy("US", "loops")
	w.loops.Date, w.loops.Time = now.Format("20060102"), "081500"
	w.native = w.loops.UltrasoundCine(fixtures.Cine{Columns: 320, Rows: 240, Frames: 12, Number: 1})
	w.jpeg = w.loops.UltrasoundCine(fixtures.Cine{Columns: 640, Rows: 480, Frames: 16, Encoding: fixtures.JPEG, Number: 2})
	w.gray = w.loops.UltrasoundCine(fixtures.Cine{Columns: 320, Rows: 240, Frames: 8, Encoding: fixtures.NativeGray, Number: 3})
	w.still = w.loops.UltrasoundStill(fixtures.Still{Columns: 320, Rows: 240, Encoding: fixtures.JPEG, Number: 4})
	w.heart = w.hanzi.NewStudy("ECG", "heart")
	w.heart.Date, w.heart.Time = now.AddDate(-1, 0, 0).Format("20060102"), "153000"
	w.ecg, w.pdf, w.scan = w.heart.ECG12Lead(fixtures.ECG{}), w.heart.EncapsulatedPDF(0), w.heart.SecondaryCapture()
	w.fontHeart = w.both.NewStudy("ECG", "heart")
	// The SOP Instance UID follows from the study's and the number.
	w.mixed, w.versions = w.both.NewStudy("US", "mixed"), w.both.NewStudy("US", "versions")
	other, version := w.hanzi.NewStudy("US", "mixed"), w.both.NewStudy("US", "another")
	other.StudyInstanceUID, version.StudyInstanceUID = w.mixed.StudyInstanceUID, w.versions.StudyInstanceUID
	w.many = w.both.NewStudy("US", "many")
	for n := range 130 {
		w.manyInstances = append(w.manyInstances, w.many.UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64, Encoding: fixtures.NativeGray, Number: n + 1}))
	}
	all = append(all, w.native, w.jpeg, w.gray, w.still, w.ecg, w.pdf, w.scan, w.fontHeart.ECG12Lead(fixtures.ECG{}),
		w.namesake.NewStudy("ECG", "heart").ECG12Lead(fixtures.ECG{}),
		w.mixed.UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64}), other.UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64, Number: 2}),
		w.versions.UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64}), version.UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64}))
	all = append(all, w.manyInstances...)
	waiting := w.village[3]
	waiting.ID, waiting.Name, waiting.Charset = "K-30000", "分页^测", fixtures.UTF8
	for n := range 60 {
		s := waiting.NewStudy("US", fmt.Sprint("queue", n))
		s.Date, s.Time = "20190301", fmt.Sprintf("08%02d00", n)
		w.queue = append(w.queue, s)
		all = append(all, s.UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64, Encoding: fixtures.NativeGray}))
	}
	for _, i := range all {
		body := i.Open()
		err := w.send(body)
		body.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.Name, err)
		}
	}
	return w, nil
}

// send uploads a file.
func (w *world) send(body io.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.node.URL+"/upload", body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusCreated && answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	return nil
}

// corpus returns files of the corpora by a pattern below shared/corpora; it skips the test when they are not there.
func corpus(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testnode.Shared(t), "corpora", filepath.FromSlash(pattern)))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no %s in the corpora", pattern)
	}
	return files
}

// clear empties a field.
func clear(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Clear(chromedp.CSS(selector))
}

// study is the path of a study's page.
func study(uid string) string { return "/pages/studies/" + uid }

// contains fails the test when text lacks any part.
func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("there is no %q in %q", p, text)
		}
	}
}
