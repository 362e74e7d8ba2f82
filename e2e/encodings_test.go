package e2e

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

const (
	implicitLE   = "1.2.840.10008.1.2"
	deflatedLE   = "1.2.840.10008.1.2.1.99"
	explicitBE   = "1.2.840.10008.1.2.2"
	jpegBaseline = "1.2.840.10008.1.2.4.50"
	rleLossless  = "1.2.840.10008.1.2.5"
)

// encodedImage is a picture whose frames are known, in one of the ways to encode it.
type encodedImage struct {
	name       string
	instance   string
	syntax     string
	rows, cols int
	samples    int
	allocated  int // bits
	planar     int
	colour     string // Photometric Interpretation
	vr         string // of Pixel Data
	frames     [][]byte

	table     string // encapsulated: "basic", "extended" or "none"
	fragments int    // encapsulated: of each frame
}

// writer encodes elements of one transfer syntax.
type writer struct {
	bytes.Buffer
	order    binary.AppendByteOrder
	implicit bool
}

func (w *writer) number(n uint64, width int) {
	switch width {
	case 2:
		w.Write(w.order.AppendUint16(nil, uint16(n)))
	case 4:
		w.Write(w.order.AppendUint32(nil, uint32(n)))
	default:
		w.Write(w.order.AppendUint64(nil, n))
	}
}

// head is an element's tag, VR and length.
func (w *writer) head(tag uint32, vr string, length uint32) {
	w.number(uint64(tag>>16), 2)
	w.number(uint64(tag&0xFFFF), 2)
	switch {
	case w.implicit:
		w.number(uint64(length), 4)
	case vr == "OB" || vr == "OW" || vr == "OV" || vr == "OF" || vr == "OD":
		w.WriteString(vr + "\x00\x00")
		w.number(uint64(length), 4)
	default:
		w.WriteString(vr)
		w.number(uint64(length), 2)
	}
}

func (w *writer) text(tag uint32, vr, value string) {
	if len(value)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" {
			pad = 0
		}
		value += string(pad)
	}
	w.head(tag, vr, uint32(len(value)))
	w.WriteString(value)
}

func (w *writer) short(tag uint32, n int) {
	w.head(tag, "US", 2)
	w.number(uint64(n), 2)
}

func (e encodedImage) study() string { return "1.2.826.0.1.3680043.10.9.1" }

func (e encodedImage) path() string {
	return "/dicom-web/studies/" + e.study() + "/series/" + e.study() + ".1/instances/" + e.instance
}

func (e encodedImage) encapsulated() bool { return e.syntax == jpegBaseline || e.syntax == rleLossless }

// file writes the picture.
func (e encodedImage) file(t *testing.T) []byte {
	t.Helper()
	w := &writer{order: binary.LittleEndian, implicit: e.syntax == implicitLE}
	if e.syntax == explicitBE {
		w.order = binary.BigEndian
	}
	w.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7.2")
	w.text(0x00080018, "UI", e.instance)
	w.text(0x00080060, "CS", "OT")
	w.text(0x00100020, "LO", "encodings")
	w.text(0x0020000D, "UI", e.study())
	w.text(0x0020000E, "UI", e.study()+".1")
	w.short(0x00280002, e.samples)
	w.text(0x00280004, "CS", e.colour)
	if e.samples > 1 {
		w.short(0x00280006, e.planar)
	}
	w.text(0x00280008, "IS", fmt.Sprint(len(e.frames)))
	w.short(0x00280010, e.rows)
	w.short(0x00280011, e.cols)
	w.short(0x00280100, e.allocated)
	w.short(0x00280101, e.allocated)
	w.short(0x00280102, e.allocated-1)
	w.short(0x00280103, 0)
	switch {
	case e.encapsulated():
		e.writeFragments(w)
	default:
		w.value(e.vr, e.native())
	}
	dataset := w.Bytes()
	if e.syntax == deflatedLE {
		var z bytes.Buffer
		f, err := flate.NewWriter(&z, 6)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(dataset); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		dataset = z.Bytes()
		dataset = append(dataset, make([]byte, len(dataset)%2)...)
	}
	return append(part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: "1.2.840.10008.5.1.4.1.1.7.2", MediaStorageSOPInstanceUID: e.instance, TransferSyntaxUID: e.syntax,
	}), dataset...)
}

