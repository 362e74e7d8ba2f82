package edf

import (
	"bytes"
	"fmt"
	"strings"
)

// file is what the tests' own writer of EDF and BDF makes.
type file struct {
	bdf                            bool
	reserved, patient, recording   string
	date, clock, records, duration string
	signals                        []sig
	data                           [][]any // [record][signal]: []int32 samples or a string of TALs
}

type sig struct {
	label, unit, prefilter         string
	physMin, physMax, digMin, digM string
	samples                        int
}

func (f *file) bytes() []byte {
	var b bytes.Buffer
	put := func(s string, n int) {
		b.WriteString((s + strings.Repeat(" ", n))[:n])
	}
	if f.bdf {
		b.WriteString("\xffBIOSEMI")
	} else {
		put("0", 8)
	}
	put(f.patient, 80)
	put(f.recording, 80)
	put(f.date, 8)
	put(f.clock, 8)
	put(fmt.Sprint(256*(len(f.signals)+1)), 8)
	put(f.reserved, 44)
	put(f.records, 8)
	put(f.duration, 8)
	put(fmt.Sprint(len(f.signals)), 4)
	for _, c := range []struct {
		n   int
		get func(s *sig) string
	}{
		{16, func(s *sig) string { return s.label }},
		{80, func(*sig) string { return "" }},
		{8, func(s *sig) string { return s.unit }},
		{8, func(s *sig) string { return s.physMin }},
		{8, func(s *sig) string { return s.physMax }},
		{8, func(s *sig) string { return s.digMin }},
		{8, func(s *sig) string { return s.digM }},
		{80, func(s *sig) string { return s.prefilter }},
		{8, func(s *sig) string { return fmt.Sprint(s.samples) }},
		{32, func(*sig) string { return "" }},
	} {
		for i := range f.signals {
			put(c.get(&f.signals[i]), c.n)
		}
	}
	width := 2
	if f.bdf {
		width = 3
	}
	for _, record := range f.data {
		for i, part := range record {
			switch v := part.(type) {
			case []int32:
				for _, n := range v {
					for k := range width {
						b.WriteByte(byte(n >> (8 * k)))
					}
				}
			case string:
				raw := make([]byte, width*f.signals[i].samples)
				copy(raw, v)
				b.Write(raw)
			}
		}
	}
	return b.Bytes()
}

// holter is two leads at 4 samples a record of 10 ms, a pressure at 1, and annotations.
func holter() *file {
	f := &file{
		reserved: "EDF+C", patient: "P-17 F 02-AUG-1951 Zhang_San insulin", recording: "Startdate 02-MAR-2002 ORD_9 NN Recorder_5",
		date: "02.03.02", clock: "20.10.05", records: "3", duration: "0,01",
		signals: []sig{
			{"ECG I", "\xb5V", "HP:0,05Hz LP:150Hz N:50Hz", "-3276,8", "3276,7", "-32768", "32767", 4},
			{"II", "mV", "", "-5", "5", "-2048", "2047", 4},
			{"ABP", "mmHg", "", "0", "300", "0", "3000", 1},
			{"EDF Annotations", "", "", "-1", "1", "-32768", "32767", 40},
		},
	}
	for k := range int32(3) {
		f.data = append(f.data, []any{
			[]int32{k*4 + 1, -2, 32767, -32768}, []int32{k, 100, -100, 2047}, []int32{900 + k}, tal(float64(k)*0.01, ""),
		})
	}
	return f
}

func tal(onset float64, more string) string { return fmt.Sprintf("%+g\x14\x14\x00", onset) + more }
