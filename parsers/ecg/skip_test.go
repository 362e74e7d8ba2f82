package ecg

import (
	"io"
	"testing"
)

// TestSkipTo: after a skip every sample is what it is when all are read, derived leads among them.
func TestSkipTo(t *testing.T) {
	stream := holter(50_000)
	memory := holter(50_000)
	counts, _, err := memory.Groups[0].ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	memory.Groups[0].Memory(counts, nil)
	for name, rec := range map[string]*Recording{"stream": stream, "memory": memory} {
		if err := rec.Complete(); err != nil {
			t.Fatal(err)
		}
		g := rec.Groups[0]
		all, _, err := g.ReadAll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []int64{0, 1, 4095, 4096, 33_333, 49_999, 50_000, 1 << 40, -5} {
			r, err := g.Samples()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.(Skipper).SkipTo(to); err != nil {
				t.Fatal(err)
			}
			var b Block
			if err := r.Next(&b); to >= 50_000 {
				if err != io.EOF {
					t.Errorf("%s: behind the end: %v", name, err)
				}
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			if b.Start > max(0, to) || b.Start+int64(b.Len) <= max(0, to) {
				t.Errorf("%s: block from %d to %d for sample %d", name, b.Start, b.Start+int64(b.Len), to)
			}
			for l := range all {
				for i := range b.Len {
					if b.Counts[l][i] != all[l][b.Start+int64(i)] {
						t.Fatalf("%s: lead %d, sample %d differs after a skip to %d", name, l, b.Start+int64(i), to)
					}
				}
			}
		}
	}
}
