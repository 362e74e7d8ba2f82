package httpbody

import (
	"strings"
	"testing"
)

func TestParseMediaType(t *testing.T) {
	for in, want := range map[string]string{ // type|type parameter|boundary
		`multipart/related; type="application/dicom"; boundary=x`:   "multipart/related|application/dicom|x",
		`multipart/related;type=application/dicom;boundary="x y;z"`: "multipart/related|application/dicom|x y;z",
		`Multipart/Related; TYPE=a/b; Boundary="x\"y"`:              `multipart/related|a/b|x"y`,
		`multipart/related; boundary=a; boundary=b`:                 "multipart/related||a",
		`application/dicom`:  "application/dicom||",
		`application/dicom;`: "application/dicom||",
		``:                   "-",
		`dicom`:              "-",
		`a b/c`:              "-",
		`/`:                  "-",
	} {
		m, ok := ParseMediaType(in)
		got := "-"
		if ok {
			got = m.Type + "|" + m.Params["type"] + "|" + m.Params["boundary"]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestValidBoundary(t *testing.T) {
	for s, want := range map[string]bool{
		"x": true, "----WebKitFormBoundary7MA4YWxkTrZu0gW": true, "a b": true, strings.Repeat("x", 70): true,
		"9e2dfdcc-1804-4d20-bb83-b14e5b51f961-9e2dfdcc-1804-4d20-bb83-b14e5b51f961": true, strings.Repeat("x", 256): true,
		"": false, strings.Repeat("x", 257): false, strings.Repeat("x", 70_000): false, "a ": false, "a\r\nb": false, "a\"b": false, "ü": false,
	} {
		if ValidBoundary(s) != want {
			t.Errorf("%.80q: %v, want %v", s, !want, want)
		}
	}
}

func TestPreferred(t *testing.T) {
	const j, x = "application/dicom+json", "application/dicom+xml"
	for in, want := range map[string]string{
		"": j, "*/*": j, j: j, x: x, "application/*": j, x + ", " + j: j,
		j + ";q=0.5, " + x:                    x,
		"*/*;q=0.1, " + x + ";q=0":            j,
		"text/html":                           "",
		j + ";q=0":                            "",
		j + ";q=x":                            "",
		"text/html, */*;q=0.8":                j,
		`multipart/related; type="` + x + `"`: "",
		"garbage":                             "",
	} {
		if got := Preferred([]string{in}, j, x); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
