package dicomweb

import (
	"strings"
	"testing"
)

func TestChoices(t *testing.T) {
	frame := []offer{{true, typeOctetStream}, {true, "image/jpeg"}, {false, typeOctetStream}, {false, "image/jpeg"}}
	bulk := []offer{{false, typeOctetStream}, {true, typeOctetStream}}
	for _, c := range []struct {
		accept string
		offers []offer
		want   string // the favourite, "" for none
	}{
		{"", jsonOffers, typeDICOMJSON},
		{"application/dicom+json", jsonOffers, typeDICOMJSON},
		{"application/json", jsonOffers, typeJSON},
		{"*/*", jsonOffers, typeDICOMJSON},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", jsonOffers, typeDICOMJSON},
		{`application/dicom+json, multipart/related; type="application/octet-stream"`, jsonOffers, typeDICOMJSON},
		{`multipart/related; type="application/dicom+xml"`, jsonOffers, ""},
		{`multipart/related; type="application/dicom+xml", application/json;q=0.5`, jsonOffers, typeJSON},
		{"application/dicom+json;q=0, */*", jsonOffers, typeJSON},
		{"application/*", jsonOffers, typeDICOMJSON},
		{"APPLICATION/DICOM+JSON", jsonOffers, typeDICOMJSON},
		{"text/html", jsonOffers, ""},
		{"*; q=.2", jsonOffers, typeDICOMJSON},
		{"garbage", jsonOffers, typeDICOMJSON},

		{"multipart/related; type=application/octet-stream; transfer-syntax=*", frame, `multipart/related; type="application/octet-stream"`},
		{`multipart/related; type="application/octet-stream"; transfer-syntax="*"`, frame, `multipart/related; type="application/octet-stream"`},
		{`multipart/related; type="image/jpeg"`, frame, `multipart/related; type="image/jpeg"`},
		{`multipart/related; type="image/*"`, frame, `multipart/related; type="image/jpeg"`},
		{"multipart/related", frame, `multipart/related; type="application/octet-stream"`},
		{"image/jpeg", frame, "image/jpeg"},
		{"application/octet-stream", frame, "application/octet-stream"},
		{"*/*;q=0.1, image/jpeg;q=0.9", frame, "image/jpeg"},
		{"*/*, image/jpeg", frame, "image/jpeg"},
		{"image/png", frame, ""},

		{"application/octet-stream", bulk, typeOctetStream},
		{"*/*", bulk, typeOctetStream},
		{`multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"`, bulk, `multipart/related; type="application/octet-stream"`},
	} {
		var values []string
		if c.accept != "" {
			values = []string{c.accept}
		}
		got := ""
		if taken := choices(parseAccept(values), c.offers); len(taken) > 0 {
			got = taken[0].String()
		}
		if got != c.want {
			t.Errorf("%q: chose %q, want %q", c.accept, got, c.want)
		}
	}
}

func TestSyntaxTaken(t *testing.T) {
	o := offer{true, typeDICOM}
	for accept, want := range map[string]bool{
		`multipart/related; type="application/dicom"`:                                         true,
		`multipart/related; type="application/dicom"; transfer-syntax=*`:                      true,
		`multipart/related; type="application/dicom"; transfer-syntax="1.2.840.10008.1.2.5"`:  true,
		`multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1`:    false,
		`multipart/related; type=application/dicom; transfer-syntax=1.2, */*`:                 true,
		`multipart/related; type=application/dicom; transfer-syntax=1.2, application/dicom`:   false,
		`multipart/related; type=application/dicom; transfer-syntax=*;q=0, application/dicom`: false,
	} {
		if got := syntaxTaken(parseAccept([]string{accept}), o, "1.2.840.10008.1.2.5"); got != want {
			t.Errorf("%s: %v, want %v", accept, got, want)
		}
	}
}

func FuzzParseAccept(f *testing.F) {
	f.Add("application/dicom+json, multipart/related; type=\"application/dicom+xml\";q=0.5")
	f.Add(`a/b;x="\"",*/*;q=0.001;;;=`)
	f.Add(strings.Repeat("a/b,", 1000))
	f.Fuzz(func(t *testing.T, s string) {
		got := parseAccept([]string{s, s})
		if len(got) == 0 || len(got) > maxAcceptRanges {
			t.Fatalf("%d ranges", len(got))
		}
		for i, m := range got {
			if m.q < 0 || m.q > 1000 || i > 0 && got[i-1].q < m.q || !strings.Contains(m.name, "/") {
				t.Fatalf("range %d: %+v after %+v", i, m, got[max(i-1, 0)])
			}
		}
		choices(got, jsonOffers)
	})
}
