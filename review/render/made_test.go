package render

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

// set is a data set being written, explicit little endian, in the order of its tags.
type set []byte

func (s *set) head(tag uint32, vr string, length int) {
	*s = binary.LittleEndian.AppendUint16(*s, uint16(tag>>16))
	*s = binary.LittleEndian.AppendUint16(*s, uint16(tag))
	*s = append(*s, vr...)
	if vr == "OB" || vr == "OW" || vr == "SQ" {
		*s = binary.LittleEndian.AppendUint32(append(*s, 0, 0), uint32(length))
		return
	}
	*s = binary.LittleEndian.AppendUint16(*s, uint16(length))
}

func (s *set) bytes(tag uint32, vr string, b []byte) {
	s.head(tag, vr, len(b)+len(b)%2)
	*s = append(append(*s, b...), make([]byte, len(b)%2)...)
}

func (s *set) text(tag uint32, vr, v string) {
	if len(v)%2 == 1 {
		v += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
	}
	s.bytes(tag, vr, []byte(v))
}

func (s *set) shorts(tag uint32, vr string, v ...int) { s.bytes(tag, vr, words(v...)) }

func (s *set) sequence(tag uint32, item set) {
	s.head(tag, "SQ", len(item)+8)
	*s = append(*s, 0xFE, 0xFF, 0x00, 0xE0)
	*s = append(binary.LittleEndian.AppendUint32(*s, uint32(len(item))), item...)
}

// depth is how samples are stored.
type depth struct {
	allocated, stored, high int
	signed                  bool
}

func (d depth) String() string {
	return fmt.Sprintf("%d of %d bits up to %d, signed %v", d.stored, d.allocated, d.high, d.signed)
}

// least and greatest stored value.
func (d depth) limits() (int, int) {
	if d.signed {
		return -1 << (d.stored - 1), 1<<(d.stored-1) - 1
	}
	return 0, 1<<d.stored - 1
}

// pixel is a value as it is stored.
func (d depth) pixel(v int) []byte {
	bits := uint32(v) & (1<<d.stored - 1) << (d.high + 1 - d.stored)
	if d.allocated == 8 {
		return []byte{byte(bits)}
	}
	return binary.LittleEndian.AppendUint16(nil, uint16(bits))
}

// made is a file that was written for one comparison.
type made struct {
	name   string
	file   []byte
	flags  []string // of DCMTK
	limit  int      // of a difference; 0 is 1
	frames int      // that are compared; 0 is 1
}

const (
	madeRows, madeColumns = 32, 48
	madePixels            = madeRows * madeColumns
)

// madeFile writes an image; behind are its attributes after (0028,0103).
func madeFile(photometric string, samples, planar, frames int, d depth, behind, pixels []byte) []byte {
	var s set
	const class, uid = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4.5"
	s.text(0x00080016, "UI", class)
	s.text(0x00080018, "UI", uid)
	s.text(0x00080060, "CS", "OT")
	s.text(0x0020000D, "UI", "1.2.3")
	s.text(0x0020000E, "UI", "1.2.3.4")
	s.shorts(0x00280002, "US", samples)
	s.text(0x00280004, "CS", photometric)
	if samples > 1 {
		s.shorts(0x00280006, "US", planar)
	}
	s.text(0x00280008, "IS", fmt.Sprint(frames))
	s.shorts(0x00280010, "US", madeRows)
	s.shorts(0x00280011, "US", madeColumns)
	s.shorts(0x00280100, "US", d.allocated)
	s.shorts(0x00280101, "US", d.stored)
	s.shorts(0x00280102, "US", d.high)
	s.shorts(0x00280103, "US", map[bool]int{true: 1}[d.signed])
	s = append(s, behind...)
	vr := "OW"
	if d.allocated == 8 {
		vr = "OB"
	}
	s.bytes(0x7FE00010, vr, pixels)
	return append(part10.AppendFileMeta(nil, part10.FileMeta{MediaStorageSOPClassUID: class, MediaStorageSOPInstanceUID: uid, TransferSyntaxUID: explicitLE}), s...)
}

