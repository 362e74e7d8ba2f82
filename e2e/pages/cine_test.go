package pages

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

// cineStudy holds the files that cine_files_test.go makes.
const cineStudy = "1.2.826.0.1.3680043.8.498.20260301.77"

// cines are the viewer's own files on the node, sent at the first call.
var cines struct {
	sync.Once
	err error

	person                    fixtures.Study
	beat                      fixtures.Instance // 64 JPEG frames of 320 × 240
	large                     fixtures.Instance // frames that do not all fit in the viewer's memory
	deep, deepRLE             fixtures.Instance // cineRamps: 3 frames of 12 bits with sign
	colour, colourRLE         fixtures.Instance // cineColours
	undecodable, video, odd   fixtures.Instance
	calibrated, notCalibrated fixtures.Instance
	columnSpacing             float64 // of calibrated, mm
}

func theCines(t testing.TB) {
	t.Helper()
	w := theWorld(t)
	c := &cines
	c.Do(func() {
		patient := w.village[3]
		patient.ID, patient.Name, patient.Charset = "CINE-2", "Bo^Fang=播^放", fixtures.UTF8
		c.person = patient.NewStudy("US", "cine")
		c.beat = c.person.UltrasoundCine(fixtures.Cine{Columns: 320, Rows: 240, Frames: 64, Encoding: fixtures.JPEG, Number: 1})
		c.large = c.person.UltrasoundCine(fixtures.Cine{Columns: 1600, Rows: 1200, Frames: 70, Encoding: fixtures.JPEG, Number: 2})
		for _, i := range []fixtures.Instance{c.beat, c.large} {
			body := i.Open()
			if c.err = w.send(body); c.err != nil {
				return
			}
			body.Close()
		}
		ramps := cineRamps(3)
		rescale := map[string]string{
			"RescaleSlope": "0.5", "RescaleIntercept": "-100", "RescaleType": "HU", "NumberOfFrames": "3",
			"WindowCenter": `200\40`, "WindowWidth": `900\400`, "WindowCenterWidthExplanation": `WIDE\SOFT`,
		}
		deep := cineFile{
			class: cineCT, syntax: cineExplicit, modality: "CT", number: 1, columns: cineColumns, rows: cineRows, samples: 1, photometric: "MONOCHROME2",
			allocated: 16, stored: 16, signed: true, more: rescale, native: bytes.Join(ramps, nil),
		}
		deepRLE := deep
		deepRLE.number, deepRLE.syntax, deepRLE.native = 2, cineRLE, nil
		for _, one := range ramps {
			deepRLE.fragments = append(deepRLE.fragments, cineRLEOf(one, 1, 2))
		}
		colour := cineFile{
			class: cineSecondary, syntax: cineExplicit, modality: "OT", number: 3, columns: cineColumns, rows: cineRows, samples: 3, photometric: "RGB",
			allocated: 8, stored: 8, native: cineColours(),
		}
		colourRLE := colour
		colourRLE.number, colourRLE.syntax, colourRLE.native, colourRLE.fragments = 4, cineRLE, nil, [][]byte{cineRLEOf(cineColours(), 3, 1)}
		j2k := deep
		j2k.number, j2k.syntax, j2k.native = 5, cineJ2K, nil
		j2k.fragments = [][]byte{append([]byte{0xFF, 0x4F, 0xFF, 0x51}, make([]byte, 60)...)}
		j2k.more = map[string]string{"ImageType": `DERIVED\PRIMARY`, "LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5"}
		video := colour
		video.class, video.syntax, video.modality, video.number, video.native = cineUSMultiFrame, cineH264, "US", 6, nil
		video.photometric, video.more = "YBR_PARTIAL_420", map[string]string{"NumberOfFrames": "30", "CineRate": "30"}
		video.fragments = [][]byte{append([]byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), make([]byte, 200)...)}
		spaced := deep
		spaced.number, spaced.native = 7, ramps[0]
		c.columnSpacing = 0.5
		spaced.more = map[string]string{"PixelSpacing": `0.8\0.5`, "ImageOrientationPatient": `1\0\0\0\1\0`, "WindowCenter": "500", "WindowWidth": "3000"}
		bare := deep
		bare.number, bare.native, bare.more = 8, ramps[0], map[string]string{"WindowCenter": "500", "WindowWidth": "3000"}
		short := deep
		short.number, short.syntax, short.native, short.fragments = 9, cineRLE, nil, [][]byte{cineRLEOf(ramps[0], 1, 2)[:200]}
		short.more = nil
		for _, one := range []struct {
			file cineFile
			at   *fixtures.Instance
		}{
			{deep, &c.deep},
			{deepRLE, &c.deepRLE},
			{colour, &c.colour},
			{colourRLE, &c.colourRLE},
			{j2k, &c.undecodable},
			{video, &c.video},
			{spaced, &c.calibrated},
			{bare, &c.notCalibrated},
			{short, &c.odd},
		} {
			*one.at = one.file.instance(cineStudy)
			if c.err = w.send(bytes.NewReader(one.file.bytes(t, cineStudy))); c.err != nil {
				return
			}
		}
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
}

// cineView is the path of an instance's page.
func cineView(i fixtures.Instance) string {
	return "/pages/view/" + i.StudyInstanceUID + "/" + i.SeriesInstanceUID + "/" + i.SOPInstanceUID
}

// cineOpen opens the page of an instance at a frame, counted from 1, and waits for it.
func cineOpen(t testing.TB, i fixtures.Instance, frame int, v testbrowser.Viewport) *testbrowser.Tab {
	t.Helper()
	theCines(t)
	tab := page(t, fmt.Sprintf("%s?frame=%d&lang=en", cineView(i), frame), v)
	cineWait(tab, frame)
	return tab
}

func cineWait(tab *testbrowser.Tab, frame int) {
	tab.Wait(fmt.Sprintf(`document.querySelector("#canvas").dataset.frame === "%d"`, frame))
}

// cineTold is what the viewer tells of itself in an attribute of the canvas.
func cineTold(tab *testbrowser.Tab, name string) string {
	return testbrowser.Eval[string](tab, fmt.Sprintf(`document.querySelector("#canvas").dataset[%q] ?? ""`, name))
}

func cineNumber(t testing.TB, tab *testbrowser.Tab, name string) int {
	t.Helper()
	n, err := strconv.Atoi(cineTold(tab, name))
	if err != nil {
		t.Fatal(name, err)
	}
	return n
}

// cineDrawn waits until what was asked for is drawn.
func cineDrawn(tab *testbrowser.Tab) {
	testbrowser.Eval[bool](tab, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
}

// cinePicture returns the picture on the canvas at one to one, columns × rows, as it is on the screen.
func cinePicture(t testing.TB, tab *testbrowser.Tab, columns, rows int) *image.NRGBA {
	t.Helper()
	tab.Key("1")
	cineDrawn(tab)
	var m [6]float64
	if _, err := fmt.Sscan(cineTold(tab, "matrix"), &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]); err != nil {
		t.Fatal(err)
	}
	if m[0] != 1 || m[1] != 0 || m[2] != 0 || m[3] != 1 {
		t.Fatalf("the picture lies by %v, not one to one", m)
	}
	data := testbrowser.Eval[string](tab, fmt.Sprintf(`(() => {
		const to = document.createElement("canvas");
		to.width = %d; to.height = %d;
		to.getContext("2d").drawImage(document.querySelector("#canvas"), %v, %v, to.width, to.height, 0, 0, to.width, to.height);
		return to.toDataURL("image/png").split(",")[1];
	})()`, columns, rows, m[4], m[5]))
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	p, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewNRGBA(p.Bounds())
	for y := range rows {
		for x := range columns {
			out.Set(x, y, p.At(x, y))
		}
	}
	return out
}

func TestCinePage(t *testing.T) {
	theCines(t)
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		tab := page(t, cineView(cines.beat)+"?frame=3&"+query, v)
		cineWait(tab, 3)
		contains(t, tab.Text(".cine-head"), "播放", "Bo Fang", "CINE-2", "1 / 2")
		tab.Axe()
		tab.Screenshot("cine-loop-" + query[5:])
		tab.Key("?")
		tab.Wait(`document.querySelector("#help").open`)
		tab.Axe()
		tab.Screenshot("cine-help-" + query[5:])
		if n := testbrowser.Eval[int](tab, `[...document.querySelectorAll("#help kbd")].filter((k) => k.checkVisibility()).length`); n < 20 {
			t.Errorf("the help shows %d keys", n)
		}
		tab.Click("#help-close")
		tab.Wait(`!document.querySelector("#help").open`)
		tab.Key("o", "m")
		cineDrawn(tab)
		tab.Axe()

		tab.Go(theWorld(t).node.URL + cineView(cines.undecodable) + "?" + query)
		tab.Wait(`document.querySelector("#viewer").dataset.state === "problem"`)
		tab.Axe()
		tab.Screenshot("cine-undecodable-" + query[5:])
		tab.Allow("406")

		tab.Go(theWorld(t).node.URL + cineView(cines.calibrated) + "?" + query)
		cineWait(tab, 1)
		tab.Axe()
		tab.Screenshot("cine-ct-" + query[5:])
	})
}

