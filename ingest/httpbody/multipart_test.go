package httpbody

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

type gotPart struct{ header, body string }

func readAll(r io.Reader, boundary string, l Limits) (parts []gotPart, err error) {
	m := NewReader(r, boundary, l)
	for {
		p, err := m.Next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return parts, err
		}
		b, err := io.ReadAll(p)
		parts = append(parts, gotPart{p.Header.Get("Content-Type"), string(b)})
		if err != nil {
			return parts, err
		}
	}
}

func TestReader(t *testing.T) {
	long := strings.Repeat("\r\n--", 70_000)
	for name, tc := range map[string]struct {
		in   string
		want []gotPart
		err  string // "" for none, "cut", or a code
	}{
		"one":              {"--b\r\nContent-Type: a/b\r\n\r\nhello\r\n--b--\r\n", []gotPart{{"a/b", "hello"}}, ""},
		"no trailing line": {"--b\r\n\r\nhello\r\n--b--", []gotPart{{"", "hello"}}, ""},
		"preamble":         {"hi\r\n--bb no\r\n\r\n--b\r\n\r\nx\r\n--b--", []gotPart{{"", "x"}}, ""},
		"epilogue":         {"--b\r\n\r\nx\r\n--b--\r\n--b\r\nignored", []gotPart{{"", "x"}}, ""},
		"two":              {"--b\r\n\r\nx\r\n--b \t\r\n\r\ny\r\n\r\n--b--", []gotPart{{"", "x"}, {"", "y\r\n"}}, ""},
		"empty part":       {"--b\r\nA: 1\r\n\r\n--b\r\n\r\n\r\n--b--", []gotPart{{"", ""}, {"", ""}}, ""},
		"line feeds":       {"--b\nContent-Type: a/b\n\nx\ny\n--b--\n", []gotPart{{"a/b", "x\ny"}}, ""},
		"longer boundary":  {"--b\r\n\r\nx\r\n--bc\r\n--b-\r\n--b--", []gotPart{{"", "x\r\n--bc\r\n--b-"}}, ""},
		"folded header":    {"--b\r\nContent-Type: a/b;\r\n c=d\r\n\r\nx\r\n--b--", []gotPart{{"a/b; c=d", "x"}}, ""},
		"near boundaries":  {"--b\r\n\r\n" + long + "\r\n--b--", []gotPart{{"", long}}, ""},
		"no parts":         {"--b--\r\n", nil, ""},
		"empty body":       {"", nil, "cut"},
		"no boundary":      {"hello", nil, "cut"},
		"cut in data":      {"--b\r\n\r\nhello", []gotPart{{"", "hello"}}, "cut"},
		"cut in boundary":  {"--b\r\n\r\nhello\r\n-", []gotPart{{"", "hello\r\n-"}}, "cut"},
		"cut in header":    {"--b\r\nA: 1\r\n", nil, "cut"},
		"garbage after":    {"--b\r\n\r\nx\r\n--b y\r\n", []gotPart{{"", "x"}}, string(reject.Malformed)},
		"no field":         {"--b\r\nhello\r\n\r\nx\r\n--b--", nil, string(reject.Malformed)},
		"space in name":    {"--b\r\nA : 1\r\n\r\nx\r\n--b--", nil, string(reject.Malformed)},
		"fold first":       {"--b\r\n A: 1\r\n\r\nx\r\n--b--", nil, string(reject.Malformed)},
		"many fields":      {"--b\r\n" + strings.Repeat("A: 1\r\n", 65) + "\r\nx\r\n--b--", nil, string(reject.Malformed)},
		"long field":       {"--b\r\nA: " + strings.Repeat("x", 20_000) + "\r\n\r\nx\r\n--b--", nil, string(reject.Malformed)},
		"long preamble":    {strings.Repeat("hello\r\n", 20_000), nil, string(reject.Malformed)},
		"endless line":     {strings.Repeat("x", 200_000), nil, string(reject.Malformed)},
		"padding":          {"--b" + strings.Repeat(" ", 2000) + "\r\n\r\nx\r\n--b--", nil, string(reject.Malformed)},
		"too many":         {strings.Repeat("--b\r\n\r\nx\r\n", 5) + "--b--", []gotPart{{"", "x"}, {"", "x"}, {"", "x"}, {"", "x"}}, string(reject.TooLarge)},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":    func(r io.Reader) io.Reader { return r },
			"bytewise": iotest.OneByteReader,
			"dataerr":  iotest.DataErrReader,
		} {
			if how == "bytewise" && len(tc.in) > 250_000 {
				continue
			}
			t.Run(name+"/"+how, func(t *testing.T) {
				got, err := readAll(wrap(strings.NewReader(tc.in)), "b", Limits{Parts: 4})
				if fmt.Sprint(got) != fmt.Sprint(tc.want) {
					t.Errorf("parts = %.200q, want %.200q", got, tc.want)
				}
				switch {
				case tc.err == "" && err != nil, tc.err == "cut" && !errors.Is(err, io.ErrUnexpectedEOF):
					t.Errorf("error %v, want %q", err, tc.err)
				case tc.err != "" && tc.err != "cut" && string(reject.CodeOf(err)) != tc.err:
					t.Errorf("error %v, want %q", err, tc.err)
				}
			})
		}
	}
}

