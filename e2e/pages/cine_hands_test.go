package pages

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

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

func TestCineSteps(t *testing.T) {
	theCines(t)
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
	theCines(t)
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
	theCines(t)
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