// TestCinePlays: a loop plays by itself, and the page shows at least nine of ten frames that are due. How often a
// browser on a slow machine comes to draw at all is measured too, on the same canvas with the loop standing still: more
// cannot be shown.
func TestCinePlays(t *testing.T) {
	theCines(t)
	const stretch = 120 // frames, four seconds
	tab := page(t, cineView(cines.beat), testbrowser.Desktop)
	tab.Wait(`document.querySelector("#canvas").dataset.playing === "true" && document.querySelector("#canvas").dataset.held === "64"`)
	const enough = 0.9
	var shown, missed, able float64
	for range 3 { // other programs may have the machine for a while
		counts := testbrowser.Eval[map[string]float64](tab, fmt.Sprintf(`new Promise((done) => {
			const c = document.querySelector("#canvas").dataset;
			const read = () => Object.fromEntries(["asked", "shown", "late", "missed"].map((k) => [k, Number(c[k])]));
			const before = read();
			setTimeout(function look() {
				const now = read();
				if (now.asked < before.asked + %d) return setTimeout(look, 100);
				done(Object.fromEntries(Object.entries(now).map(([k, v]) => [k, v - before[k]])));
			}, 100);
		})`, stretch))
		tab.Key(" ")
		tab.Wait(`document.querySelector("#canvas").dataset.playing === "false"`)
		able = testbrowser.Eval[float64](tab, fmt.Sprintf(`new Promise((done) => {
			const slots = new Set(), canvas = document.querySelector("#canvas"), ctx = canvas.getContext("2d");
			const picture = new OffscreenCanvas(320, 240);
			picture.getContext("2d").fillRect(0, 0, 100, 100);
			let start;
			requestAnimationFrame(function tick(now) {
				start ??= now;
				const slot = Math.floor((now - start) / 33.333);
				if (slot >= %d) return done(slots.size / slot);
				slots.add(slot);
				ctx.setTransform(...canvas.dataset.matrix.split(" ").map(Number));
				ctx.drawImage(picture, 0, 0);
				requestAnimationFrame(tick);
			});
		})`, stretch/2))
		tab.Key(" ")
		tab.Wait(`document.querySelector("#canvas").dataset.playing === "true"`)
		t.Logf("of %v frames due %v were shown, %v drawn late, %v read late; the browser by itself draws in %.0f %% of their times",
			counts["asked"], counts["shown"], counts["late"], counts["missed"], 100*able)
		shown, missed = counts["shown"]/(counts["asked"]-1), counts["missed"]/counts["asked"] // one is still due
		if shown >= enough*able {
			break
		}
	}
	if shown < enough*able {
		t.Errorf("%.0f %% of the frames were shown, where the browser can show %.0f %%", 100*shown, 100*able)
	}
	if missed > 0.02 {
		t.Errorf("%.0f %% of the frames were not there in time, though all are in memory", 100*missed)
	}
	if n := cineNumber(t, tab, "held"); n != 64 {
		t.Errorf("%d of the loop's 64 frames are kept, though all fit", n)
	}

	tab.Key(" ")
	tab.Wait(`document.querySelector("#canvas").dataset.playing === "false"`)
	at := cineNumber(t, tab, "frame")
	cineDrawn(tab)
	cineDrawn(tab)
	if again := cineNumber(t, tab, "frame"); again != at {
		t.Errorf("paused at frame %d, and now at %d", at, again)
	}
	// Without looping it ends at the last frame.
	tab.Key("l", "]", "]", " ")
	tab.Wait(`document.querySelector("#canvas").dataset.frame === "64" && document.querySelector("#canvas").dataset.playing === "false"`)
}