func TestReaderSkipsUnreadParts(t *testing.T) {
	big := strings.Repeat("x\r\n--bogus", 50_000)
	m := NewReader(strings.NewReader("--b\r\n\r\n"+big+"\r\n--b\r\n\r\ny\r\n--b--"), "b", Limits{})
	if _, err := m.Next(); err != nil {
		t.Fatal(err)
	}
	p, err := m.Next()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(p); string(b) != "y" || err != nil {
		t.Fatalf("second part %q, %v", b, err)
	}
}

func TestReaderKeepsBodyError(t *testing.T) {
	boom := reject.New(reject.TooLarge, "guard", "limit")
	r := io.MultiReader(strings.NewReader("--b\r\n\r\nhello"), iotest.ErrReader(boom))
	m := NewReader(r, "b", Limits{})
	p, err := m.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(p); !errors.Is(err, boom) {
		t.Errorf("Read: %v", err)
	}
	if _, err := m.Next(); !errors.Is(err, boom) {
		t.Errorf("Next: %v", err)
	}
}

// FuzzReader compares with mime/multipart: what it reads to the end, we read with the same parts, and
// what we read, it reads alike.
func FuzzReader(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Type: a/b\r\n\r\nhello\r\n--b\r\n\r\n\r\n--b--\r\n"), "b")
	f.Add([]byte("--b\n\nx\ny\n--b--\n"), "b")
	f.Add([]byte("pre\r\n--b  \r\n\r\nx\r\n--bx\r\n--b-\r\n--b--"), "b")
	f.Add([]byte("--b\r\n\r\n--b\r\n\r\nx\r\n--b"), "b")
	f.Fuzz(func(t *testing.T, in []byte, boundary string) {
		if !ValidBoundary(boundary) {
			return
		}
		want, wantErr := readStd(in, boundary)
		got, gotErr := readAll(bytes.NewReader(in), boundary, Limits{})
		again, againErr := readAll(iotest.HalfReader(bytes.NewReader(in)), boundary, Limits{})
		if fmt.Sprint(got) != fmt.Sprint(again) || fmt.Sprint(gotErr) != fmt.Sprint(againErr) {
			t.Fatalf("the way of reading matters: %q %v; %q %v", got, gotErr, again, againErr)
		}
		if wantErr == nil && gotErr == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("parts %q, mime/multipart %q", got, want)
		}
		for i := range min(len(got), len(want)) { // also what came before an error
			if gotErr == nil && got[i].body != want[i].body {
				t.Fatalf("part %d: %q, mime/multipart %q", i, got[i].body, want[i].body)
			}
		}
	})
}

// FuzzRoundTrip writes parts with mime/multipart and reads them back.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), []byte("\r\n--x"), 7)
	f.Fuzz(func(t *testing.T, a, b []byte, chunk int) {
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		for _, body := range [][]byte{a, b, nil} {
			p, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
			if err != nil {
				t.Fatal(err)
			}
			p.Write(body)
		}
		w.Close()
		want := []gotPart{{"application/dicom", string(a)}, {"application/dicom", string(b)}, {"application/dicom", ""}}
		got, err := readAll(&stutter{&buf, max(1, chunk%100)}, w.Boundary(), Limits{})
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

type stutter struct {
	r io.Reader
	n int
}

func (s *stutter) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }

func readStd(in []byte, boundary string) (parts []gotPart, err error) {
	m := multipart.NewReader(bytes.NewReader(in), boundary)
	for {
		p, err := m.NextRawPart()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return parts, err
		}
		b, err := io.ReadAll(p)
		parts = append(parts, gotPart{p.Header.Get("Content-Type"), string(b)})
		if err != nil {
			return parts, err
		}
	}
}

func benchBody(fill func(i int) byte) ([]byte, string) {
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	data := make([]byte, 16<<20)
	for i := range data {
		data[i] = fill(i)
	}
	for range 2 {
		p, _ := w.CreatePart(nil)
		p.Write(data)
	}
	w.Close()
	return buf.Bytes(), w.Boundary()
}

func BenchmarkReader(b *testing.B) {
	seed := uint32(1)
	for name, fill := range map[string]func(int) byte{
		"noise":   func(int) byte { seed = seed*1664525 + 1013904223; return byte(seed >> 24) },
		"hostile": func(i int) byte { return "\r\n--\r"[i%5] },
	} {
		in, boundary := benchBody(fill)
		sink := make([]byte, 128<<10)
		b.Run(name+"/ours", func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				m := NewReader(bytes.NewReader(in), boundary, Limits{})
				for {
					p, err := m.Next()
					if err != nil {
						break
					}
					drain(p, sink)
				}
			}
		})
		b.Run(name+"/mime", func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				m := multipart.NewReader(bytes.NewReader(in), boundary)
				for {
					p, err := m.NextRawPart()
					if err != nil {
						break
					}
					drain(p, sink)
				}
			}
		})
	}
}

func drain(r io.Reader, sink []byte) {
	for {
		if _, err := r.Read(sink); err != nil {
			return
		}
	}
}