// steps has every stored value of d, or as many as there are pixels, evenly from the least to the greatest.
func (d depth) steps(frame int) (out []byte) {
	low, high := d.limits()
	for i := range madePixels {
		v := low + (i+37*frame)%madePixels*(high-low)/(madePixels-1)
		out = append(out, d.pixel(v)...)
	}
	return out
}

// tableOf is a LUT sequence's item: entries of so many bits from first on, rising to the greatest and bent, so that its place shows.
func tableOf(entries, first, bits int, signed bool) (s set) {
	vr := "US"
	if signed {
		vr = "SS"
	}
	s.shorts(0x00283002, vr, entries&0xFFFF, first, bits)
	var data []int
	for i := range entries {
		x := float64(i) / float64(entries-1)
		data = append(data, int(x*x*float64(int(1)<<bits-1)))
	}
	s.shorts(0x00283006, "OW", data...)
	return s
}

// madeGreys are grey images of every depth with every step of the pipeline.
func madeGreys() (all []made) {
	for _, d := range []depth{
		{8, 8, 7, false},
		{8, 8, 7, true},
		{8, 6, 5, false},
		{16, 10, 9, false},
		{16, 12, 11, false},
		{16, 12, 11, true},
		{16, 12, 13, false},
		{16, 16, 15, false},
		{16, 16, 15, true},
	} {
		low, high := d.limits()
		middle, span := float64(low+high+1)/2, float64(high-low+1)
		for _, m := range []struct {
			name             string
			slope, intercept float64 // of values; 1 and 0 without
			attributes       func(s *set)
		}{
			{"", 1, 0, func(*set) {}},
			{", rescaled", 2, -1024, func(s *set) { s.text(0x00281052, "DS", "-1024"); s.text(0x00281053, "DS", "2") }},
			{", turned", -1, 100, func(s *set) { s.text(0x00281052, "DS", "100"); s.text(0x00281053, "DS", "-1") }},
		} {
			center, width := middle*m.slope+m.intercept, span*max(m.slope, -m.slope)
			negative := float64(low)*m.slope+m.intercept < 0 || float64(high)*m.slope+m.intercept < 0
			first := func(half int) int { // where no value has a sign, DCMTK takes the table's for none either
				if f := int(center) - half; f > 0 || negative {
					return f
				}
				return 0
			}
			number := func(x float64) string { return fmt.Sprintf("%.6g", x) }
			window := func(c, w float64, function string) func(s *set) {
				return func(s *set) {
					s.text(0x00281050, "DS", number(c))
					s.text(0x00281051, "DS", number(w))
					m.attributes(s)
					if function != "" {
						s.text(0x00281056, "CS", function)
					}
				}
			}
			plainFlags := []string{"+Wm"}
			if d.stored <= 8 && m.name == "" {
				plainFlags = nil
			}
			for _, v := range []struct {
				name       string
				attributes func(s *set)
				flags      []string
			}{
				{"no window", m.attributes, plainFlags},
				{"wide window", window(center, width, "LINEAR"), []string{"+Wi", "1"}},
				{"window", window(center+width/8, width/3, ""), []string{"+Wi", "1"}},
				{"threshold", window(center, 1, "LINEAR"), []string{"+Wi", "1"}},
				{"sigmoid", window(center, width/4, "SIGMOID"), []string{"+Wi", "1"}},
				{"two windows", func(s *set) {
					s.text(0x00281050, "DS", number(center)+`\5`)
					s.text(0x00281051, "DS", number(width/2)+`\9`)
					m.attributes(s)
				}, []string{"+Wi", "1"}},
				{"VOI LUT of bytes", func(s *set) {
					m.attributes(s)
					s.sequence(0x00283010, tableOf(64, first(32), 8, first(32) < 0))
				}, []string{"+Wl", "1"}},
				{"VOI LUT of words", func(s *set) {
					m.attributes(s)
					s.sequence(0x00283010, tableOf(1000, first(500), 12, first(500) < 0))
				}, []string{"+Wl", "1"}},
			} {
				if d.stored == 16 && m.name == ", rescaled" && v.flags[0] == "+Wl" {
					continue // values of 17 bits: no table says where it begins
				}
				limit := 0
				if d.stored < 8 && v.flags == nil {
					limit = 4 // DCMTK's white is 252
				}
				for i, photometric := range []string{"MONOCHROME2", "MONOCHROME1"} {
					if m.name != "" && len(all)%2 == i {
						continue // one of the two will do
					}
					var s set
					v.attributes(&s)
					all = append(all, made{
						name:  fmt.Sprintf("%s, %v%s, %s", photometric, d, m.name, v.name),
						file:  madeFile(photometric, 1, 0, 1, d, s, d.steps(0)),
						flags: v.flags, limit: limit,
					})
				}
			}
		}
		var s set
		s.sequence(0x00283000, tableOf(512, int(middle)-200, 12, d.signed))
		all = append(all, made{name: fmt.Sprintf("Modality LUT, %v", d), file: madeFile("MONOCHROME2", 1, 0, 1, d, s, d.steps(0)), flags: []string{"+Wm"}})
		s = nil
		s.shorts(0x00280120, map[bool]string{true: "SS", false: "US"}[d.signed], low)
		s.text(0x00281050, "DS", fmt.Sprint(middle))
		s.text(0x00281051, "DS", fmt.Sprint(span))
		all = append(all, made{name: fmt.Sprintf("padding at the black end, %v", d), file: madeFile("MONOCHROME2", 1, 0, 1, d, s, d.steps(0)), flags: []string{"+Wi", "1"}})
	}
	var s set // Hounsfield units of unsigned pixels: where the table begins is below zero, and its VR says otherwise
	s.text(0x00281052, "DS", "-1024")
	s.text(0x00281053, "DS", "1")
	item := tableOf(600, 0x10000-700, 12, false)
	s.sequence(0x00283010, item)
	d := depth{16, 12, 11, false}
	return append(all, made{name: "VOI LUT below zero", file: madeFile("MONOCHROME2", 1, 0, 1, d, s, d.steps(0)), flags: []string{"+Wl", "1"}})
}