// TestCineStill: people who asked their system for less motion start loops themselves.
func TestCineStill(t *testing.T) {
	theCines(t)
	tab := testbrowser.Open(t, testbrowser.Desktop)
	testbrowser.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}})
	tab.Go(theWorld(t).node.URL + cineView(cines.beat))
	cineWait(tab, 1)
	tab.Wait(`document.querySelector("#canvas").dataset.held === "64"`)
	if cineTold(tab, "playing") != "false" || cineNumber(t, tab, "asked") != 0 {
		t.Error("the loop plays by itself")
	}
	tab.Click(`[data-act="play"]`)
	tab.Wait(`document.querySelector("#canvas").dataset.playing === "true"`)
}

// TestCineMemory plays a loop whose frames take twice the memory that the viewer allows itself.
func TestCineMemory(t *testing.T) {
	tab := cineOpen(t, cines.large, 1, testbrowser.Desktop)
	testbrowser.Eval[bool](tab, `(() => {
		window.most = 0;
		const c = document.querySelector("#canvas");
		new MutationObserver(() => { window.most = Math.max(window.most, Number(c.dataset.bytes)); }).observe(c, {attributes: true});
		return true;
	})()`)
	tab.Key(kb.End)
	cineWait(tab, 70)
	tab.Key(kb.Home)
	cineWait(tab, 1)
	for f := 2; f <= 70; f++ {
		tab.Key(".")
		cineWait(tab, f)
	}
	tab.Key(" ")
	tab.Wait(`document.querySelector("#canvas").dataset.asked >= 90`)
	const budget, all = 256 << 20, 70 * 1600 * 1200 * 4
	if most := testbrowser.Eval[int](tab, `window.most`); most > budget || most < budget/4 {
		t.Errorf("frames took up to %d bytes of %d", most, budget)
	}
	if cineNumber(t, tab, "held") >= 70 || all < 2*budget*95/100 {
		t.Error("all frames are in memory; the test proves nothing")
	}
}

