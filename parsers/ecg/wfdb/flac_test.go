package wfdb

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// wave is what the FLAC fixtures hold: of each channel a beat of another height with noise of another size, in
// bits bits. Channel 7 is flat, and 6 is the noise of a lead that is off.
func wave(channel, bits, i int) int32 {
	full := int64(1)<<(bits-1) - 1
	seed := uint32(i*2654435761) ^ uint32(channel)*40503
	seed ^= seed >> 13
	seed *= 0x5bd1e995
	seed ^= seed >> 15
	noise := int64(seed % 65536)
	switch channel {
	case 7:
		return int32(-full / 3)
	case 6:
		return int32((noise - 32768) * full / 32768)
	}
	phase := int64((i + 13*channel) % 400)
	v := int64(0)
	switch {
	case phase < 20:
		v = phase
	case phase < 40:
		v = 40 - phase
	case phase >= 120 && phase < 180:
		v = (phase - 120) * (180 - phase) / 150
	}
	v = v * full / 25 * int64(channel+1) / 8
	return int32(v + noise*full/int64(1<<24)*int64(channel))
}

// fixtures are made by another program: see testdata/PROVENANCE.md.
var fixtures = []struct {
	name           string
	channels, bits int
	samples        int
}{
	{"mono8.flac", 1, 8, 3000}, {"stereo16.flac", 2, 16, 3000}, {"three24.flac", 3, 24, 1500}, {"eight16.flac", 8, 16, 700}, {"stereo16-fast.flac", 2, 16, 3000},
}

func TestFLAC(t *testing.T) {
	for _, f := range fixtures {
		data, err := os.ReadFile(filepath.Join("testdata", f.name))
		if err != nil {
			t.Fatal(err)
		}
		for _, perFrame := range []int{1, 2} {
			var hea strings.Builder
			fmt.Fprintf(&hea, "r %d 250 %d\n", f.channels, f.samples/perFrame)
			for c := range f.channels {
				fmt.Fprintf(&hea, "r.dat %dx%d 200 %d 0 0 0 0 V%d\n", 500+f.bits, perFrame, f.bits, c%6+1)
			}
			src := ecgtest.Source("r.hea", []byte(hea.String()))
			src.Parts = []ecg.File{ecgtest.Source("r.dat", data).File}
			rec, err := Decode(src, ecg.Limits{})
			if err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			counts, _, err := rec.Groups[0].ReadAll(1 << 20)
			if err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			ecgtest.ReadGroup(t, 0, rec.Groups[0])
			for c := range counts {
				if len(counts[c]) != f.samples {
					t.Fatalf("%s: %d samples of channel %d", f.name, len(counts[c]), c)
				}
				for i, v := range counts[c] {
					if want := wave(c, f.bits, i); v != want {
						t.Fatalf("%s: channel %d sample %d is %d, want %d", f.name, c, i, v, want)
					}
				}
			}
		}
	}
}

// flacRecord is a record over one fixture.
func flacRecord(t testing.TB, header, name string, change func([]byte)) ecg.Source {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(data)
	}
	return record(header, "r.dat", string(data))
}

// TestFLACRefused: streams that unfold beyond measure, other streams than the header says, and broken ones.
func TestFLACRefused(t *testing.T) {
	const one = "r 1 250\nr.dat 508 200 8 0 0 0 0 I\n"
	for name, c := range map[string]struct {
		header, file string
		change       func([]byte)
		want         reject.Code
	}{
		"2³⁶ samples":    {one, "mono8.flac", func(b []byte) { copy(b[21:], "\x7f\xff\xff\xff\xff") }, reject.InflateBomb},
		"other depth":    {"r 1 250\nr.dat 516 200 8 0 0 0 0 I\n", "mono8.flac", nil, reject.Malformed},
		"other channels": {one, "stereo16.flac", nil, reject.Malformed},
		"no stream":      {one, "mono8.flac", func(b []byte) { b[0] = 'F' }, reject.Malformed},
		"other rates":    {"r 2 250\nr.dat 516 200 8 0 0 0 0 I\nr.dat 516x2 200 8 0 0 0 0 II\n", "stereo16.flac", nil, reject.Malformed},
		"broken":         {one, "mono8.flac", func(b []byte) { b[len(b)-1] ^= 1 }, reject.Malformed},
		"too few":        {one, "mono8.flac", func(b []byte) { copy(b[21:], "\x70\x00\x00\x20\x00") }, reject.Truncated},
	} {
		rec, err := Decode(flacRecord(t, c.header, c.file, c.change), ecg.Limits{})
		if reject.CodeOf(err) != c.want || err == nil {
			t.Errorf("%s: %v, want %s (%+v)", name, err, c.want, rec)
		}
	}
	// Without checksums nothing is decoded until it is read, and then the reader says what is wrong.
	rec, err := Decode(flacRecord(t, "r 1 250\nr.dat 508 200 8 0 0\n", "mono8.flac", func(b []byte) { b[len(b)-1] ^= 1 }), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := rec.Groups[0].ReadAll(1 << 20); reject.CodeOf(err) != reject.Malformed {
		t.Error(err)
	}
}