// madeColours are images of three samples and of palettes.
func madeColours() (all []made) {
	eight := depth{8, 8, 7, false}
	var byPixel, byPlane, half []byte
	planes := [3][]byte{}
	for i := range madePixels {
		px := [3]byte{byte(i * 5), byte(i / 7), byte(255 - i*3)}
		byPixel = append(byPixel, px[:]...)
		for c := range planes {
			planes[c] = append(planes[c], px[c])
		}
		if i%2 == 1 {
			half = append(half, byte(i*3), byte(i*11), byte(i/6), byte(255-i/6))
		}
	}
	for _, p := range planes {
		byPlane = append(byPlane, p...)
	}
	for _, photometric := range []string{"RGB", "YBR_FULL"} {
		all = append(all,
			made{name: photometric + " by pixel", file: madeFile(photometric, 3, 0, 1, eight, nil, byPixel), limit: 2},
			made{name: photometric + " by plane", file: madeFile(photometric, 3, 1, 1, eight, nil, byPlane), limit: 2})
	}
	all = append(all, made{name: "YBR_FULL_422", file: madeFile("YBR_FULL_422", 3, 0, 1, eight, nil, half), limit: 2})
	for _, d := range []depth{eight, {16, 10, 9, false}, {16, 16, 15, false}} {
		for _, p := range []struct{ entries, first, bits int }{{256, 0, 8}, {256, 0, 16}, {200, 20, 16}, {65536, 0, 16}} {
			if p.entries > 1<<d.stored {
				continue
			}
			var s set
			for c := range uint32(3) {
				s.shorts(0x00281101+c, "US", p.entries&0xFFFF, p.first, p.bits)
			}
			for c := range 3 {
				var data []int
				for i := range p.entries {
					x := float64(i) / float64(p.entries-1)
					switch c {
					case 1:
						x = 1 - x
					case 2:
						x *= x
					}
					data = append(data, int(x*float64(int(1)<<p.bits-1)))
				}
				if p.bits == 8 { // two entries a word
					var b []byte
					for _, v := range data {
						b = append(b, byte(v))
					}
					s.bytes(0x00281201+uint32(c), "OW", b)
					continue
				}
				s.shorts(0x00281201+uint32(c), "OW", data...)
			}
			all = append(all, made{
				name: fmt.Sprintf("palette of %d entries of %d bits from %d, %v", p.entries, p.bits, p.first, d),
				file: madeFile("PALETTE COLOR", 1, 0, 1, d, s, d.steps(0)),
			})
		}
	}
	for _, d := range []depth{eight, {16, 12, 11, true}} { // loops
		var pixels []byte
		for frame := range 3 {
			pixels = append(pixels, d.steps(frame)...)
		}
		var s set
		s.text(0x00281050, "DS", "100")
		s.text(0x00281051, "DS", "150")
		all = append(all, made{name: fmt.Sprintf("three frames, %v", d), file: madeFile("MONOCHROME2", 1, 0, 3, d, s, pixels), flags: []string{"+Wi", "1"}, frames: 3})
	}
	all = append(all, made{name: "three frames in colour", file: madeFile("RGB", 3, 1, 3, eight, nil, append(append(bytes.Clone(byPlane), byPixel...), byPlane...)), frames: 3})
	return all
}

