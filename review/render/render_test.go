package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const explicitLE = "1.2.840.10008.1.2.1"

// headerOf makes header JSON of attributes; values are numbers, texts, bytes or JSON.
func headerOf(pairs ...any) []byte {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case []byte:
			out[pairs[i].(string)] = map[string]any{"vr": "OW", "InlineBinary": base64.StdEncoding.EncodeToString(v)}
		case json.RawMessage:
			out[pairs[i].(string)] = v
		case []int:
			out[pairs[i].(string)] = map[string]any{"vr": "US", "Value": v}
		case []float64:
			out[pairs[i].(string)] = map[string]any{"vr": "DS", "Value": v}
		default:
			out[pairs[i].(string)] = map[string]any{"vr": "CS", "Value": []any{v}}
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return b
}

func pixelModule(rows, columns, samples, allocated, stored int, photometric string, more ...any) []byte {
	return headerOf(append([]any{
		"00280002", samples, "00280004", photometric, "00280010", rows, "00280011", columns,
		"00280100", allocated, "00280101", stored, "00280102", stored - 1, "00280103", 0,
	}, more...)...)
}

func noBulk(string) ([]byte, error) { return nil, wrong("no bulk data") }

// drawn draws a frame of a header and returns its greys, or its reds, greens and blues.
func drawn(t *testing.T, header []byte, syntax string, frame []byte, opt Options) []byte {
	t.Helper()
	m, err := ReadModule(header, 1, noBulk)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Draw(m, syntax, frame, opt)
	if err != nil {
		t.Fatal(err)
	}
	switch p := p.(type) {
	case *image.Gray:
		return p.Pix
	case *image.RGBA:
		var out []byte
		for i := 0; i < len(p.Pix); i += 4 {
			out = append(out, p.Pix[i:i+3]...)
			if p.Pix[i+3] != 255 {
				t.Fatal("a picture that can be seen through")
			}
		}
		return out
	}
	t.Fatalf("a %T", p)
	return nil
}

