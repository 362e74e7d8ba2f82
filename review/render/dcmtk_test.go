package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

// corpus returns the folder of shared DICOM files, or skips the test.
func corpus(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("TRIBUTARY_SHARED")
	for at, _ := os.Getwd(); dir == ""; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "shared", "corpora")); err == nil {
			dir = filepath.Join(at, "shared")
		} else if at == filepath.Dir(at) {
			t.Skip("no shared/corpora above the working directory and TRIBUTARY_SHARED is not set")
		}
	}
	return filepath.Join(dir, "corpora", "dicom")
}

// subject is one frame of a file, as a server would have it.
type subject struct {
	module *Module
	syntax string
	frame  []byte
}

var errNoPixels = errors.New("no frames")

// readFrame reads frame n of a file: its header by the scanner, native words turned to little endian.
func readFrame(file []byte, n int) (subject, error) {
	obj, err := part10.Scan(bytes.NewReader(file), part10.Options{})
	if err != nil {
		return subject{}, err
	}
	ft := &obj.Frames
	if ft.Count < n || ft.Inflated {
		return subject{}, errNoPixels
	}
	bulk := func(path string) ([]byte, error) {
		for _, b := range obj.Bulk {
			if b.Path == path && b.Length <= MaxLUTBytes {
				return file[b.Offset:][:b.Length], nil
			}
		}
		return nil, wrong("no bulk data")
	}
	s := subject{syntax: obj.TransferSyntaxUID}
	if s.module, err = ReadModule(obj.Header, n, bulk); err != nil {
		return s, err
	}
	if ft.Kind == part10.Encapsulated {
		to := len(ft.Fragments)
		if n < len(ft.First) {
			to = ft.First[n]
		}
		for _, f := range ft.Fragments[ft.First[n-1]:to] {
			s.frame = append(s.frame, file[f.Offset:][:f.Length]...)
		}
		return s, nil
	}
	if ft.FrameBits%8 != 0 {
		return s, errNoPixels
	}
	pixels := file[ft.Offset:]
	if s.syntax == "1.2.840.10008.1.2.2" && obj.Bulk[len(obj.Bulk)-1].VR == "OW" {
		pixels = bytes.Clone(pixels)
		for i := 0; i+1 < len(pixels); i += 2 {
			pixels[i], pixels[i+1] = pixels[i+1], pixels[i]
		}
	}
	s.frame = pixels[int64(n-1)*ft.FrameBits/8:][:ft.FrameBits/8]
	return s, nil
}

// flags are DCMTK's for what the module asks for.
func (s subject) flags() []string {
	m := s.module
	switch {
	case m.SamplesPerPixel == 3 || m.Photometric == "PALETTE COLOR":
		return nil
	case m.window != nil:
		f := "+Wfl"
		if m.window.Function == Sigmoid {
			f = "+Wfs"
		}
		return []string{"+Ww", fmt.Sprint(m.window.Center), fmt.Sprint(m.window.Width), f}
	case m.voi != nil:
		return []string{"+Wl", "1"}
	case m.BitsStored <= 8 && m.modality == nil:
		return nil
	}
	return []string{"+Wm"}
}

// difference compares pictures of one size: the largest and the mean difference of a sample.
func difference(a, b image.Image) (most int, mean float64) {
	n := 0
	r := a.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			r1, g1, b1, _ := a.At(x, y).RGBA()
			r2, g2, b2, _ := b.At(x, y).RGBA()
			for _, d := range [3]int{int(r1>>8) - int(r2>>8), int(g1>>8) - int(g2>>8), int(b1>>8) - int(b2>>8)} {
				d = max(d, -d)
				most = max(most, d)
				mean += float64(d)
				n++
			}
		}
	}
	return most, mean / float64(max(n, 1))
}