func TestCinePixels(t *testing.T) {
	theCines(t)
	w := theWorld(t)
	for _, c := range []struct {
		name     string
		instance fixtures.Instance
		frame    int
		want     func(x, y int) [3]byte
	}{
		{"16 bits", cines.deep, 2, func(x, y int) [3]byte {
			g := cineGrey(float64(cineRamp(x, y, 1))*0.5-100, 200, 900)
			return [3]byte{g, g, g}
		}},
		{"16 bits, RLE", cines.deepRLE, 3, func(x, y int) [3]byte {
			g := cineGrey(float64(cineRamp(x, y, 2))*0.5-100, 200, 900)
			return [3]byte{g, g, g}
		}},
		{"RGB", cines.colour, 1, cineColour},
		{"RGB, RLE", cines.colourRLE, 1, cineColour},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := cineOpen(t, c.instance, c.frame, testbrowser.Desktop)
			p := cinePicture(t, tab, cineColumns, cineRows)
			for y := range cineRows {
				for x := range cineColumns {
					got := p.NRGBAAt(x, y)
					if want := c.want(x, y); [3]byte{got.R, got.G, got.B} != want {
						t.Fatalf("the pixel at %d, %d is %v, not %v", x, y, got, want)
					}
				}
			}
		})
	}
	for _, c := range []struct {
		name     string
		instance fixtures.Instance
		samples  int
		frames   []int
	}{{"native RGB", w.native, 3, []int{1, 7, 12}}, {"native gray", w.gray, 1, []int{2, 8}}} {
		t.Run(c.name, func(t *testing.T) {
			tab := cineOpen(t, c.instance, c.frames[0], testbrowser.Desktop)
			for _, frame := range c.frames {
				testbrowser.Eval[bool](tab, fmt.Sprintf(`(() => {
					const s = document.querySelector("#frames");
					s.value = %d;
					return s.dispatchEvent(new Event("input", {bubbles: true}));
				})()`, frame))
				cineWait(tab, frame)
				p := cinePicture(t, tab, 320, 240)
				row := make([]byte, 0, 32*c.samples)
				for x := range 32 {
					g := p.NRGBAAt(x, 0)
					row = append(row, []byte{g.R, g.G, g.B}[:c.samples]...)
				}
				if n, ok := fixtures.FrameNumber(row, c.samples); !ok || n != uint32(frame-1) {
					t.Errorf("frame %d shows the mark %d (%v)", frame, n, ok)
				}
			}
		})
	}
	t.Run("JPEG", func(t *testing.T) {
		tab := cineOpen(t, w.jpeg, 5, testbrowser.Desktop)
		got := cinePicture(t, tab, 600, 480) // of 640 columns: all that surely is on the stage
		want, err := jpeg.Decode(bytes.NewReader(cineFetch(t, w, w.jpeg, "/frames/5", "image/jpeg")))
		if err != nil {
			t.Fatal(err)
		}
		other, err := jpeg.Decode(bytes.NewReader(cineFetch(t, w, w.jpeg, "/frames/12", "image/jpeg")))
		if err != nil {
			t.Fatal(err)
		}
		// Decoders differ in how they spread colours; frames differ by far more.
		if d := cineApart(got, want); d > 1.5 {
			t.Errorf("pixels are off by %.2f on average", d)
		}
		if d := cineApart(got, other); d < 3 {
			t.Errorf("another frame is only %.2f off: the test proves nothing", d)
		}
	})
}

