package records

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
)

func int16s(raw []byte, into []int32, miss func(int)) {
	for i := range into {
		into[i] = int32(int16(binary.LittleEndian.Uint16(raw[2*i:])))
		if into[i] == -32768 {
			miss(i)
		}
	}
}

// TestLayouts reads the same numbers from records of any shape: small, larger than a block, larger than a read.
func TestLayouts(t *testing.T) {
	for _, samples := range []int64{1, 7, 1000, 4096, 4097, 9000, 70000} {
		const leads = 2
		for _, pad := range []int64{0, 3, 300 << 10} { // bytes of other channels in each record
			record := samples*2*leads + pad
			n := max(2, 20000/samples)
			if pad > 1000 {
				n = min(n, 5)
			}
			data := make([]byte, record*n)
			want := func(lead, at int64) int16 { return int16((at*7 + lead*13) % 30000) }
			for k := range n {
				for l := range int64(leads) {
					for j := range samples {
						binary.LittleEndian.PutUint16(data[k*record+l*samples*2+j*2:], uint16(want(l, k*samples+j)))
					}
				}
			}
			// A gap of 5 samples behind the first record.
			layout := Layout{At: bytes.NewReader(data), RecordBytes: record, Samples: samples, Channels: []Channel{
				{0, 2, int16s}, {samples * 2, 2, int16s},
			}, Runs: []Run{{0, 1, 2}, {record, n - 1, samples + 7}}}
			if err := layout.Check(int64(len(data))); err != nil {
				t.Fatal(err)
			}
			g := &ecg.Group{Kind: ecg.OtherSignals, Rate: ecg.Int(500), Leads: []ecg.Lead{{Scale: ecg.Int(1)}, {Scale: ecg.Int(1)}}}
			layout.Stream(g)
			ecgtest.ReadGroup(t, 0, g)
			counts, missing, err := g.ReadAll(1 << 24)
			if err != nil {
				t.Fatal(err)
			}
			for l := range counts {
				at := int64(0)
				for i, v := range counts[l] {
					gap := int64(i) < 2 || int64(i) >= 2+samples && int64(i) < samples+7
					if missing[l][i] != gap {
						t.Fatalf("records of %d+%d: sample %d missing: %t", samples, pad, i, !gap)
					}
					if gap {
						continue
					}
					if v != int32(want(int64(l), at)) {
						t.Fatalf("records of %d+%d: lead %d sample %d is %d, want %d", samples, pad, l, i, v, want(int64(l), at))
					}
					at++
				}
				if at != n*samples {
					t.Fatalf("%d samples, want %d", at, n*samples)
				}
			}
		}
	}
}

func TestCheck(t *testing.T) {
	good := func() Layout {
		return Layout{At: bytes.NewReader(nil), RecordBytes: 8, Samples: 4, Channels: []Channel{{0, 2, int16s}}, Runs: []Run{{0, 2, 0}}}
	}
	for name, spoil := range map[string]func(*Layout){
		"no leads":        func(l *Layout) { l.Channels = nil },
		"negative":        func(l *Layout) { l.RecordBytes = -1 },
		"no samples":      func(l *Layout) { l.Samples = 0 },
		"lead beyond":     func(l *Layout) { l.Channels[0].Offset = 1 },
		"lead far beyond": func(l *Layout) { l.Channels[0].Offset = 1 << 62 },
		"run beyond":      func(l *Layout) { l.Runs[0].Records = 3 },
		"run huge":        func(l *Layout) { l.Runs[0].Records = 1 << 62 },
		"run before":      func(l *Layout) { l.Runs[0].Offset = -8 },
		"overlap":         func(l *Layout) { l.Runs = append(l.Runs, Run{0, 1, 7}) },
	} {
		l := good()
		if err := l.Check(16); err != nil {
			t.Fatal(err)
		}
		spoil(&l)
		if l.Check(16) == nil {
			t.Errorf("%s: passes", name)
		}
	}
}