// native is all frames in one value of little endian order: frames of single bits follow each other without a gap.
func (e encodedImage) native() []byte {
	bits := e.rows * e.cols * e.samples * e.allocated
	if bits%8 == 0 || e.allocated != 1 {
		return bytes.Join(e.frames, nil)
	}
	out := make([]byte, (bits*len(e.frames)+7)/8)
	for i, f := range e.frames {
		for k := range bits {
			at := i*bits + k
			out[at/8] |= f[k/8] >> (k % 8) & 1 << (at % 8)
		}
	}
	return out
}

// value writes Pixel Data, its words in the order of the syntax.
func (w *writer) value(vr string, b []byte) {
	b = append(bytes.Clone(b), make([]byte, len(b)%2)...)
	w.head(0x7FE00010, vr, uint32(len(b)))
	if w.order == binary.AppendByteOrder(binary.BigEndian) && vr == "OW" {
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	w.Write(b)
}

// writeFragments writes encapsulated Pixel Data (PS3.5 §A.4).
func (e encodedImage) writeFragments(w *writer) {
	var items bytes.Buffer
	var basic, extended, lengths []byte
	for _, f := range e.frames {
		basic = binary.LittleEndian.AppendUint32(basic, uint32(items.Len()))
		extended = binary.LittleEndian.AppendUint64(extended, uint64(items.Len()))
		lengths = binary.LittleEndian.AppendUint64(lengths, uint64(len(f)))
		piece := (len(f)/e.fragments + 1) &^ 1
		for i := range e.fragments {
			part := f[i*piece:]
			if i < e.fragments-1 {
				part = part[:piece]
			}
			items.Write([]byte{0xFE, 0xFF, 0x00, 0xE0})
			items.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(part))))
			items.Write(part)
		}
	}
	if e.table == "extended" {
		w.head(0x7FE00001, "OV", uint32(len(extended)))
		w.Write(extended)
		w.head(0x7FE00002, "OV", uint32(len(lengths)))
		w.Write(lengths)
	}
	if e.table != "basic" {
		basic = nil
	}
	w.head(0x7FE00010, "OB", 0xFFFFFFFF)
	w.Write([]byte{0xFE, 0xFF, 0x00, 0xE0})
	w.number(uint64(len(basic)), 4)
	w.Write(basic)
	w.Write(items.Bytes())
	w.Write([]byte{0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0})
}

