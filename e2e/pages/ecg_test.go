package pages

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/internal/testbrowser"
	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// TestECGScale reads the canvas back: tips of QRS complexes lie where sample ÷ rate × mm/s and mV × mm/mV say.
func TestECGScale(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	for _, c := range []struct{ speed, gain float64 }{{25, 10}, {50, 20}, {12.5, 5}, {100, 10}} {
		setECG(tab, "ecg-speed", fmt.Sprint(c.speed))
		setECG(tab, "ecg-gain", fmt.Sprint(c.gain))
		scale := scaleOfECG(tab)
		if math.Abs(scale.Px-96/25.4) > 1e-6 {
			t.Fatalf("%v CSS pixels a millimetre", scale.Px)
		}
		checked := 0
		for _, cell := range ecgCells(tab) {
			for tip := firstBeat; tip < 10*beatHz; tip += nextBeat {
				x := cell.X + (float64(tip)/beatHz-cell.T0)*c.speed
				if x < cell.X+9 || x > cell.X+cell.W-1 || math.Abs(tips[cell.Name]) < 0.5 {
					continue // the label stands before it
				}
				want := cell.Y - tips[cell.Name]*c.gain
				if crowded := strings.HasPrefix(cell.Name, "V") && c.gain > 10; crowded || want < 1 || want > scale.Height-1 {
					continue // rows of chest leads cross, as on paper; what is beyond the paper is named
				}
				up, low := min(want, cell.Y)-1.5, max(want, cell.Y)+1.5
				got := inkOf(tab, x-1.2, x+1.2, up, low)
				gotX, gotY := got.TopX, got.Top
				if tips[cell.Name] < 0 {
					gotX, gotY = got.LowX, got.Low
				}
				// A pixel is 0.26 mm, a stroke as wide.
				if math.Abs(gotX-x) > 0.3 || math.Abs(gotY-want) > 0.75 && c.speed < 25 || math.Abs(gotY-want) > 0.45 && c.speed >= 25 {
					t.Errorf("%v mm/s %v mm/mV lead %s tip %d: at %.2f, %.2f mm, want %.2f, %.2f", c.speed, c.gain, cell.Name, tip, gotX, gotY, x, want)
				}
				checked++
			}
		}
		if checked < 8 {
			t.Errorf("%v mm/s: %d tips were looked at", c.speed, checked)
		}
		// The calibration pulse: 1 mV for 200 ms.
		first := ecgCells(tab)[0]
		if c.gain == 10 {
			if p := inkOf(tab, 7.5-0.05*c.speed, 7.5+0.05*c.speed, 0, first.Y-2); c.speed <= 50 && math.Abs(p.Top-(first.Y-10)) > 0.3 {
				t.Errorf("%v mm/s: the pulse reaches to %.2f mm, want %.2f", c.speed, p.Top, first.Y-10)
			}
		}
	}
}

// TestECGLayouts: each layout places its leads, and a lead that was not recorded is named.
func TestECGLayouts(t *testing.T) {
	names := append(append([]string{}, beatLeads[:8]...), beatLeads[9:]...) // no V3
	tab := openECG(t, sendRecording(t, recordingOf("ECG-2", beats(ecg.Rhythm, 10, names...))), "lang=en", testbrowser.Desktop)
	for layout, want := range map[string]int{"auto": 13, "3x4+1": 13, "3x4+3": 15, "3x4": 12, "6x2": 12, "12x1": 12, "strips": 1} {
		setECG(tab, "ecg-layout", layout)
		cells := ecgCells(tab)
		if len(cells) != want {
			t.Errorf("%s: %d cells, want %d", layout, len(cells), want)
		}
		caption := tab.Text("#ecg-caption")
		for _, c := range cells {
			if c.Recorded != (c.Name != "V3") {
				t.Errorf("%s: %s recorded: %t", layout, c.Name, c.Recorded)
			}
			if !c.Recorded {
				contains(t, caption, "Not recorded: V3")
				// Empty paper: no line where nothing was recorded, but the words.
				// Between beats: those of other rows reach into this one.
				from := math.Ceil((c.T0+0.2)/0.8)*0.8 + 0.6
				x := c.X + (from-c.T0)*25
				if p := inkOf(tab, x, x+13, c.Y-3, c.Y+3); p.Top < 1e8 {
					t.Errorf("%s: ink where V3 was not recorded: %+v", layout, p)
				}
			}
		}
	}
	setECG(tab, "ecg-layout", "6x2")
	setECG(tab, "ecg-cabrera", "true")
	if c := ecgCells(tab); c[0].Name != "aVL" || c[4].Name != "-aVR" {
		t.Errorf("Cabrera begins %s, third %s", c[0].Name, c[4].Name)
	}
	contains(t, testbrowser.Eval[string](tab, `document.querySelector("#ecg-pdf").href`), "layout=cabrera", "lang=en", "application%2Fpdf")
	setECG(tab, "ecg-layout", "3x4+1")
	setECG(tab, "ecg-rhythm", "V1")
	if c := ecgCells(tab); c[12].Name != "V1" {
		t.Errorf("the strip is %s", c[12].Name)
	}
}

