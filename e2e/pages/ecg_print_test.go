package pages

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"

	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

// TestECGPrint: what is printed has the printer's millimetres, and is made before the printer looks.
func TestECGPrint(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Phone)
	width := testbrowser.Eval[float64](tab, `(async () => {
		dispatchEvent(new Event("beforeprint"));
		for (let i = 0; i < 300; i++) await null; // no more than a browser waits for
		return document.querySelector("#ecg-paper").width;
	})()`)
	if want := math.Floor(270 * 96 / 25.4 * 3.2); width != want {
		t.Errorf("%v pixels for 270 mm, want %v", width, want)
	}
	testbrowser.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	if got := testbrowser.Eval[float64](tab, `document.querySelector("#ecg-paper").getBoundingClientRect().width`); math.Abs(got-270*96/25.4) > 0.1 {
		t.Errorf("%v CSS pixels for 270 mm, want %v", got, 270*96/25.4)
	}
	if testbrowser.Eval[string](tab, `getComputedStyle(document.querySelector("#ecg-tools")).display`) != "none" {
		t.Error("controls are printed")
	}
	// On paper: A4, and on it 270 mm.
	yes := true
	pdf := testbrowser.Call(tab, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PreferCSSPageSize: &yes, PrintBackground: &yes})
	if !bytes.HasPrefix(pdf.Data, []byte("%PDF-")) {
		t.Fatal("no PDF")
	}
	box := regexp.MustCompile(`/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]`).FindSubmatch(pdf.Data)
	if box == nil {
		t.Fatal("no MediaBox")
	}
	var w, h float64
	if _, err := fmt.Sscan(string(box[1])+" "+string(box[2]), &w, &h); err != nil || math.Abs(w-842) > 1.5 || math.Abs(h-595) > 1.5 {
		t.Errorf("a page of %v × %v points, want A4 landscape (%v)", w, h, err)
	}
	if got := printedWidth(t, pdf.Data, width); math.Abs(got-270) > 0.3 {
		t.Errorf("the paper is printed %.2f mm wide, want 270", got)
	}
	if dir := os.Getenv("TRIBUTARY_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "ecg-print.pdf"), pdf.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// printedWidth finds how wide a canvas of so many pixels is on the page of a PDF, mm: Chromium prints what was drawn on it
// as paths, scaled by the matrices of the page and of the canvas.
func printedWidth(t *testing.T, pdf []byte, pixels float64) float64 {
	t.Helper()
	canvas := regexp.MustCompile(fmt.Sprintf(`([0-9.]+) 0 0 [0-9.]+ [0-9.-]+ [0-9.-]+ cm\n[^Q]{0,200}?0 0 %.0f [0-9]+ re`, pixels))
	base := regexp.MustCompile(`^([0-9.]+) 0 0 -[0-9.]+ 0 [0-9.]+ cm`)
	for part := range bytes.SplitSeq(pdf, []byte("stream")) {
		z, err := zlib.NewReader(bytes.NewReader(bytes.TrimLeft(part, "\r\n")))
		if err != nil {
			continue
		}
		content, _ := io.ReadAll(z) // what follows the stream is none of it
		one, two := base.FindSubmatch(content), canvas.FindSubmatch(content)
		if one == nil || two == nil {
			continue
		}
		var a, b float64
		if _, err := fmt.Sscan(string(one[1])+" "+string(two[1]), &a, &b); err != nil {
			t.Fatal(err)
		}
		return a * b * pixels / 72 * 25.4
	}
	t.Fatal("the PDF has no such canvas")
	return 0
}

// TestECGCalibrate: a person who holds a card against the screen changes the size of the paper, not what calipers read.
func TestECGCalibrate(t *testing.T) {
	path := beatsPage(t)
	tab := openECG(t, path, "lang=en", testbrowser.Desktop)
	contains(t, tab.Text("#ecg-screen"), "not calibrated")
	tab.Click("#ecg-calibrate summary")
	testbrowser.Eval[bool](tab, `(() => { const r = document.querySelector("#ecg-card-width"); r.value = 428; r.dispatchEvent(new Event("input")); return true; })()`)
	tab.Click("#ecg-card-keep")
	tab.Wait(`Math.abs(JSON.parse(document.querySelector("#ecg-paper").dataset.scale).px - 5) < 1e-6`)
	contains(t, tab.Text("#ecg-screen"), "Calibrated", "5.00")
	tab.Go(theWorld(t).node.URL + path)
	drawnECG(tab)
	if s := scaleOfECG(tab); math.Abs(s.Px-5) > 1e-6 {
		t.Errorf("after a reload %v pixels a millimetre", s.Px)
	}
	tab.Click("#ecg-calibrate summary")
	tab.Click("#ecg-card-forget")
	tab.Wait(`Math.abs(JSON.parse(document.querySelector("#ecg-paper").dataset.scale).px - 96 / 25.4) < 1e-6`)
}