func words(values ...int) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// TestGreys computes by hand what PS3.3 §C.11 says of a row of pixels.
func TestGreys(t *testing.T) {
	sequence := func(s string, args ...any) json.RawMessage { return json.RawMessage(fmt.Sprintf(s, args...)) }
	for name, c := range map[string]struct {
		header []byte
		frame  []byte
		opt    Options
		want   []byte
	}{
		"bits":    {pixelModule(1, 8, 1, 1, 1, "MONOCHROME2"), []byte{0b10100001}, Options{}, []byte{255, 0, 0, 0, 0, 255, 0, 255}},
		"bytes":   {pixelModule(1, 3, 1, 8, 8, "MONOCHROME2"), []byte{0, 7, 255}, Options{}, []byte{0, 7, 255}},
		"inverse": {pixelModule(1, 3, 1, 8, 8, "MONOCHROME1"), []byte{0, 7, 255}, Options{}, []byte{255, 248, 0}},
		"once":    {pixelModule(1, 2, 1, 8, 8, "MONOCHROME1", "20500020", "INVERSE"), []byte{0, 255}, Options{}, []byte{255, 0}},
		"shape":   {pixelModule(1, 2, 1, 8, 8, "MONOCHROME2", "20500020", "INVERSE"), []byte{0, 255}, Options{}, []byte{255, 0}},
		"range":   {pixelModule(1, 3, 1, 16, 12, "MONOCHROME2"), words(100, 200, 300), Options{}, []byte{0, 128, 255}},
		"overlay in unused bits": {
			pixelModule(1, 2, 1, 16, 12, "MONOCHROME2", "00281050", []float64{2048}, "00281051", []float64{4096}),
			words(0xF000, 0x1FFF),
			Options{},
			[]byte{0, 255},
		},
		"high bit": {headerOf("00280010", 1, "00280011", 2, "00280004", "MONOCHROME2", "00280100", 16, "00280101", 12, "00280102", 15,
			"00281050", []float64{2048}, "00281051", []float64{4096}), words(0x000F, 0xFFF0), Options{}, []byte{0, 255}},
		"signed": {
			pixelModule(1, 3, 1, 16, 16, "MONOCHROME2", "00280103", 1, "00281050", []float64{0}, "00281051", []float64{1001}),
			words(-500&0xFFFF, 0, 500),
			Options{},
			[]byte{0, 128, 255},
		},
		"rescale": { // −1000 and 1000 HU
			pixelModule(1, 2, 1, 16, 12, "MONOCHROME2", "00281052", []float64{-1024}, "00281053", []float64{2}, "00281050", []float64{0}, "00281051", []float64{200}),
			words(12, 1012),
			Options{},
			[]byte{0, 255},
		},
		"window asked for": {pixelModule(1, 4, 1, 8, 8, "MONOCHROME2"), []byte{9, 10, 11, 12}, Options{Window: &Window{10.5, 2, LinearExact}}, []byte{0, 64, 191, 255}},
		"linear": { // the formula of §C.11.2.1.2.1 with w = 4: 254.5/3 a step
			pixelModule(1, 5, 1, 8, 8, "MONOCHROME2", "00281050", []float64{10}, "00281051", []float64{4}), []byte{7, 8, 9, 10, 11}, Options{}, []byte{0, 0, 85, 170, 255},
		},
		"padding": {
			pixelModule(1, 3, 1, 16, 16, "MONOCHROME2", "00280120", []int{60000}), words(10, 60000, 20), Options{}, []byte{0, 0, 255},
		},
		"padding of white": {
			pixelModule(1, 3, 1, 16, 16, "MONOCHROME1", "00280120", []int{60000}, "00280121", []int{60010}), words(10, 60005, 20), Options{}, []byte{255, 0, 0},
		},
		"modality table": {
			pixelModule(1, 3, 1, 8, 8, "MONOCHROME2", "00283000", sequence(`{"vr":"SQ","Value":[{"00283002":{"vr":"US","Value":[3,1,16]},"00283006":{"vr":"US","Value":[0,300,100]}}]}`)),
			[]byte{0, 2, 9},
			Options{},
			[]byte{0, 255, 85},
		},
		"VOI table": {
			pixelModule(1, 4, 1, 8, 8, "MONOCHROME2", "00283010", sequence(`{"vr":"SQ","Value":[{"00283002":{"vr":"US","Value":[3,10,8]},"00283006":{"vr":"OW","InlineBinary":"%s"}}]}`,
				base64.StdEncoding.EncodeToString([]byte{5, 77, 250, 0}))),
			[]byte{0, 10, 11, 200},
			Options{},
			[]byte{5, 5, 77, 250},
		},
		"32 bits": {pixelModule(1, 3, 1, 32, 32, "MONOCHROME2"), binary.LittleEndian.AppendUint32(append(words(0, 0), words(0, 1)...), 131072), Options{}, []byte{0, 128, 255}},
		"floating point": {
			headerOf("00280010", 1, "00280011", 3, "00280004", "MONOCHROME2", "00280100", 32, "7FE00008", json.RawMessage(`{"vr":"OF","BulkDataURI":"bulkdata/7FE00008"}`)),
			binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, math.Float32bits(-1)), math.Float32bits(float32(math.NaN()))), math.Float32bits(1)),
			Options{},
			[]byte{0, 0, 255},
		},
		"window of the frame": {
			pixelModule(1, 2, 1, 8, 8, "MONOCHROME2", "00281050", []float64{200}, "00281051", []float64{2}, "52009230",
				sequence(`{"vr":"SQ","Value":[{"00289132":{"vr":"SQ","Value":[{"00281050":{"vr":"DS","Value":[11]},"00281051":{"vr":"DS","Value":[1]}}]}},{}]}`)),
			[]byte{10, 11},
			Options{},
			[]byte{0, 255},
		},
		"shared window": {
			pixelModule(1, 2, 1, 8, 8, "MONOCHROME2", "52009229",
				sequence(`{"vr":"SQ","Value":[{"00289132":{"vr":"SQ","Value":[{"00281050":{"vr":"DS","Value":[11]},"00281051":{"vr":"DS","Value":[1]}}]}}]}`)),
			[]byte{10, 11},
			Options{},
			[]byte{0, 255},
		},
		"aspect": {pixelModule(1, 2, 1, 8, 8, "MONOCHROME2", "00280034", []int{2, 1}), []byte{9, 200}, Options{}, []byte{9, 200, 9, 200}},
		"shrunk": {pixelModule(2, 2, 1, 8, 8, "MONOCHROME2"), []byte{0, 100, 100, 200}, Options{View: View{Width: 1, Height: 1}}, []byte{100}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := drawn(t, c.header, explicitLE, c.frame, c.opt); !bytes.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestColours does the same for three samples and palettes.
func TestColours(t *testing.T) {
	palette := func(bits int, data ...[]byte) []any {
		var out []any
		for i, tag := range []string{"0028110%d", "0028120%d"} {
			for c := range 3 {
				if i == 0 {
					out = append(out, fmt.Sprintf(tag, c+1), []int{2, 0, bits})
				} else {
					out = append(out, fmt.Sprintf(tag, c+1), data[c])
				}
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		header []byte
		syntax string
		frame  []byte
		want   []byte
	}{
		"by pixel":                        {pixelModule(1, 2, 3, 8, 8, "RGB"), explicitLE, []byte{1, 2, 3, 4, 5, 6}, []byte{1, 2, 3, 4, 5, 6}},
		"by plane":                        {pixelModule(1, 2, 3, 8, 8, "RGB", "00280006", 1), explicitLE, []byte{1, 4, 2, 5, 3, 6}, []byte{1, 2, 3, 4, 5, 6}},
		"16 bits":                         {pixelModule(1, 1, 3, 16, 16, "RGB"), explicitLE, words(0x1234, 0x5678, 0x9ABC), []byte{0x12, 0x56, 0x9A}},
		"YBR":                             {pixelModule(1, 2, 3, 8, 8, "YBR_FULL"), explicitLE, []byte{100, 128, 128, 76, 85, 255}, []byte{100, 100, 100, 254, 0, 0}},
		"YBR 422":                         {pixelModule(1, 2, 3, 8, 8, "YBR_FULL_422"), explicitLE, []byte{100, 200, 128, 128}, []byte{100, 100, 100, 200, 200, 200}},
		"partial":                         {pixelModule(1, 2, 3, 8, 8, "YBR_PARTIAL_422"), explicitLE, []byte{16, 235, 128, 128}, []byte{0, 0, 0, 255, 255, 255}},
		"palette of bytes":                {pixelModule(1, 2, 1, 8, 8, "PALETTE COLOR", palette(8, []byte{1, 2}, []byte{3, 4}, []byte{5, 6})...), explicitLE, []byte{0, 9}, []byte{1, 3, 5, 2, 4, 6}},
		"palette of words":                {pixelModule(1, 2, 1, 8, 8, "PALETTE COLOR", palette(16, words(0x1111, 0x2222), words(0x3333, 0x4444), words(0x5555, 0x6666))...), explicitLE, []byte{0, 1}, []byte{0x11, 0x33, 0x55, 0x22, 0x44, 0x66}},
		"palette of words that are bytes": {pixelModule(1, 2, 1, 8, 8, "PALETTE COLOR", palette(16, words(1, 2), words(3, 4), words(5, 6))...), explicitLE, []byte{0, 1}, []byte{1, 3, 5, 2, 4, 6}},
		"RLE":                             {pixelModule(1, 2, 3, 8, 8, "RGB"), rleLossless, rleFrame([]byte{1, 1, 4}, []byte{1, 2, 5}, []byte{0, 3, 0, 6}), []byte{1, 2, 3, 4, 5, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := drawn(t, c.header, c.syntax, c.frame, Options{}); !bytes.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// rleFrame puts segments behind their header (PS3.5 §G.5).
func rleFrame(segments ...[]byte) []byte {
	b := make([]byte, 64)
	binary.LittleEndian.PutUint32(b, uint32(len(segments)))
	for i, s := range segments {
		binary.LittleEndian.PutUint32(b[4+4*i:], uint32(len(b)))
		b = append(b, s...)
	}
	return b
}

// TestSegmentedPalette holds a segmented palette against what pydicom 2.3.1 makes of it (apply_color_lut): the
// hash is over the high bytes of its RGB.
func TestSegmentedPalette(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(corpus(t), "us", "pydicom-data__gdcm-US-ALOKA-16.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := readFrame(file, 1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Draw(s.module, s.syntax, s.frame, Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	for i, pix := 0, p.(*image.RGBA).Pix; i < len(pix); i += 4 {
		h.Write(pix[i : i+3])
	}
	const pydicom = "97697b719ccd7c15c9cfbee12cb1285b2423b8bc3adf6bf45cb3858e4f0f3db4"
	if got := hex.EncodeToString(h.Sum(nil)); got != pydicom {
		t.Errorf("SHA-256 %s, want %s", got, pydicom)
	}
}

func TestSegments(t *testing.T) {
	expand := func(count int, v ...int) ([]uint16, error) {
		return segmented(element{VR: "OW", InlineBinary: words(v...)}, count, 16, noBulk)
	}
	// Two values, a line of three to 400, and both again.
	got, err := expand(10, 0, 2, 7, 100, 1, 3, 400, 2, 2, 0, 0)
	if want := []uint16{7, 100, 200, 300, 400, 7, 100, 200, 300, 400}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for name, v := range map[string][]int{
		"too long": {0, 11}, "breaks off": {0, 5, 1}, "line from nothing": {1, 4, 9}, "unknown": {9, 1, 1, 1},
		"itself": {0, 1, 5, 2, 1, 3, 0}, "ahead": {0, 1, 5, 2, 1, 100, 0}, "too few": {0, 1, 5}, "repeats a repetition": {0, 1, 5, 2, 1, 0, 0, 2, 1, 3, 0},
		"nothing, often": {0, 0, 2, 65535, 0, 0},
	} {
		if got, err := expand(10, v...); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestRefusals: what cannot be drawn is said in one of two ways, before anything is sized by it.
func TestRefusals(t *testing.T) {
	for name, header := range map[string][]byte{
		"nothing":               headerOf(),
		"no rows":               pixelModule(0, 4, 1, 8, 8, "MONOCHROME2"),
		"rows below zero":       pixelModule(-4, 4, 1, 8, 8, "MONOCHROME2"),
		"too many pixels":       pixelModule(65535, 65535, 1, 8, 8, "MONOCHROME2"),
		"too many samples":      pixelModule(8192, 8192, 3, 8, 8, "RGB"),
		"too many bytes":        pixelModule(8192, 8191, 1, 32, 32, "MONOCHROME2"),
		"0 bits":                pixelModule(4, 4, 1, 0, 0, "MONOCHROME2"),
		"255 bits":              pixelModule(4, 4, 1, 255, 255, "MONOCHROME2"),
		"more stored":           pixelModule(4, 4, 1, 8, 12, "MONOCHROME2"),
		"four samples":          pixelModule(4, 4, 4, 8, 8, "CMYK"),
		"two samples":           pixelModule(4, 4, 2, 8, 8, "MONOCHROME2"),
		"HSV":                   pixelModule(4, 4, 3, 8, 8, "HSV"),
		"RGB of one":            pixelModule(4, 4, 1, 8, 8, "RGB"),
		"RGB of 32 bits":        pixelModule(4, 4, 3, 32, 32, "RGB"),
		"palette without any":   pixelModule(4, 4, 1, 8, 8, "PALETTE COLOR"),
		"palette of too few":    pixelModule(4, 4, 1, 8, 8, "PALETTE COLOR", "00281101", []int{65535, 0, 16}, "00281201", []byte{1, 2}),
		"palette of 65535 bits": pixelModule(4, 4, 1, 8, 8, "MONOCHROME2", "00281101", []int{65535, 65535, 65535}),
	} {
		var pixels *PixelError
		if m, err := ReadModule(header, 1, noBulk); !errors.As(err, &pixels) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	grey := pixelModule(4, 4, 1, 8, 8, "MONOCHROME2")
	deep := pixelModule(4, 4, 1, 16, 16, "MONOCHROME2")
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 4, 4)), nil); err != nil {
		t.Fatal(err)
	}
	huge := bytes.Clone(picture.Bytes())
	at := bytes.Index(huge, []byte{0xFF, 0xC0})
	binary.BigEndian.PutUint32(huge[at+5:], 65500<<16|65500)
	twelve := bytes.Clone(picture.Bytes())
	twelve[at+4] = 12
	progressive := bytes.Clone(picture.Bytes())
	progressive[at+1] = 0xC2
	past := rleFrame(make([]byte, 3))
	binary.LittleEndian.PutUint32(past[4:], 5000)
	for name, c := range map[string]struct {
		header []byte
		syntax string
		frame  []byte
		none   bool // no decoder, or else broken pixels
	}{
		"short":          {grey, explicitLE, make([]byte, 15), false},
		"JPEG 65500²":    {grey, jpegBaseline, huge, false},
		"no JPEG":        {grey, jpegBaseline, []byte("nothing of the kind"), false},
		"cut JPEG":       {grey, jpegBaseline, picture.Bytes()[:picture.Len()-9], false},
		"other samples":  {pixelModule(4, 4, 3, 8, 8, "RGB"), jpegBaseline, picture.Bytes(), false},
		"12 bits":        {deep, jpegExtended, twelve, true},
		"progressive":    {grey, jpegBaseline, progressive, true},
		"RLE past end":   {grey, rleLossless, past, false},
		"RLE too short":  {grey, rleLossless, rleFrame([]byte{0xFE, 1}), false},
		"RLE without":    {grey, rleLossless, make([]byte, 63), false},
		"RLE segments":   {deep, rleLossless, rleFrame([]byte{0xF1, 1}), false},
		"deflate":        {grey, deflatedFrame, []byte("nothing of the kind"), false},
		"JPEG 2000":      {grey, "1.2.840.10008.1.2.4.90", nil, true},
		"JPEG-LS":        {grey, "1.2.840.10008.1.2.4.80", nil, true},
		"JPEG lossless":  {grey, "1.2.840.10008.1.2.4.70", nil, true},
		"HTJ2K":          {grey, "1.2.840.10008.1.2.4.201", nil, true},
		"private syntax": {grey, "1.2.826.0.1.3680043.2.1143.999.1", nil, true},
	} {
		m, err := ReadModule(c.header, 1, noBulk)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = Draw(m, c.syntax, c.frame, Options{})
		var none *NoDecoderError
		var pixels *PixelError
		if c.none && (!errors.As(err, &none) || !strings.Contains(err.Error(), c.syntax)) || !c.none && !errors.As(err, &pixels) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMemoryIsBounded: no frame that is drawn takes more than its server sets aside for the largest.
func TestMemoryIsBounded(t *testing.T) {
	for _, header := range [][]byte{
		pixelModule(8192, 8192, 1, 16, 16, "MONOCHROME2"), pixelModule(8192, 8192, 1, 8, 8, "MONOCHROME2"), pixelModule(4096, 5461, 3, 16, 16, "RGB"),
		pixelModule(4096, 5461, 3, 8, 8, "RGB"),
	} {
		m, err := ReadModule(header, 1, noBulk)
		if err != nil {
			t.Fatal(err)
		}
		if n := m.memory(m.MaxStoredBytes()); n > 512<<20 {
			t.Errorf("%d × %d of %d: %d MiB", m.Columns, m.Rows, m.BitsAllocated, n>>20)
		}
	}
}

func FuzzReadModule(f *testing.F) {
	f.Add(pixelModule(1, 3, 1, 16, 12, "MONOCHROME2", "00281050", []float64{1}, "00281051", []float64{2}), []byte{1, 2, 3, 4, 5, 6}, uint8(0))
	f.Add(pixelModule(1, 2, 3, 8, 8, "YBR_FULL_422", "00280034", []int{2, 3}), []byte{1, 2, 3, 4}, uint8(0))
	f.Add(pixelModule(1, 2, 1, 8, 8, "PALETTE COLOR", "00281101", []int{2, 0, 8}, "00281102", []int{2, 0, 8}, "00281103", []int{2, 0, 8},
		"00281201", []byte{1, 2}, "00281202", []byte{1, 2}, "00281223", words(0, 1, 5, 1, 1, 9)), []byte{0, 1}, uint8(0))
	f.Add(pixelModule(2, 2, 1, 16, 16, "MONOCHROME1", "00280120", []int{5}), rleFrame([]byte{3, 1, 2, 3, 4}, []byte{0xFD, 9}), uint8(1))
	f.Add(pixelModule(1, 4, 1, 8, 8, "MONOCHROME2"), []byte{0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0, 1, 0, 4, 1, 1, 0x11, 0, 0xFF, 0xD9}, uint8(2))
	f.Add(pixelModule(1, 1, 1, 8, 8, "MONOCHROME2", "52009230", json.RawMessage(`{"vr":"SQ","Value":[{},{"00289132":{"vr":"SQ","Value":[{}]}}]}`)), []byte{1}, uint8(3))
	f.Fuzz(func(t *testing.T, header, frame []byte, kind uint8) {
		syntax := []string{explicitLE, rleLossless, jpegBaseline, deflatedFrame}[kind%4]
		bulk := func(string) ([]byte, error) { return frame, nil }
		m, err := ReadModule(header, 1+int(kind)/4, bulk)
		if err != nil || m.Rows*m.Columns > 1<<20 {
			return
		}
		p, err := Draw(m, syntax, frame, Options{View: View{Width: int(kind), Height: 99, Part: image.Rect(0, 0, int(kind), 3)}})
		if err != nil {
			var none *NoDecoderError
			var pixels *PixelError
			if !errors.As(err, &none) && !errors.As(err, &pixels) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if p.Bounds().Empty() || p.Bounds().Dx() > max(maxSide, m.Columns) || p.Bounds().Dy() > max(maxSide, m.Rows) {
			t.Fatalf("a picture of %v", p.Bounds())
		}
	})
}

// FuzzDraw draws any bytes by any module.
func FuzzDraw(f *testing.F) {
	f.Add(uint16(2), uint16(2), uint8(0), uint8(1), uint8(12), uint8(0), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(uint16(1), uint16(3), uint8(2), uint8(0), uint8(8), uint8(3), []byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add(uint16(3), uint16(5), uint8(4), uint8(0), uint8(8), uint8(4), bytes.Repeat([]byte{7}, 40))
	f.Add(uint16(2), uint16(2), uint8(0), uint8(1), uint8(16), uint8(1), rleFrame([]byte{3, 1, 2, 3, 4}, []byte{0xFD, 9}))
	f.Add(uint16(4), uint16(4), uint8(0), uint8(2), uint8(32), uint8(8), make([]byte, 64))
	f.Fuzz(func(t *testing.T, rows, columns uint16, photometric, allocated, stored, kind uint8, frame []byte) {
		names := []string{"MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "PALETTE COLOR", "YBR_RCT"}
		name := names[int(photometric)%len(names)]
		samples := 1
		if strings.HasPrefix(name, "YBR") || name == "RGB" {
			samples = 3
		}
		bits := []int{8, 16, 32, 1}[allocated%4]
		var table []any
		for _, c := range []string{"1", "2", "3"} {
			table = append(table, "0028110"+c, []int{2, int(stored), 8}, "0028120"+c, []byte{1, 255})
		}
		m, err := ReadModule(pixelModule(int(rows)%64, int(columns)%64, samples, bits, 1+int(stored)%bits, name, append(table,
			"00280103", int(kind)>>2&1, "00280006", int(kind)>>3&1, "00280120", []int{int(stored)}, "00280034", []int{int(stored) + 1, 7})...), 1, noBulk)
		if err != nil {
			return
		}
		p, err := Draw(m, []string{explicitLE, rleLossless, jpegBaseline, deflatedFrame}[kind%4], frame, Options{View: View{Width: int(stored)}})
		var none *NoDecoderError
		var pixels *PixelError
		if err != nil && !errors.As(err, &none) && !errors.As(err, &pixels) {
			t.Fatalf("an error of no kind: %v", err)
		}
		if err == nil && p.Bounds().Empty() {
			t.Fatal("an empty picture")
		}
	})
}

// FuzzUnpackBits holds the decoder against a plain reading of PS3.5 §G.3.2.
func FuzzUnpackBits(f *testing.F) {
	f.Add([]byte{2, 1, 2, 3, 0xFE, 9, 0x80, 0, 7}, uint8(7))
	f.Add([]byte{0x7F, 1}, uint8(200))
	f.Fuzz(func(t *testing.T, src []byte, n uint8) {
		var want []byte
		for rest := src; len(rest) > 1 && len(want) < int(n); {
			op := int8(rest[0])
			switch {
			case op >= 0:
				k := min(int(op)+1, len(rest)-1)
				want = append(want, rest[1:1+k]...)
				rest = rest[1+k:]
			case op == -128:
				rest = rest[1:]
			default:
				want = append(want, bytes.Repeat(rest[1:2], 1-int(op))...)
				rest = rest[2:]
			}
		}
		got := make([]byte, 3*int(n))
		ok := unpackBits(got, 3, int(n), src)
		if ok != (len(want) >= int(n)) {
			t.Fatalf("%v with %d bytes of %d", ok, len(want), n)
		}
		for i := 0; ok && i < int(n); i++ {
			if got[3*i] != want[i] {
				t.Fatalf("byte %d is %d, want %d", i, got[3*i], want[i])
			}
		}
	})
}
