package pages

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"

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