// TestECGGaps: samples that are missing are a gap, not a level line, and a caliper does not snap into it.
func TestECGGaps(t *testing.T) {
	g := beats(ecg.Rhythm, 10, beatLeads...)
	counts, _, err := g.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	missing := make([][]bool, len(counts))
	for i := range missing {
		missing[i] = make([]bool, len(counts[i]))
		for j := 3000; j < 4000; j++ { // 6 to 8 s
			missing[i][j] = true
		}
	}
	g.Memory(counts, missing)
	tab := openECG(t, sendRecording(t, recordingOf("ECG-5", g)), "lang=en", testbrowser.Desktop)
	strip := stripII(tab)
	x := func(seconds float64) float64 { return strip.X + seconds*25 }
	if p := inkOf(tab, x(6)+0.5, x(8)-0.5, strip.Y-13, strip.Y+3); p.Top < 1e8 {
		t.Errorf("ink where samples are missing: %+v", p)
	}
	for _, at := range []float64{5.5, 8.3} {
		if p := inkOf(tab, x(at), x(at)+2, strip.Y-1, strip.Y+1); math.Abs(p.Top-strip.Y) > 0.4 {
			t.Errorf("no line at %v s: %+v", at, p)
		}
	}
	tab.Screenshot("ecg-gap")
}

// TestECGGroups: leads that were recorded one after another are one drawing, and each group can be looked at alone.
func TestECGGroups(t *testing.T) {
	var groups []*ecg.Group
	for i := range 4 {
		g := beats(ecg.Rhythm, 2.5, beatLeads[3*i:3*i+3]...)
		g.StartOffset = ecg.Int(int64(2500 * i))
		groups = append(groups, g)
	}
	tab := openECG(t, sendRecording(t, recordingOf("ECG-6", groups...)), "lang=en", testbrowser.Desktop)
	setECG(tab, "ecg-layout", "3x4")
	for _, c := range ecgCells(tab) {
		column := math.Round((c.X - 15) / 62.5)
		if !c.Recorded || math.Abs(c.T0-2.5*column) > 1e-6 {
			t.Errorf("%+v", c)
			continue
		}
		// Each column shows its own group: a tip half a second after its beginning.
		if tip := tips[c.Name]; tip > 0.3 {
			if p := inkOf(tab, c.X+12.5-1.2, c.X+12.5+1.2, c.Y-10*tip-1.5, c.Y); math.Abs(p.Top-(c.Y-10*tip)) > 0.45 {
				t.Errorf("%s: the tip is at %.2f mm, want %.2f", c.Name, p.Top, c.Y-10*tip)
			}
		}
	}
	if options := testbrowser.Eval[int](tab, `document.querySelector("#ecg-view").options.length`); options != 5 {
		t.Fatalf("%d groups to choose from, want all and each", options)
	}
	setECG(tab, "ecg-layout", "auto")
	setECG(tab, "ecg-view", "rhythm-2")
	if c := ecgCells(tab); len(c) != 3 || c[0].Name != "V1" || math.Abs(c[0].T0-5) > 1e-6 {
		t.Errorf("the third group: %+v", c)
	}
	tab.Axe()
}