// cineApart is the mean difference of the samples of two pictures.
func cineApart(a, b image.Image) float64 {
	var sum float64
	r := a.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			r1, g1, b1, _ := a.At(x, y).RGBA()
			r2, g2, b2, _ := b.At(x, y).RGBA()
			sum += math.Abs(float64(r1)-float64(r2)) + math.Abs(float64(g1)-float64(g2)) + math.Abs(float64(b1)-float64(b2))
		}
	}
	return sum / 257 / 3 / float64(r.Dx()*r.Dy())
}

// cineFetch gets something of an instance from the node.
func cineFetch(t testing.TB, w *world, i fixtures.Instance, path, accept string) []byte {
	t.Helper()
	url := w.node.URL + "/dicom-web/studies/" + i.StudyInstanceUID + "/series/" + i.SeriesInstanceUID + "/instances/" + i.SOPInstanceUID + path
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
	return body
}

// cineDrag presses a button at one place of the stage, in pixels of the picture, and lets it go at another.
func cineDrag(t testing.TB, tab *testbrowser.Tab, button input.MouseButton, from, to [2]float64) {
	t.Helper()
	a, b := cineOnScreen(t, tab, from), cineOnScreen(t, tab, to)
	held := map[input.MouseButton]int64{input.MouseButtonLeft: 1, input.MouseButtonRight: 2}[button]
	for _, e := range []input.DispatchMouseEventParams{
		{Type: input.DispatchMouseEventTypeMouseMoved, X: a[0], Y: a[1]},
		{Type: input.DispatchMouseEventTypeMousePressed, X: a[0], Y: a[1], Button: button, Buttons: held, ClickCount: 1},
		{Type: input.DispatchMouseEventTypeMouseMoved, X: (a[0] + b[0]) / 2, Y: (a[1] + b[1]) / 2, Button: button, Buttons: held},
		{Type: input.DispatchMouseEventTypeMouseMoved, X: b[0], Y: b[1], Button: button, Buttons: held},
		{Type: input.DispatchMouseEventTypeMouseReleased, X: b[0], Y: b[1], Button: button, ClickCount: 1},
	} {
		testbrowser.Call(tab, input.DispatchMouseEvent, e)
	}
	cineDrawn(tab)
}