// readPNM reads binary PGM and PPM of 8 bits.
func readPNM(b []byte) (image.Image, error) {
	var magic string
	var w, h, most int
	if _, err := fmt.Sscan(string(b[:min(len(b), 64)]), &magic, &w, &h, &most); err != nil || most != 255 {
		return nil, fmt.Errorf("no PNM of 8 bits: %w", err)
	}
	samples := map[string]int{"P5": 1, "P6": 3}[magic]
	if samples == 0 || len(b) < w*h*samples {
		return nil, errors.New("no binary PNM")
	}
	pix := b[len(b)-w*h*samples:]
	if samples == 1 {
		return &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, h)}, nil
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		copy(out.Pix[4*i:], pix[3*i:][:3])
		out.Pix[4*i+3] = 255
	}
	return out, nil
}

// dcmtk draws a frame with dcmj2pnm.
func dcmtk(ctx context.Context, tool, path string, n int, flags []string) (image.Image, error) {
	args := append([]string{"-O", "+F", fmt.Sprint(n)}, flags...)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, tool, append(args, path)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return readPNM(out)
}

// differing are files of which DCMTK makes another picture, and why ours is right.
var differing = map[string]string{
	"edge/fo-dicom__GH195.dcm":                "the header says RGB, the stream has a JFIF marker: DCMTK believes the header, and teeth turn green",
	"ct/fo-dicom__D_CLUNIE_CT1_RLE_FRAGS.dcm": "DCMTK lets Pixel Padding Value widen the range",
	"mr/dicom-test-files__MR3_RLE":            "DCMTK shows padding as tissue",
}

// TestDCMTK draws the first and the last frame of every file of the corpus that has a decoder, and holds the
// pictures against those of DCMTK: the same but for rounding where nothing was lost; JPEG in colour but for
// the two decoders' ways to enlarge colour differences.
func TestDCMTK(t *testing.T) {
	tool, err := exec.LookPath("dcmj2pnm")
	if err != nil {
		testengine.Missing(t, "DCMTK's dcmj2pnm is not installed (scripts/test-deps.sh does)")
	}
	dir := corpus(t)
	var compared, frames int
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "charset" {
			return filepath.SkipDir // one picture, thirteen times
		}
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".tsv") {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		name = filepath.ToSlash(name)
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if len(file) > 4<<20 { // the larger ones add time, not cases
			return nil
		}
		drawn, alike := compare(t, tool, path, name, file)
		frames += drawn
		compared += alike
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if t.Logf("%d frames drawn, %d compared", frames, compared); compared < 100 {
		t.Errorf("only %d frames were compared", compared)
	}
}

// compare draws the first and the last frame of one file, and has DCMTK draw them.
func compare(t *testing.T, tool, path, name string, file []byte) (frames, compared int) {
	t.Helper()
	for n, count := 1, 1; n <= count; n += max(1, count-1) {
		s, unread := readFrame(file, n)
		if unread != nil { // not kept, or without frames
			break
		}
		count = s.module.NumberOfFrames
		ours, err := s.module.draw(s.syntax, s.frame, nil)
		if none := (*NoDecoderError)(nil); errors.As(err, &none) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			break
		}
		frames++
		theirs, err := dcmtk(t.Context(), tool, path, n, s.flags())
		if err != nil {
			t.Logf("%s: DCMTK draws nothing: %.60v", name, err)
			break
		}
		if ours.Bounds() != theirs.Bounds() {
			t.Errorf("%s: %v, DCMTK has %v", name, ours.Bounds(), theirs.Bounds())
			break
		}
		most, mean := difference(ours, theirs)
		compared++
		limit, limitMean := 1, 1.0 // rounding
		switch {
		case differing[name] != "":
			if most <= limit {
				t.Errorf("%s no longer differs (%s)", name, differing[name])
			}
			continue
		case s.module.BitsAllocated == 1: // DCMTK draws the 1 of a single bit in middle grey
			limit, limitMean = 127, 127
		case IsJPEG(s.syntax):
			limit, limitMean = 60, 0.4
		case s.module.SamplesPerPixel == 3 && s.module.Photometric != "RGB":
			limit, limitMean = 2, 0.4
		}
		if most > limit || mean > limitMean {
			t.Errorf("%s frame %d (%s, %s): differs from DCMTK's by up to %d, mean %.3f", name, n, s.syntax, s.module.Photometric, most, mean)
		}
	}
	return frames, compared
}