// TestECGLinks: everything that the page points to is there, and the server's paper is drawn as the page is.
func TestECGLinks(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	for id, value := range map[string]string{"ecg-layout": "6x2", "ecg-speed": "50", "ecg-gain": "20", "ecg-hp": "0.05", "ecg-notch": "60"} {
		setECG(tab, id, value)
	}
	for _, link := range testbrowser.Eval[[]string](tab, `[...document.querySelectorAll(".ecg-links a")].map((a) => a.getAttribute("href"))`) {
		status, body := theWorld(t).node.Get(t, link)
		if status != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %d %.200s", link, status, body)
		}
		switch {
		case strings.Contains(link, "application%2Fpdf") && !bytes.HasPrefix(body, []byte("%PDF-")),
			strings.Contains(link, "image%2Fpng") && !bytes.HasPrefix(body, []byte("\x89PNG")),
			strings.Contains(link, "application%2Fdicom") && (len(body) < 132 || string(body[128:132]) != "DICM"):
			t.Errorf("%s is something else: %q", link, body[:min(len(body), 16)])
		}
	}
}

// TestECGFilters: off and said to be off; on, stated on the picture, and the R peak is lower.
func TestECGFilters(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	strip := stripII(tab)
	at := strip.X + float64(firstBeat)/beatHz*25
	top := func() float64 { return inkOf(tab, at-1.2, at+1.2, strip.Y-14, strip.Y+3).Top }
	before := top()
	if got := testbrowser.Eval[bool](tab, `document.querySelector("#ecg-filtered").hidden`); !got {
		t.Error("filters are stated that nobody asked for")
	}
	contains(t, tab.Text("#ecg-caption"), "display filters off", "recorded by the device with 0.05–150 Hz")
	setECG(tab, "ecg-lp", "40")
	setECG(tab, "ecg-notch", "50")
	contains(t, tab.Text("#ecg-filtered"), "low pass 40 Hz", "notch 50 Hz", "not as recorded")
	contains(t, tab.Text("#ecg-caption"), "low pass 40 Hz", "not as recorded")
	contains(t, testbrowser.Eval[string](tab, `document.querySelector("#ecg-paper").ariaLabel`), "low pass 40 Hz")
	contains(t, testbrowser.Eval[string](tab, `document.querySelector("#ecg-png").href`), "filter=lp40%2Cnotch50")
	if after := top(); after < before+0.3 {
		t.Errorf("the tip at %.2f mm, without the filter at %.2f", after, before)
	}
	tab.Screenshot("ecg-filtered")
	setECG(tab, "ecg-lp", "0")
	setECG(tab, "ecg-notch", "0")
	if after := top(); math.Abs(after-before) > 1e-9 {
		t.Errorf("after the filters the tip is at %.2f mm, before at %.2f", after, before)
	}
}

// TestECGMedian: median beats stand on a paper of their own and are nowhere among the rhythm.
func TestECGMedian(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	if testbrowser.Eval[bool](tab, `document.querySelector("#ecg-median").hidden`) {
		t.Fatal("no median beats")
	}
	contains(t, tab.Text("#ecg-median"), "Averaged by the device")
	if !testbrowser.Eval[bool](tab, `document.querySelector("#ecg-view-field").hidden`) {
		t.Error("there is more than the rhythm to choose")
	}
	for _, c := range ecgCells(tab) {
		if c.T0+c.Dur > 10+1e-6 {
			t.Errorf("%s reaches to %v s", c.Name, c.T0+c.Dur)
		}
	}
}

