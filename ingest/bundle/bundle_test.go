package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const header = "100 2 360 650000 0:0:0 0/0/0\n100.dat 212 200 11 1024 995 -22131 0 MLII\r\n100.dat 212 200 11 1024 1011 20052 0 V5\n# 69 M\n"

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		header:                               "100.dat",
		"a 2 500\nsub/a1.dat 16\na2.mat 16":  "a1.dat a2.mat",
		"m/3 2 250 100\ns1 50\n~ 10\ns2 40":  "s1.hea s2.hea",
		"# c\n\nx 2\n~ 16\ny.dat 16":         "y.dat",
		"x 1\nx.dat 16\nnot a signal at all": "x.dat",
		"x 0":                                "",
	} {
		names, err := Names([]byte(text))
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%.20q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]reject.Code{
		"x 1\n../../etc/passwd 16": reject.UnsupportedFormat, "x 1\n/etc/passwd 16": reject.UnsupportedFormat,
		"x 1\nc:\\x 16": reject.UnsupportedFormat, "x 1\nhttp://h/x.dat 16": reject.UnsupportedFormat, "x 1\n.. 16": reject.UnsupportedFormat,
		"x 2\nx.dat 16": reject.Truncated, "": reject.Truncated, "x": reject.Malformed, "x y": reject.Malformed, "x -1": reject.Malformed,
		"x 1\n" + strings.Repeat("y", maxLine+1): reject.Malformed,
	} {
		if names, err := Names([]byte(text)); reject.CodeOf(err) != want || err == nil {
			t.Errorf("%.20q: %v, %v; want %s", text, names, err, want)
		}
	}
}

func wfdb(name, text string) Candidate {
	return Candidate{Name: name, Format: sniff.WFDBHeader, Header: []byte(text)}
}

func blob(name string) Candidate { return Candidate{Name: name, Format: sniff.Unknown} }

func TestRecords(t *testing.T) {
	for name, c := range map[string]struct {
		in   []Candidate
		want string
	}{
		"a record":            {[]Candidate{blob("100.dat"), wfdb("100.hea", header), blob("100.atr"), blob("101.dat")}, "100.hea: 100.atr 100.dat"},
		"its signals to come": {[]Candidate{wfdb("100.hea", header), blob("100.atr")}, "100.hea: 100.atr (100.dat)"},
		"other case":          {[]Candidate{wfdb("100.HEA", header), blob("100.DAT")}, "100.HEA: 100.DAT"},
		"segments": {
			[]Candidate{wfdb("m.hea", "m/2 1 250\ns1 5\ns2 5"), wfdb("s1.hea", "s1 1\ns1.dat 16"), wfdb("s2.hea", "s2 1\ns2.dat 16"), blob("s1.dat")},
			"m.hea: s1.dat s1.hea s2.hea (s2.dat)",
		},
		"two over one file": {[]Candidate{wfdb("a.hea", "a 1\nx.dat 16"), wfdb("b.hea", "b 1\nx.dat 16"), blob("x.dat")}, "a.hea: x.dat; b.hea: x.dat"},
		"names itself":      {[]Candidate{wfdb("a.hea", "a/1 1\na 5")}, ""},
		"leads out":         {[]Candidate{wfdb("a.hea", "a 1\n../a.dat 16"), blob("a.dat")}, ""},
		"ISHNE": {
			[]Candidate{{Name: "A.ECG", Format: sniff.ISHNE}, {Name: "a.ann", Format: sniff.ISHNEAnn}, {Name: "b.ann", Format: sniff.ISHNEAnn}, {Name: "c.ecg", Format: sniff.ISHNE}},
			"A.ECG: a.ann",
		},
		"a named DICOM file is none of its own": {[]Candidate{wfdb("a.hea", "a 1\na.dcm 16"), {Name: "a.dcm", Format: sniff.DICOM}}, "a.hea: a.dcm"},
	} {
		var got []string
		for _, r := range Records(c.in) {
			s := r.Main + ": " + strings.Join(r.Parts, " ")
			if len(r.Missing) > 0 {
				s += " (" + strings.Join(r.Missing, " ") + ")"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
}

func file(name, text string) File {
	return File{name, int64(len(text)), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// TestTar: standard tar reads back every file, in one order, whatever the order given; and twice the same bytes.
func TestTar(t *testing.T) {
	for _, parts := range [][]File{
		{file("b.dat", strings.Repeat("x", 512)), file("心电.atr", "y"), file(strings.Repeat("n", 150), ""), file("a.dat", strings.Repeat("z", 1000))},
	} {
		var first []byte
		for turn := range parts {
			parts = append(parts[1:], parts[0])
			b, err := New(file("m.hea", header), append([]File{}, parts...))
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(iotest.OneByteReader(b))
			if err != nil || int64(len(data)) != b.Size() || b.Close() != nil {
				t.Fatal(len(data), b.Size(), err)
			}
			if turn == 0 {
				first = data
			} else if !bytes.Equal(first, data) {
				t.Error("another order makes another object")
			}
		}
		if f := sniff.Detect(first); f != sniff.TAR {
			t.Errorf("it looks like %s", f)
		}
		r := tar.NewReader(bytes.NewReader(first))
		var names []string
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, h.Name)
			for _, f := range parts {
				body, _ := f.Open()
				if want, _ := io.ReadAll(body); f.Name == h.Name && !bytes.Equal(want, text) {
					t.Errorf("%s comes back as %d bytes", f.Name, len(text))
				}
			}
		}
		if got := strings.Join(names, " "); got != "m.hea a.dat b.dat "+strings.Repeat("n", 150)+" 心电.atr" {
			t.Error(got)
		}
	}
}

func TestTarOfFilesThatChange(t *testing.T) {
	for name, f := range map[string]File{
		"shorter": {"a", 5, file("a", "1234").Open},
		"longer":  {"a", 3, file("a", "1234").Open},
		"gone":    {"a", 3, func() (io.ReadCloser, error) { return nil, errors.New("gone") }},
		"said so at its end": {"a", 3, func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("123"), iotest.ErrReader(errors.New("changed")))), nil
		}},
	} {
		b, err := New(file("m.hea", header), []File{f})
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(b); err == nil {
			t.Errorf("%s: %d bytes", name, len(data))
		}
		b.Close()
	}
	for _, parts := range [][]File{{file("m.hea", "")}, {file("a", ""), file("a", "")}, {file("../a", "")}, {file("", "")}} {
		if _, err := New(file("m.hea", header), parts); err == nil {
			t.Errorf("%+v", parts)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add([]byte(header))
	f.Add([]byte("m/3 2 250 100\ns1 50\n~ 10\ns2 40"))
	f.Fuzz(func(t *testing.T, in []byte) {
		names, err := Names(in)
		if err != nil && reject.CodeOf(err) == reject.Internal {
			t.Fatal(err)
		}
		for _, n := range names {
			if n == "" || n == ".." || strings.ContainsAny(n, "/\\\x00") {
				t.Fatalf("%q is no base name", n)
			}
		}
		Records([]Candidate{{Name: "a.hea", Format: sniff.WFDBHeader, Header: in}, {Name: "a.dat", Format: sniff.Unknown}})
	})
}