// TestDCMTKOnMadeImages draws images of every depth with every step from stored values to grey or colour, and
// has DCMTK draw the same files.
func TestDCMTKOnMadeImages(t *testing.T) {
	tool, err := exec.LookPath("dcmj2pnm")
	if err != nil {
		testengine.Missing(t, "DCMTK's dcmj2pnm is not installed (scripts/test-deps.sh does)")
	}
	dir := t.TempDir()
	for i, c := range append(madeGreys(), madeColours()...) {
		if testing.Short() && i%5 != 0 {
			continue
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		for n := range max(1, c.frames) {
			s, err := readFrame(c.file, n+1)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			ours, err := s.module.draw(s.syntax, s.frame, nil)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			theirs, err := dcmtk(t.Context(), tool, path, n+1, c.flags)
			if err != nil {
				t.Errorf("%s: DCMTK draws nothing: %v", c.name, err)
				continue
			}
			if ours.Bounds() != theirs.Bounds() {
				t.Errorf("%s: %v, DCMTK has %v", c.name, ours.Bounds(), theirs.Bounds())
				continue
			}
			if most, mean := difference(ours, theirs); most > max(1, c.limit) {
				t.Errorf("%s, frame %d: differs from DCMTK's by up to %d, mean %.2f", c.name, n+1, most, mean)
			}
		}
	}
}

// TestDCMTKOnAspects compares the sides of pictures whose pixels are no squares.
func TestDCMTKOnAspects(t *testing.T) {
	tool, err := exec.LookPath("dcmj2pnm")
	if err != nil {
		testengine.Missing(t, "DCMTK's dcmj2pnm is not installed (scripts/test-deps.sh does)")
	}
	for i, c := range []struct {
		tag       uint32
		vr, value string
		grows     string // DCMTK's flag for the side that does not
	}{
		{0x00280034, "IS", `2\1`, "+Sxf"},
		{0x00280034, "IS", `1\2`, "+Syf"},
		{0x00280034, "IS", `3\2`, "+Sxf"},
		{0x00280034, "IS", `1\1`, "+Sxf"},
		{0x00280030, "DS", `0.5\0.25`, "+Sxf"},
		{0x00280030, "DS", `0.2\0.4`, "+Syf"},
		{0x00280030, "DS", `0.3\0.3`, "+Sxf"},
	} {
		var s set
		s.text(c.tag, c.vr, c.value)
		d := depth{8, 8, 7, false}
		file := madeFile("MONOCHROME2", 1, 0, 1, d, s, d.steps(0))
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		sub, err := readFrame(file, 1)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := Draw(sub.module, sub.syntax, sub.frame, Options{})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := dcmtk(t.Context(), tool, path, 1, []string{"+a", c.grows, "1"})
		if err != nil {
			t.Fatal(err)
		}
		if ours.Bounds() != theirs.Bounds() {
			t.Errorf("%s: %v, DCMTK has %v", c.value, ours.Bounds(), theirs.Bounds())
		}
	}
}
