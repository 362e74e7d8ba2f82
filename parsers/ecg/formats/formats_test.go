package formats

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// TestCorpus sends every file of the corpus, whatever it is, through Decode: a recording that keeps the
// model's promises, or a refusal with a reason.
func TestCorpus(t *testing.T) {
	root := ecgtest.Corpus(t)
	read := map[sniff.Format]int{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rec, err := Decode(ecgtest.Open(t, path), ecg.Limits{})
		if err != nil {
			var refusal *reject.Error
			if !errors.As(err, &refusal) || refusal.Code == reject.Internal {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		}
		read[rec.Format]++
		sum, err := rec.Summarize(true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		for i, g := range rec.Groups {
			ecgtest.ReadGroup(t, i, g)
			if len(sum.Groups[i].Leads) != len(g.Leads) {
				t.Errorf("%s: the summary lost leads", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for f := range decoders {
		if read[f] == 0 && inCorpus[f] {
			t.Errorf("no %s of the corpus was read", f)
		}
	}
	t.Log(read)
}

// inCorpus are the formats of which the corpus has files.
var inCorpus = map[sniff.Format]bool{
	sniff.DICOM: true, sniff.AECG: true, sniff.MUSE: true, sniff.Sierra: true, sniff.CardioSoft: true, sniff.SCPECG: true, sniff.HealForce: true,
	sniff.Contec: true, sniff.PDF: true, sniff.FHIR: true, sniff.EDF: true, sniff.BDF: true, sniff.ISHNE: true, sniff.MFER: true, sniff.WFDBHeader: true,
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]reject.Code{
		"": reject.Empty, "hello": reject.UnsupportedFormat, "\xff\xd8\xff": reject.UnsupportedFormat, "<html/>": reject.UnsupportedFormat,
		`<!DOCTYPE RestingECG [<!ENTITY a "b">]><RestingECG>&a;</RestingECG>`: reject.Malformed,
		"<RestingECG>" + strings.Repeat("<a>", 1000):                          reject.TooDeep,
	} {
		if _, err := Decode(ecgtest.Source("", []byte(text)), ecg.Limits{}); err == nil || reject.CodeOf(err) != want {
			t.Errorf("%.30q: %v, want %s", text, err, want)
		}
	}
	for _, f := range Formats() {
		if Decoder(f) == nil {
			t.Errorf("%s has no decoder", f)
		}
	}
}

// TestLimbLeads: what comes out of Decode has its limb leads.
func TestLimbLeads(t *testing.T) {
	rec, err := Decode(ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "muse", "braveheart_example1.xml")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"III", "aVR", "aVL", "aVF"} {
		for _, g := range rec.Groups {
			if l, _ := g.Lead(name); l == nil || !l.Derived || l.Length != g.Length {
				t.Errorf("%s of the %s: %+v", name, g.Kind, l)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("<RestingECG/>"))
	f.Add([]byte("ISHNE1.0"))
	f.Add([]byte("0       "))
	f.Add([]byte("100 2 360 650000\n100.dat 212 200 11\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rec, err := Decode(ecgtest.Source("", in), ecg.Limits{Samples: 1 << 18})
		var refusal *reject.Error
		if err != nil && (!errors.As(err, &refusal) || refusal.Code == reject.Internal) {
			t.Fatal(err)
		}
		if err == nil && rec.Validate(ecg.Limits{}) != nil {
			t.Fatal("passed and is not valid")
		}
	})
}