// cineOnScreen is where a place of the picture is in the tab.
func cineOnScreen(t testing.TB, tab *testbrowser.Tab, p [2]float64) [2]float64 {
	t.Helper()
	v := testbrowser.Eval[[]float64](tab, fmt.Sprintf(`(() => {
		const c = document.querySelector("#canvas"), box = c.getBoundingClientRect();
		const [a, b, d, e, f, g] = c.dataset.matrix.split(" ").map((v) => v / devicePixelRatio);
		return [box.left + a * %[1]v + d * %[2]v + f, box.top + b * %[1]v + e * %[2]v + g];
	})()`, p[0], p[1]))
	return [2]float64{v[0], v[1]}
}

// TestCineWindow: what is on the screen is what the window that the page tells makes of the values.
func TestCineWindow(t *testing.T) {
	tab := cineOpen(t, cines.deep, 1, testbrowser.Desktop)
	check := func(what string, inverted bool) (center, width float64) {
		t.Helper()
		p := cinePicture(t, tab, cineColumns, cineRows)
		var fn string
		if _, err := fmt.Sscan(cineTold(tab, "window"), &center, &width, &fn); err != nil || fn != "LINEAR" {
			t.Fatal(what, cineTold(tab, "window"), err)
		}
		for _, at := range [][2]int{{0, 0}, {17, 30}, {50, 50}, {100, 5}, {127, 95}, {64, 80}} {
			want := cineGrey(float64(cineRamp(at[0], at[1], 0))*0.5-100, center, width)
			if inverted {
				want = 255 - want
			}
			if got := p.NRGBAAt(at[0], at[1]); got.R != want || got.G != want || got.B != want {
				t.Errorf("%s, window %v %v: the pixel at %v is %v, not %d", what, center, width, at, got, want)
			}
		}
		return center, width
	}
	if c, w := check("as stored", false); c != 200 || w != 900 {
		t.Errorf("the first window is %v %v, not the header's", c, w)
	}
	cineDrag(t, tab, input.MouseButtonRight, [2]float64{20, 20}, [2]float64{60, 50})
	c, w := check("dragged", false)
	if c <= 200 || w <= 900 {
		t.Errorf("dragging down and to the right gave %v %v", c, w)
	}
	tab.Key("w", kb.ArrowLeft, kb.ArrowUp)
	if c2, w2 := check("by keys", false); c2 >= c || w2 >= w {
		t.Errorf("arrows gave %v %v after %v %v", c2, w2, c, w)
	}
	tab.Key("i")
	check("inverted", true)
	tab.Key("i")
	if got := testbrowser.Eval[[]string](tab, `[...document.querySelector("#preset").options].map((o) => o.text)`); !strings.Contains(strings.Join(got, ","), "WIDE,SOFT,All values,Abdomen") {
		t.Errorf("presets are %q", got)
	}
	for preset, want := range map[string][2]float64{"window:1": {40, 400}, "ct:bone": {480, 2500}, "own": {200, 900}} {
		testbrowser.Eval[bool](tab, fmt.Sprintf(`(() => { const s = document.querySelector("#preset"); s.value = %q; return s.dispatchEvent(new Event("change")); })()`, preset))
		if c, w := check(preset, false); c != want[0] || w != want[1] {
			t.Errorf("preset %s is %v %v", preset, c, w)
		}
	}
	tab.Key("w", kb.ArrowLeft, "x")
	if c, w := check("after reset", false); c != 200 || w != 900 {
		t.Errorf("reset gave %v %v", c, w)
	}
}