// encodings are pictures in every way that frames are laid out in.
func encodings() (all []encodedImage) {
	noise := rand.New(rand.NewPCG(20, 26))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(noise.Uint32())
		}
		return b
	}
	add := func(e encodedImage) {
		e.instance = fmt.Sprintf("1.2.826.0.1.3680043.10.9.2.%d", len(all)+1)
		all = append(all, e)
	}
	for _, syntax := range []string{implicitLE, explicitLE, deflatedLE, explicitBE} {
		for _, e := range []encodedImage{
			{name: "8 bits, odd", rows: 3, cols: 5, samples: 1, allocated: 8, colour: "MONOCHROME2", vr: "OB"},
			{name: "8 bits in words, odd", rows: 3, cols: 5, samples: 1, allocated: 8, colour: "MONOCHROME2", vr: "OW"},
			{name: "16 bits", rows: 4, cols: 5, samples: 1, allocated: 16, colour: "MONOCHROME2", vr: "OW"},
			{name: "single bits", rows: 3, cols: 7, samples: 1, allocated: 1, colour: "MONOCHROME2", vr: "OB"},
			{name: "single bits in words", rows: 4, cols: 16, samples: 1, allocated: 1, colour: "MONOCHROME2", vr: "OW"},
			{name: "colour by pixel", rows: 5, cols: 3, samples: 3, allocated: 8, colour: "RGB", vr: "OB"},
			{name: "colour by plane", rows: 5, cols: 3, samples: 3, allocated: 8, colour: "RGB", vr: "OB", planar: 1},
			{name: "colour by plane in words", rows: 5, cols: 3, samples: 3, allocated: 8, colour: "RGB", vr: "OW", planar: 1},
			{name: "colour of 16 bits", rows: 5, cols: 3, samples: 3, allocated: 16, colour: "RGB", vr: "OW"},
			{name: "colour of two pixels", rows: 4, cols: 6, samples: 3, allocated: 8, colour: "YBR_FULL_422", vr: "OB"},
		} {
			if syntax == implicitLE {
				e.vr = "OW" // PS3.5 §A.1
			}
			bits := e.rows * e.cols * e.samples * e.allocated
			if e.colour == "YBR_FULL_422" {
				bits = bits / 3 * 2
			}
			for _, count := range []int{1, 3} {
				e.frames = nil
				for range count {
					f := random((bits + 7) / 8)
					if rest := bits % 8; rest != 0 {
						f[len(f)-1] &= 1<<rest - 1
					}
					e.frames = append(e.frames, f)
				}
				e.syntax = syntax
				add(e)
			}
		}
	}
	for _, table := range []string{"basic", "extended", "none"} {
		for _, fragments := range []int{1, 3} {
			for _, count := range []int{1, 4} {
				if table == "extended" && fragments > 1 {
					continue // PS3.3 §C.7.6.3.1.8 has one fragment a frame
				}
				for _, syntax := range []string{jpegBaseline, rleLossless} {
					if syntax == rleLossless && fragments > 1 {
						continue // PS3.5 §A.4.2 has one fragment a frame
					}
					e := encodedImage{
						name: fmt.Sprintf("%s table, %d fragments", table, fragments), syntax: syntax, rows: 8, cols: 8, samples: 1, allocated: 8,
						colour: "MONOCHROME2", table: table, fragments: fragments,
					}
					for i := range count {
						f := random(101 + 40*i)
						if syntax == jpegBaseline {
							copy(f, "\xFF\xD8\xFF\xE0")
							f = append(f, 0xFF, 0xD9)
						} else {
							copy(f, "\x01\x00\x00\x00\x40\x00\x00\x00")
						}
						e.frames = append(e.frames, append(f, make([]byte, len(f)%2)...)) // a pad byte is part of the fragment
					}
					add(e)
				}
			}
		}
	}
	return all
}

// TestFramesOfEveryEncoding retrieves frames of pictures that are known, in every way that they are laid out in,
// and has pydicom read the same files.
func TestFramesOfEveryEncoding(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	all := encodings()
	dir := t.TempDir()
	var paths []string
	for i, e := range all {
		path := filepath.Join(dir, fmt.Sprintf("%d.dcm", i))
		file := e.file(t)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		if sh := shipBytes(t, n, device.ViaSTOW, path, file); sh.letter() != "S" {
			t.Fatalf("%s, %s: %+v", e.name, e.syntax, sh)
		}
	}
	pydicom := pydicomFrames(t, paths)
	for i, e := range all {
		what := fmt.Sprintf("%s, %s, %d frames", e.name, e.syntax, len(e.frames))
		got := servedFrames(t, n, e.path(), len(e.frames))
		if len(got) != len(e.frames) {
			t.Errorf("%s: %d are served", what, len(got))
			continue
		}
		want := pydicom[paths[i]]
		for k := range got {
			if !bytes.Equal(got[k], e.frames[k]) {
				t.Errorf("%s: frame %d is % X, want % X", what, k+1, got[k][:min(len(got[k]), 8)], e.frames[k][:8])
			}
			if want.Why != "" || want.Frames[k] != sumOf(got[k]) {
				t.Errorf("%s: frame %d is another to pydicom (%s)", what, k+1, want.Why)
			}
			if sum := bodySum(t, n, fmt.Sprintf("%s/frames/%d", e.path(), k+1)); sum != sumOf(e.frames[k]) {
				t.Errorf("%s: frame %d alone differs", what, k+1)
			}
		}
		if status, body := n.Get(t, e.path()+"/frames/1/rendered"); !e.encapsulated() && status != http.StatusOK {
			t.Errorf("%s: rendered: %d %.100s", what, status, body)
		}
	}
}
