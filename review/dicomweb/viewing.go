package dicomweb

import (
	"image"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/review/render"
)

// Qualities of JPEG and sizes of thumbnails where the client names none. Eighty at 200 pixels is some 8 KB.
const (
	renderedQuality  = 90
	thumbnailQuality = 80
	thumbnailSide    = 200 // pixels
	maxViewport      = 4096
)

// viewing is how a client wants to see a picture (PS3.18 §8.3.5).
type viewing struct {
	window  *render.Window
	quality int
	asked   bool // quality was asked for

	width, height int        // of the box to fit into; 0 for none
	part          [4]float64 // x, y, width, height of the region; 0 for the rest of the picture
	relative      bool       // part counts in fractions of the picture
	flipX, flipY  bool
	thumbnail     bool

	warnings []string
}

// asStored reports whether a stored JPEG frame may be sent as it is.
func (v viewing) asStored() bool {
	return v.window == nil && !v.asked && v.width == 0 && v.height == 0 && v.part == [4]float64{} && !v.flipX && !v.flipY && !v.thumbnail
}

// options says the same to the room that draws.
func (v viewing) options(m *render.Module) render.Options {
	p := v.part
	columns, rows := float64(m.Columns), float64(m.Rows)
	if v.relative {
		p = [4]float64{p[0] * columns, p[1] * rows, p[2] * columns, p[3] * rows}
	}
	part := image.Rectangle{}
	if p != [4]float64{} {
		if p[2] == 0 {
			p[2] = columns - p[0]
		}
		if p[3] == 0 {
			p[3] = rows - p[1]
		}
		x, y := int(math.Round(p[0])), int(math.Round(p[1]))
		part = image.Rect(x, y, x+max(1, int(math.Round(p[2]))), y+max(1, int(math.Round(p[3]))))
	}
	return render.Options{Window: v.window, View: render.View{
		Width: v.width, Height: v.height, NoEnlarge: v.thumbnail, Part: part, FlipX: v.flipX, FlipY: v.flipY,
	}}
}

// readViewing reads viewport, window and quality. Annotations and ICC profiles are not drawn: a client that
// asks for them is told in a warning.
func readViewing(params []param, thumbnail bool) (viewing, error) {
	v := viewing{quality: renderedQuality, thumbnail: thumbnail}
	if thumbnail {
		v.quality, v.width, v.height = thumbnailQuality, thumbnailSide, thumbnailSide
	}
	for _, p := range params {
		var err error
		switch p.key {
		case "viewport":
			err = v.readViewport(p.value)
		case "window":
			err = v.readWindow(p.value)
		case "quality":
			err = v.readQuality(p.value)
		case "annotation", "iccprofile":
			if p.value != "no" && p.value != "" {
				v.warnings = append(v.warnings, p.key+" is not supported and was ignored")
			}
		}
		if err != nil {
			return v, err
		}
	}
	return v, nil
}

func badView(format string, args ...any) error { return fail(http.StatusBadRequest, format, args...) }

// readViewport reads vw,vh[,sx,sy,sw,sh] (PS3.18 §8.3.5.1.3); a negative sw or sh mirrors the region.
func (v *viewing) readViewport(s string) error {
	fields := strings.Split(s, ",")
	if len(fields) != 2 && len(fields) != 6 {
		return badView("viewport is width,height or width,height,sx,sy,sw,sh (PS3.18 §8.3.5.1.3)")
	}
	var n [6]float64
	for i, f := range fields {
		f = strings.TrimSpace(f)
		if f == "" && i >= 2 {
			continue
		}
		x, ok := number(f)
		if !ok || math.Abs(x) > math.MaxUint16 || x < 0 && i < 4 {
			return badView("viewport has a value that is no number, or out of range")
		}
		n[i] = x
	}
	if n[0] < 1 || n[1] < 1 || n[0] > maxViewport || n[1] > maxViewport {
		return badView("a viewport has sides of 1 to %d pixels", maxViewport)
	}
	v.width, v.height = int(n[0]), int(n[1])
	v.flipX, v.flipY = n[4] < 0, n[5] < 0
	v.part = [4]float64{n[2], n[3], math.Abs(n[4]), math.Abs(n[5])}
	return nil
}

// readWindow reads center,width[,function] (PS3.18 §8.3.5.1.4).
func (v *viewing) readWindow(s string) error {
	fields := strings.Split(s, ",")
	if len(fields) == 2 {
		fields = append(fields, "linear")
	}
	if len(fields) != 3 {
		return badView("window is center,width,function (PS3.18 §8.3.5.1.4)")
	}
	center, ok1 := number(strings.TrimSpace(fields[0]))
	width, ok2 := number(strings.TrimSpace(fields[1]))
	function, ok3 := render.ParseFunction(strings.TrimSpace(fields[2]))
	if !ok1 || !ok2 || !ok3 || !(width > 0) {
		return badView("window is two numbers, the width above 0, and linear, linear-exact or sigmoid (PS3.18 §8.3.5.1.4)")
	}
	v.window = &render.Window{Center: center, Width: width, Function: function}
	return nil
}

func (v *viewing) readQuality(s string) error {
	q, err := strconv.Atoi(s)
	if err != nil || q < 1 || q > 100 {
		return badView("quality is a number from 1 to 100")
	}
	v.quality, v.asked = q, true
	return nil
}

// number reads a finite decimal number.
func number(s string) (float64, bool) {
	if len(s) > 32 || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, err == nil && !math.IsInf(x, 0) && !math.IsNaN(x)
}
