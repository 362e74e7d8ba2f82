package pages

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

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
	theCines(t)
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

// TestCineWindow: what is on the screen is what the window that the page tells makes of the values.
func TestCineWindow(t *testing.T) {
	theCines(t)
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