func TestCineSteps(t *testing.T) {
	tab := cineOpen(t, cines.beat, 10, testbrowser.Desktop)
	wheel := func(delta float64, modifiers int64) {
		at := cineOnScreen(t, tab, [2]float64{100, 100})
		testbrowser.Call(tab, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseWheel, X: at[0], Y: at[1], DeltaX: 1e-6, DeltaY: delta, Modifiers: modifiers})
	}
	wheel(120, 0)
	cineWait(tab, 11)
	wheel(-120, 0)
	cineWait(tab, 10)
	for _, step := range []struct {
		key   string
		frame int
	}{
		{kb.ArrowRight, 11}, {kb.ArrowDown, 12}, {kb.ArrowLeft, 11}, {kb.ArrowUp, 10}, {".", 11}, {",", 10}, {kb.Home, 1}, {",", 64}, {".", 1}, {kb.End, 64},
	} {
		tab.Key(step.key)
		cineWait(tab, step.frame)
	}
	tab.Click(`[data-act="previous"]`)
	cineWait(tab, 63)
	before := cineOnScreen(t, tab, [2]float64{100, 100})
	wheel(-200, 2) // with Ctrl: zoom, about the pointer
	cineDrawn(tab)
	if after := cineOnScreen(t, tab, [2]float64{100, 100}); math.Hypot(after[0]-before[0], after[1]-before[1]) > 2 {
		t.Errorf("zooming moved the place under the pointer from %v to %v", before, after)
	}
	if far := cineOnScreen(t, tab, [2]float64{300, 100}); far[0]-before[0] < 700 {
		t.Errorf("200 pixels are %v wide after zooming in", far[0]-before[0])
	}
	if n := cineNumber(t, tab, "frame"); n != 63 {
		t.Errorf("zooming went to frame %d", n)
	}
	// The focus comes to every control.
	seen := testbrowser.Eval[int](tab, `document.querySelectorAll("[data-act]:not(:disabled)").length`)
	acts := map[string]bool{}
	for range 60 {
		tab.Key(kb.Tab)
		if a := testbrowser.Eval[string](tab, `document.activeElement.dataset?.act ?? ""`); a != "" {
			acts[a] = true
		}
	}
	if len(acts) != seen {
		t.Errorf("%d of %d buttons are reached by Tab: %v", len(acts), seen, acts)
	}
	// The instances beside it.
	testbrowser.Eval[bool](tab, `document.activeElement.blur() ?? true`)
	tab.Key(kb.PageDown)
	tab.Wait(fmt.Sprintf(`location.pathname === %q`, cineView(cines.large)))
}

func TestCineMeasures(t *testing.T) {
	tab := cineOpen(t, cines.beat, 2, testbrowser.Desktop)
	length := func() float64 {
		t.Helper()
		text := testbrowser.Eval[string](tab, `document.querySelector("#measures li:last-child span")?.textContent ?? ""`)
		_, text, _ = strings.Cut(text, ": ")
		mm, err := strconv.ParseFloat(strings.TrimSuffix(text, " mm"), 64)
		if err != nil {
			t.Fatal(text, err)
		}
		return mm
	}
	// The fan's region has 16 cm over 92 % of the rows.
	perPixel := 160 / (0.92 * 240)
	tab.Key("m")
	cineDrag(t, tab, input.MouseButtonLeft, [2]float64{100, 80}, [2]float64{160, 160})
	if got, want := length(), 100*perPixel; math.Abs(got-want) > 1.5*perPixel {
		t.Errorf("a line of 100 pixels is %v mm, not %.1f", got, want)
	}
	tab.Key("o")
	cineDrawn(tab)
	tab.Screenshot("cine-measure")
	tab.Axe()
	tab.Key("o")
	tab.Key(kb.Delete)
	tab.Wait(`document.querySelector("#measures").hidden`)

	tab.Go(theWorld(t).node.URL + cineView(cines.calibrated) + "?lang=en")
	cineWait(tab, 1)
	// By keys: from the middle ten steps right and ten down, each as wide as a pixel. Pixels are higher than wide here.
	tab.Key("m", kb.Enter)
	for range 10 {
		tab.Key(kb.ArrowRight, kb.ArrowDown)
	}
	tab.Key(kb.Enter)
	tab.Wait(`document.querySelector("#measures li")`)
	if got, want := length(), 10*math.Hypot(cines.columnSpacing, cines.columnSpacing); math.Abs(got-want) > 0.1 {
		t.Errorf("ten steps across and down are %v mm, not %.1f", got, want)
	}
	edges := testbrowser.Eval[string](tab, `["left", "top", "right", "bottom"].map((c) => document.querySelector('[data-corner="' + c + '"]').textContent).join("")`)
	if edges != "RALP" {
		t.Errorf("the edges are %s", edges)
	}

	tab.Go(theWorld(t).node.URL + cineView(cines.notCalibrated) + "?lang=en")
	cineWait(tab, 1)
	tab.Key("m")
	cineDrag(t, tab, input.MouseButtonLeft, [2]float64{10, 10}, [2]float64{60, 60})
	contains(t, tab.Text("#measures"), "not calibrated")
}

