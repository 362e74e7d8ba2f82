package pages

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

// ecgMouse moves the pointer over the page.
func ecgMouse(tab *testbrowser.Tab, kind input.DispatchMouseEventType, x, y float64) {
	p := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Button: "left", ClickCount: 1}
	if kind != "mouseReleased" {
		p.Buttons = 1
	}
	testbrowser.Call(tab, input.DispatchMouseEvent, p)
}

// onPaper returns the place in the tab of a place on the paper, mm.
func onPaper(tab *testbrowser.Tab, x, y float64) (float64, float64) {
	p := testbrowser.Eval[[]float64](tab, fmt.Sprintf(`(() => {
		const c = document.querySelector("#ecg-paper");
		c.scrollIntoView({block: "center", inline: "nearest"});
		const s = JSON.parse(c.dataset.scale), b = c.getBoundingClientRect();
		return [b.left + %f * s.px, b.top + %f * s.px];
	})()`, x, y))
	return p[0], p[1]
}

// dragOnPaper drags from one place of the paper to another, mm.
func dragOnPaper(tab *testbrowser.Tab, x0, y0, x1, y1 float64) {
	ax, ay := onPaper(tab, x0, y0)
	bx, by := ax+(x1-x0)*96/25.4, ay+(y1-y0)*96/25.4
	ecgMouse(tab, "mousePressed", ax, ay)
	ecgMouse(tab, "mouseMoved", (ax+bx)/2, (ay+by)/2)
	ecgMouse(tab, "mouseMoved", bx, by)
	ecgMouse(tab, "mouseReleased", bx, by)
}

// stripII is the rhythm strip.
func stripII(tab *testbrowser.Tab) ecgCell {
	c := ecgCells(tab)
	return c[len(c)-1]
}

// TestECGCalipers measures the distance of two R peaks and the height of one, by mouse and by keys.
func TestECGCalipers(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	tab.Click("#ecg-measure")
	strip := stripII(tab)
	x := func(sample float64) float64 { return strip.X + (sample/beatHz-strip.T0)*25 }
	reading := func(n int) string {
		tab.Wait(fmt.Sprintf(`document.querySelectorAll("#ecg-readings .ecg-reads").length >= %d`, n))
		return testbrowser.Eval[string](tab, fmt.Sprintf(`document.querySelectorAll("#ecg-readings .ecg-reads")[%d].textContent`, n-1))
	}
	// Without snapping: as exact as a pixel, 10.6 ms.
	dragOnPaper(tab, x(firstBeat), strip.Y-12.5, x(firstBeat+nextBeat), strip.Y-12.5)
	var n int
	var lead string
	var ms float64
	if _, err := fmt.Sscanf(strings.NewReplacer("(", "", "):", "").Replace(reading(1)), "Caliper %d %s %f ms", &n, &lead, &ms); err != nil || lead != "II" || math.Abs(ms-800) > 11 {
		t.Errorf("%q: %v", reading(1), err)
	}
	tab.Click("#ecg-clear") // its handles lie where the next drag begins
	// With snapping: to the sample.
	tab.Click("#ecg-snap")
	dragOnPaper(tab, x(firstBeat)+0.7, strip.Y-11, x(firstBeat+nextBeat)-0.6, strip.Y-9)
	contains(t, reading(1), "II", "800 ms", "75.0 bpm", "0 µV")
	// From the tip to the level behind it.
	third := float64(firstBeat + 2*nextBeat)
	dragOnPaper(tab, x(third)-0.5, strip.Y-10, x(third+nextBeat/2), strip.Y-5)
	contains(t, reading(2), "400 ms", "−1.25 mV")
	// The handle of the second cursor has the focus: a sample is 2 ms.
	tab.Wait(`document.activeElement.dataset.cursor === "b" && document.activeElement.dataset.caliper === "3"`) // the third that was made
	tab.Key(kb.ArrowRight)
	contains(t, reading(2), "402 ms")
	if got := testbrowser.Eval[string](tab, `document.activeElement.ariaValueText`); !strings.Contains(got, "402 ms") {
		t.Errorf("the slider says %q", got)
	}
	tab.Wait(`document.querySelector("#ecg-live").textContent.includes("402 ms")`)
	// Marching out: ten seconds have tips at 0.5, 1.3, … s, and the strip's cursors stand at two of them.
	if n := testbrowser.Eval[int](tab, `document.querySelectorAll("#ecg-lines .step").length`); n != 0 {
		t.Errorf("%d lines of a march nobody asked for", n)
	}
	tab.Click(`#ecg-readings li:nth-child(1) [data-cursor="march"]`)
	if n := testbrowser.Eval[int](tab, `document.querySelectorAll("#ecg-lines .step").length`); n != 10 {
		t.Errorf("%d lines of a march of 800 ms from 0.5 s through 10 s, want 10", n)
	}
	tab.Screenshot("ecg-calipers")
	tab.Axe()
	tab.Click(`#ecg-readings li:nth-child(1) [data-cursor="remove"]`)
	if n := testbrowser.Eval[int](tab, `document.querySelectorAll("#ecg-readings li").length`); n != 1 {
		t.Errorf("%d calipers are left", n)
	}
	tab.Click("#ecg-clear")
	tab.Key("c") // the focus is on a button: letters are for the paper
	testbrowser.Eval[bool](tab, `document.querySelector("#ecg-scroll").focus() ?? true`)
	if n := testbrowser.Eval[int](tab, `document.querySelectorAll("#ecg-readings li").length`); n != 0 {
		t.Errorf("%d calipers by a letter beside the paper", n)
	}
	tab.Key("c") // by keys alone
	tab.Wait(`document.activeElement.getAttribute("role") === "slider"`)
	tab.Key("m")
	tab.Wait(`document.querySelectorAll("#ecg-lines .step").length > 0`)
	tab.Key("n")
	tab.Wait(`document.activeElement.ariaLabel.includes("lead aVR")`) // the next trace of the row
	tab.Wait(`document.querySelectorAll("#ecg-readings li").length === 1`)
}

// TestECGTouch drags a caliper by finger.
func TestECGTouch(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Phone)
	visible := `document.querySelector("#ecg-speed").checkVisibility()`
	if testbrowser.Eval[bool](tab, visible) {
		t.Error("the choices stand between a small screen and its paper")
	}
	tab.Click("#ecg-fold")
	tab.Wait(visible + ` && document.querySelector("#ecg-fold").ariaExpanded === "true"`)
	tab.Axe()
	tab.Click("#ecg-fold")
	tab.Click("#ecg-measure")
	tab.Click("#ecg-snap")
	first := ecgCells(tab)[0] // lead I: its tip at 0.5 s is 12.5 mm from the left
	touch := func(kind input.DispatchTouchEventType, points ...*input.TouchPoint) {
		testbrowser.Call(tab, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: points})
	}
	x0, y0 := onPaper(tab, first.X+12.5, first.Y-5)
	x1 := x0 + 0.8*25*96/25.4
	touch("touchStart", &input.TouchPoint{X: x0, Y: y0})
	touch("touchMove", &input.TouchPoint{X: (x0 + x1) / 2, Y: y0})
	touch("touchMove", &input.TouchPoint{X: x1, Y: y0})
	touch("touchEnd")
	tab.Wait(`document.querySelector("#ecg-readings .ecg-reads")?.textContent.includes("800 ms")`)
	tab.Screenshot("ecg-touch")
}
