package web

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ecgout/dicomecg"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

// ecgDay is the file of a day of three leads, some 66 MB, of which nothing is kept: each byte follows from its place.
type ecgDay struct {
	head, tail []byte
	data       int64
}

func (d *ecgDay) size() int64 { return int64(len(d.head)) + d.data + int64(len(d.tail)) }

func (d *ecgDay) ReadAt(p []byte, off int64) (int, error) {
	head := int64(len(d.head))
	for n := 0; n < len(p); {
		switch at := off + int64(n) - head; {
		case at < 0:
			n += copy(p[n:], d.head[at+head:])
		case at < d.data:
			run := p[n : n+int(min(int64(len(p)-n), d.data-at))]
			n += len(run)
			if at%2 != 0 {
				run[0] = byte(uint16(ecgDayCount(at/2)) >> 8)
				run, at = run[1:], at+1
			}
			for i := 0; i < len(run); i += 2 {
				v := uint16(ecgDayCount((at + int64(i)) / 2))
				if run[i] = byte(v); i+1 < len(run) {
					run[i+1] = byte(v >> 8)
				}
			}
		case at-d.data < int64(len(d.tail)):
			n += copy(p[n:], d.tail[at-d.data:])
		default:
			return n, io.EOF
		}
	}
	return len(p), nil
}

// ecgDayCount is the n-th count of the file: a sawtooth that is another in each lead.
func ecgDayCount(n int64) int16 { return int16(n%3*1000 + n/3%997) }

// TestECGDay streams a day: a window anywhere reads what it needs, and no request holds the recording.
func TestECGDay(t *testing.T) {
	// The header of a short one, told that it is long.
	const rate, second = 128, 128
	short := ecgMade(ecg.FullDisclosure, rate, 2, func(int, int64) (int32, bool) { return 0, true }, "I", "II", "V1")
	var file bytes.Buffer
	if err := dicomecg.Write(&file, short, dicomecg.Options{Tenant: "default", SourceSHA256: strings.Repeat("cd", 32)}); err != nil {
		t.Fatal(err)
	}
	scanned, err := part10.Scan(bytes.NewReader(file.Bytes()), part10.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(scanned.Bulk, func(b part10.Bulk) bool { return strings.HasSuffix(b.Path, "/54001010") })
	waves := scanned.Bulk[i]
	day := &ecgDay{data: 24 * 3600 * rate * 3 * 2}
	day.head = bytes.Clone(file.Bytes()[:waves.Offset])
	day.tail = bytes.Clone(file.Bytes()[waves.Offset+waves.Length:])
	binary.LittleEndian.PutUint32(day.head[len(day.head)-4:], uint32(day.data))
	number := []byte{0x3A, 0x00, 0x10, 0x00, 'U', 'L', 4, 0, 2, 0, 0, 0} // (003A,0010) Number of Waveform Samples
	at := bytes.Index(day.head, number)
	if at < 0 {
		t.Fatal("no Number of Waveform Samples")
	}
	binary.LittleEndian.PutUint32(day.head[at+8:], 24*3600*rate)

	w := &ecgWorld{}
	path := w.add(t, day, day.size())
	h := w.handler()
	w.read.Store(0)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, hour := range []int64{0, 1, 12, 23} {
		from := hour*3600*rate + 7
		got := readECGWindow(t, getECG(t, h, fmt.Sprintf("%s/samples?from=%d&count=%d", path, from, 10*second)).Body.Bytes())
		for lead := range got.counts {
			for i, v := range got.counts[lead] {
				if want := ecgDayCount((from+int64(i))*3 + int64(lead)); v != int32(want) {
					t.Fatalf("hour %d lead %d sample %d: %d, want %d", hour, lead, i, v, want)
				}
			}
		}
	}
	// A block is 4096 samples; a window of 2000 touches two.
	if n := w.read.Load(); n > 4*2*ecg.BlockSamples*6 {
		t.Errorf("four windows of ten seconds read %d bytes", n)
	}
	runtime.ReadMemStats(&after)
	t.Logf("four windows: %d bytes read, %d KB allocated, of a file of %d MB", w.read.Load(), (after.TotalAlloc-before.TotalAlloc)>>10, day.size()>>20)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("four windows of a day of %d MB took %d MB", day.size()>>20, used>>20)
	}
	overview := getECG(t, h, path+"/overview?lead=2").Body.Bytes()
	pieces := int(binary.LittleEndian.Uint32(overview[4:]))
	each := int64(binary.LittleEndian.Uint64(overview[8:]))
	if pieces != ecgBuckets || each != (24*3600*rate+ecgBuckets-1)/ecgBuckets || len(overview) != 16+8*pieces {
		t.Fatalf("%d pieces of %d samples", pieces, each)
	}
	for i := range pieces {
		low, high := int32(binary.LittleEndian.Uint32(overview[16+8*i:])), int32(binary.LittleEndian.Uint32(overview[20+8*i:]))
		if low != 2000 || high != 2996 {
			t.Fatalf("piece %d: %d to %d", i, low, high)
		}
	}
	runtime.ReadMemStats(&after)
	runtime.GC()
	var kept runtime.MemStats
	runtime.ReadMemStats(&kept)
	if grown := int64(kept.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("a day leaves %d MB behind", grown>>20)
	}
	first := w.read.Load()
	if again := getECG(t, h, path+"/overview?lead=2").Body.Bytes(); !bytes.Equal(again, overview) || w.read.Load() != first {
		t.Error("an overview that was made is made again")
	}
}