// TestCineStack: a series of single pictures is gone through like a loop, and the page follows.
func TestCineStack(t *testing.T) {
	w := theWorld(t)
	tab := page(t, cineView(w.manyInstances[2])+"?lang=en", testbrowser.Desktop)
	cineWait(tab, 3)
	if cineTold(tab, "playing") == "true" {
		t.Error("a series plays by itself")
	}
	contains(t, tab.Text("#stage"), "Image 3 / 130")
	for _, step := range []struct {
		key string
		at  int
	}{{kb.ArrowRight, 4}, {kb.ArrowRight, 5}, {kb.PageDown, 6}, {kb.End, 130}, {kb.PageDown, 130}, {",", 129}, {kb.Home, 1}, {kb.PageUp, 1}, {".", 2}} {
		tab.Key(step.key)
		cineWait(tab, step.at)
		i := w.manyInstances[step.at-1]
		p := cinePicture(t, tab, 64, 64)
		want := cineFetch(t, w, i, "/frames/1", "application/octet-stream; transfer-syntax=*")
		for at, v := range want {
			if got := p.NRGBAAt(at%64, at/64); got.R != v || got.G != v || got.B != v {
				t.Fatalf("picture %d: the pixel at %d, %d is %v, not %d", step.at, at%64, at/64, got, v)
			}
		}
		tab.Wait(fmt.Sprintf(`location.pathname === %q && location.search === "?lang=en"`, cineView(i)))
		tab.Wait(fmt.Sprintf(`document.querySelector(".cine-beside").innerText.includes("%d / 130")`, step.at))
		tab.Wait(fmt.Sprintf(`document.querySelector(".cine-tools a[download]").href.includes(%q)`, i.SOPInstanceUID))
	}
	tab.Screenshot("cine-stack")
	tab.Axe()
}

// TestCineTouch: one finger scrolls, two zoom.
func TestCineTouch(t *testing.T) {
	tab := cineOpen(t, cines.beat, 10, testbrowser.Phone)
	touch := func(kind input.DispatchTouchEventType, points ...[2]float64) {
		at := []*input.TouchPoint{}
		for i, p := range points {
			id := float64(i)
			at = append(at, &input.TouchPoint{X: p[0], Y: p[1], ID: &id})
		}
		testbrowser.Call(tab, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: at})
	}
	from := cineOnScreen(t, tab, [2]float64{160, 120})
	touch(input.DispatchTouchEventTypeTouchStart, from)
	touch(input.DispatchTouchEventTypeTouchMove, [2]float64{from[0], from[1] + 10})
	touch(input.DispatchTouchEventTypeTouchMove, [2]float64{from[0], from[1] + 40})
	touch(input.DispatchTouchEventTypeTouchEnd)
	cineWait(tab, 15)
	width := func() float64 {
		return cineOnScreen(t, tab, [2]float64{320, 0})[0] - cineOnScreen(t, tab, [2]float64{0, 0})[0]
	}
	before := width()
	touch(input.DispatchTouchEventTypeTouchStart, [2]float64{from[0] - 30, from[1]}, [2]float64{from[0] + 30, from[1]})
	touch(input.DispatchTouchEventTypeTouchMove, [2]float64{from[0] - 60, from[1]}, [2]float64{from[0] + 60, from[1]})
	touch(input.DispatchTouchEventTypeTouchEnd)
	cineDrawn(tab)
	if after := width(); math.Abs(after/before-2) > 0.05 {
		t.Errorf("fingers twice as far apart made %v pixels of %v", after, before)
	}
	if n := cineNumber(t, tab, "frame"); n != 15 {
		t.Errorf("two fingers went to frame %d", n)
	}
}

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
