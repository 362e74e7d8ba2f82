package jsonout

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

func TestWrite(t *testing.T) {
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: ecg.Int(500), Leads: []ecg.Lead{
		{Name: "I", Unit: ecg.Microvolt, Scale: ecg.Int(5)}, {Name: "II", Unit: ecg.Microvolt, Scale: ecg.Int(5), Start: 1},
	}}
	first := make([]int32, 10_000)
	for i := range first {
		first[i] = int32(i)
	}
	g.Memory([][]int32{first, {7, 8}}, [][]bool{nil, {false, true}})
	rec := &ecg.Recording{Format: sniff.MUSE, Patient: ecg.Patient{Name: "张三<&>"}, Groups: []*ecg.Group{g, {Kind: ecg.Median, Rate: ecg.Int(500)}}}
	for _, opt := range []Options{{}, {Hashes: true}, {Samples: true}, {Samples: true, Hashes: true}} {
		var w bytes.Buffer
		if err := Write(&w, rec, opt); err != nil {
			t.Fatal(err)
		}
		var got struct {
			ecg.Summary
			Samples []struct {
				Group int
				Leads []struct {
					Name   string
					Counts []*int32
				}
			}
		}
		if err := json.Unmarshal(w.Bytes(), &got); err != nil {
			t.Fatalf("%v in %s", err, w.Bytes())
		}
		if got.Patient.Name != rec.Patient.Name || len(got.Groups) != 2 || opt.Hashes != (got.Groups[0].Leads[0].CountsSHA256 != "") || !bytes.Contains(w.Bytes(), []byte("张三<&>")) {
			t.Errorf("%+v", got.Summary)
		}
		if !opt.Samples {
			if got.Samples != nil {
				t.Error("samples that nobody asked for")
			}
			continue
		}
		if len(got.Samples) != 2 || len(got.Samples[0].Leads) != 2 || len(got.Samples[0].Leads[0].Counts) != 10_000 {
			t.Fatalf("%d groups", len(got.Samples))
		}
		for i, v := range got.Samples[0].Leads[0].Counts {
			if v == nil || *v != int32(i) {
				t.Fatalf("sample %d is %v", i, v)
			}
		}
		second := got.Samples[0].Leads[1].Counts
		if second[0] != nil || *second[1] != 7 || second[2] != nil || second[3] != nil {
			t.Errorf("missing samples: %v", second[:4])
		}
	}
}