// TestECGLong scrolls an hour of three leads, by button, key, slider and time.
func TestECGLong(t *testing.T) {
	path := sendRecording(t, recordingOf("ECG-3", beats(ecg.FullDisclosure, 3600, "I", "II", "V1")))
	phone := openECG(t, path, "lang=zh-CN", testbrowser.Phone)
	phone.Wait(`!document.querySelector("#ecg-overview").hidden`)
	phone.Axe()
	phone.Screenshot("ecg-long")
	tab := openECG(t, path, "lang=en", testbrowser.Desktop)
	tab.Wait(`!document.querySelector("#ecg-overview").hidden`)
	tab.Axe()
	tab.Screenshot("ecg-long")
	start := func() float64 { return ecgCells(tab)[0].T0 }
	page := ecgCells(tab)[0].Dur
	tab.Click("#ecg-forward")
	drawnECG(tab)
	if math.Abs(start()-page) > 1e-6 {
		t.Errorf("one page on: %v s, want %v", start(), page)
	}
	tab.Click("#ecg-last")
	drawnECG(tab)
	if math.Abs(start()+page-3600) > 1e-6 {
		t.Errorf("the last page ends at %v s", start()+page)
	}
	// The last tip but one, an hour from the beginning, lies where it must.
	cell := ecgCells(tab)[0]
	tip := firstBeat + (3600*beatHz-firstBeat-1)/nextBeat*nextBeat - 3*nextBeat
	x := cell.X + (float64(tip)/beatHz-cell.T0)*25
	if got := inkOf(tab, x-1.2, x+1.2, cell.Y-8, cell.Y); math.Abs(got.TopX-x) > 0.3 || math.Abs(got.Top-(cell.Y-6)) > 0.45 {
		t.Errorf("the tip is at %+v, want %.2f, %.2f mm", got, x, cell.Y-6)
	}
	testbrowser.Eval[bool](tab, `(() => { const i = document.querySelector("#ecg-at"); i.value = "0:30:00"; i.dispatchEvent(new Event("change")); return true; })()`)
	tab.Wait(`JSON.parse(document.querySelector("#ecg-paper").dataset.cells)[0].t0 === 1800`)
	testbrowser.Eval[bool](tab, `document.querySelector("#ecg-scroll").focus() ?? true`)
	tab.Key(kb.ArrowRight)
	tab.Wait(`JSON.parse(document.querySelector("#ecg-paper").dataset.cells)[0].t0 > 1800`)
	contains(t, tab.Text("#ecg-caption"), "of 1:00:00", "2026-03-02 10:45")
}

// TestECGPage: banner, links and accessibility, in both languages at both sizes.
func TestECGPage(t *testing.T) {
	path := beatsPage(t)
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		tab := openECG(t, path, query, v)
		banner := tab.Text(".ecg-banner")
		contains(t, banner, "赵敏", "Zhao Min", "ECG-1", "75 /min", "40 ms", "421 ms (Fridericia)", "窦性心律", "2026-03-02 10:15:30 +08:00", "Example Cart 12")
		if strings.Contains(query, "en") {
			contains(t, banner, "Unconfirmed", "67 y", "Female")
		} else {
			contains(t, banner, "未确认", "67 岁", "女")
		}
		if at := strings.Index(banner, "赵敏"); at > strings.Index(banner, "Zhao Min") {
			t.Error("the name in letters stands before that in hanzi")
		}
		tab.Axe()
		tab.Screenshot("ecg-" + query[5:])
	})
}

// TestECGCritical: STAT stands beside the name, with the statement that says so.
func TestECGCritical(t *testing.T) {
	rec := recordingOf("ECG-4", beats(ecg.Rhythm, 10, beatLeads...))
	rec.Statements = []ecg.Statement{{Text: "急性前壁心肌梗死", Author: ecg.Machine}}
	for i := range 12 { // a pacemaker 20 ms before each beat
		rec.Annotations = append(rec.Annotations, ecg.Annotation{Kind: ecg.Spike, Group: 0, Onset: ecg.Int(int64(480 + 800*i))})
	}
	tab := openECG(t, sendRecording(t, rec), "lang=zh-CN", testbrowser.Desktop)
	contains(t, tab.Text("#ecg-stat"), "STAT")
	contains(t, tab.Text(".ecg-critical"), "急性前壁心肌梗死")
	contains(t, tab.Text("#ecg-caption"), "起搏脉冲")
	tab.Axe()
	tab.Screenshot("ecg-stat")
}

// TestECGNoScript: without scripts the server's drawing is there.
func TestECGNoScript(t *testing.T) {
	w := theWorld(t)
	tab := testbrowser.Open(t, testbrowser.Desktop)
	testbrowser.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	tab.Go(w.node.URL + beatsPage(t) + "?lang=en")
	tab.Wait(`document.querySelector(".ecg-drawing")?.naturalWidth > 200`)
	if !testbrowser.Eval[bool](tab, `document.querySelector("#ecg-tools").hidden`) {
		t.Error("controls that do nothing are shown")
	}
}
