package ecg

import (
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// tape is an endless recording of 16-bit words.
type tape struct{}

func (tape) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		at := off + int64(i)
		p[i] = byte((at / 2) >> (8 * (at & 1)) & 0x3F)
	}
	return len(p), nil
}

// holter is 8 leads at 1000 Hz, with four more to derive.
func holter(samples int64) *Recording {
	g := &Group{Kind: FullDisclosure, Rate: Int(1000)}
	for _, name := range []string{"I", "II", "V1", "V2", "V3", "V4", "V5", "V6"} {
		l := Lead{Unit: Microvolt, Scale: MustRat("2.5")}
		l.SetLabel(name)
		g.Leads = append(g.Leads, l)
	}
	g.Stream(Frames{At: tape{}, Offset: 522, FrameBytes: 16, Samples: 1, Count: samples, Decode: func(frame []byte, b *Block, at int) {
		for c := range 8 {
			b.Counts[c][at] = int32(int16(binary.LittleEndian.Uint16(frame[2*c:])))
		}
	}})
	return &Recording{Format: sniff.ISHNE, Groups: []*Group{g}}
}

// TestMemoryDoesNotGrow: reading and hashing ten times the samples allocates no more.
func TestMemoryDoesNotGrow(t *testing.T) {
	allocated := func(samples int64) uint64 {
		r := holter(samples)
		if err := r.Complete(); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := r.Summarize(true)
		runtime.ReadMemStats(&after)
		if err != nil || s.Groups[0].Leads[11].Samples != samples || s.Groups[0].Leads[11].MicroSHA256 == "" {
			t.Fatal(err)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	short, long := allocated(40_000), allocated(400_000)
	if long > short+256<<10 {
		t.Errorf("%d bytes for 40 s, %d for 400 s", short, long)
	}
}

func BenchmarkSummarize(b *testing.B) {
	const samples = 600_000 // ten minutes
	r := holter(samples)
	if err := r.Complete(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(samples * 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Summarize(true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	const samples = 600_000
	r := holter(samples)
	if err := r.Complete(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(samples * 16)
	for b.Loop() {
		rd, err := r.Groups[0].Samples()
		if err != nil {
			b.Fatal(err)
		}
		var block Block
		for err == nil {
			err = rd.Next(&block)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}
