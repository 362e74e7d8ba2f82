package formats

import (
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
)

// tape is a file of a header and then samples that follow from their place, so that a day needs no disk.
type tape struct {
	head []byte
	size int64
}

func (f tape) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		switch at := off + int64(i); {
		case at >= f.size:
			return i, io.EOF
		case at < int64(len(f.head)):
			p[i] = f.head[at]
		default:
			p[i] = byte(at >> 3 & 0x3F)
		}
	}
	return len(p), nil
}

// holterEDF is hours of twelve leads at rate Hz, in records of a second.
func holterEDF(hours, rate int) ecg.Source {
	var b strings.Builder
	put := func(width int, values ...string) {
		for _, v := range values {
			b.WriteString((v + strings.Repeat(" ", width))[:width])
		}
	}
	leads := strings.Fields("I II III aVR aVL aVF V1 V2 V3 V4 V5 V6")
	put(8, "0")
	put(80, "X X X X", "Startdate 01-JAN-2020 X X X")
	put(8, "01.01.20", "00.00.00", fmt.Sprint(256*13))
	put(44, "")
	put(8, fmt.Sprint(hours*3600), "1")
	put(4, "12")
	put(16, leads...)
	for _, c := range []struct {
		width int
		value string
	}{{80, ""}, {8, "uV"}, {8, "-5000"}, {8, "5000"}, {8, "-32768"}, {8, "32767"}, {80, ""}, {8, fmt.Sprint(rate)}, {32, ""}} {
		for range leads {
			put(c.width, c.value)
		}
	}
	f := tape{head: []byte(b.String())}
	f.size = int64(len(f.head)) + int64(hours*3600*rate)*24
	return ecg.Source{File: ecg.File{At: f, Size: f.size}}
}

// holterISHNE is the same in ISHNE.
func holterISHNE(hours, rate int) ecg.Source {
	h := make([]byte, 522)
	copy(h, "ISHNE1.0")
	binary.LittleEndian.PutUint32(h[14:], uint32(hours*3600*rate))
	binary.LittleEndian.PutUint32(h[22:], 522)
	binary.LittleEndian.PutUint16(h[156:], 12)
	for i := range 12 {
		binary.LittleEndian.PutUint16(h[158+2*i:], uint16(5+i))
		binary.LittleEndian.PutUint16(h[206+2*i:], 2500)
	}
	binary.LittleEndian.PutUint16(h[272:], uint16(rate))
	f := tape{head: h, size: 522 + int64(hours*3600*rate)*24}
	return ecg.Source{File: ecg.File{At: f, Size: f.size}}
}

// peak decodes src, reads blocks of its first group and returns the largest heap that it saw, bytes above what
// was there before.
func peak(t testing.TB, src ecg.Source, blocks int) (heap uint64, samples int64) {
	t.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	rec, err := Decode(src, ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := rec.Groups[0].Samples()
	if err != nil {
		t.Fatal(err)
	}
	var b ecg.Block
	for n := 0; blocks <= 0 || n < blocks; n++ {
		err := r.Next(&b)
		if n%64 == 0 || err == io.EOF {
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > before {
				heap = max(heap, m.HeapAlloc-before)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		samples += int64(b.Len)
	}
	return heap, samples
}

// TestHolterMemory: a day of twelve leads at 1000 Hz, 2 GB, costs a few blocks.
func TestHolterMemory(t *testing.T) {
	for name, src := range map[string]ecg.Source{"EDF": holterEDF(24, 1000), "ISHNE": holterISHNE(24, 1000)} {
		heap, samples := peak(t, src, 200)
		t.Logf("%s: %d bytes of heap over %d samples of %d bytes of file", name, heap, samples, src.Size)
		if heap > 8<<20 || samples < 200*1000 {
			t.Errorf("%s: %d bytes of heap", name, heap)
		}
	}
}

// BenchmarkHolter reads a whole day.
func BenchmarkHolter(b *testing.B) {
	for name, src := range map[string]ecg.Source{"EDF": holterEDF(24, 1000), "ISHNE": holterISHNE(24, 1000)} {
		b.Run(name, func(b *testing.B) {
			heap := uint64(0)
			for b.Loop() {
				heap, _ = peak(b, src, 0)
			}
			b.ReportMetric(float64(heap), "heap-B")
		})
	}
}

// BenchmarkCorpus decodes files of the corpus and reads all their samples.
func BenchmarkCorpus(b *testing.B) {
	for _, path := range []string{
		"edf/pyedflib_test_generator.edf", "edf/contec_0000050.ECG.edf", "bdf/pyedflib_datarec_2.bdf", "ishne/ECG_P28.01.ecg",
		"mfer/synthetic_ptb_le.mwf", "wfdb/100.hea", "wfdb/s0010_re.hea", "wfdb/a103l.hea",
	} {
		b.Run(strings.ReplaceAll(path, "/", "_"), func(b *testing.B) {
			src := ecgtest.Open(b, filepath.Join(ecgtest.Corpus(b), path))
			var block ecg.Block
			total := int64(0)
			for b.Loop() {
				rec, err := Decode(src, ecg.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				total = 0
				for _, g := range rec.Groups {
					r, err := g.Samples()
					for err == nil {
						if err = r.Next(&block); err == nil {
							total += int64(block.Len * len(block.Counts))
						}
					}
				}
			}
			b.SetBytes(2 * total)
		})
	}
}
