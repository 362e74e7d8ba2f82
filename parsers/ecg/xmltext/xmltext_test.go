package xmltext

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func file(b []byte) ecg.File { return ecg.File{At: bytes.NewReader(b), Size: int64(len(b))} }

// flat writes tokens as text: <a x=1>[text]</a>.
func flat(b []byte, lim ecg.Limits) (string, error) {
	r, err := New(file(b), lim)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		t, err := r.Next()
		if err == io.EOF {
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		switch t.Kind {
		case Start:
			out.WriteString("<" + t.Name)
			for _, a := range t.Attr {
				out.WriteString(" " + a.Name + "=" + a.Value)
			}
			out.WriteString(">")
		case End:
			out.WriteString("</" + t.Name + ">")
		case Text:
			out.WriteString("[" + t.Text + "]")
		}
	}
}

func TestTokens(t *testing.T) {
	for in, want := range map[string]string{
		`<a/>`: `<a></a>`,
		`<?xml version="1.0"?><!-- c --><a x='1' y = "2">t<b/>u</a>`:       `<a x=1 y=2>[t]<b></b>[u]</a>`,
		"\xEF\xBB\xBF<a> \r\n<b>1</b> </a>\r\n":                            `<a><b>[1]</b></a>`,
		`<h:a xmlns:h="u" xsi:type="T">&lt;&#65;&#x4E2D;&amp;&nbsp;</h:a>`: `<a h=u type=T>[<A中&&nbsp;]</a>`,
		`<a>x<![CDATA[<&>]]]>y<!-- -- <b> -->z<?pi ?></a>`:                 `<a>[x<&>]yz]</a>`,
		`<!DOCTYPE RestingECG SYSTEM "restecg.dtd"><a/>`:                   `<a></a>`,
		`<!DOCTYPE a [<!ELEMENT a (b)> ]><a/>`:                             `<a></a>`,
		"<a>one\x01two&#2;</a>\x00\x00":                                    `<a>[one two ]</a>`,
		`<a><xi:include href="file:///etc/passwd"/></a>`:                   `<a><include href=file:///etc/passwd></include></a>`,
	} {
		got, err := flat([]byte(in), ecg.Limits{})
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	deep := strings.Repeat("<a>", 1_000_000)
	for in, want := range map[string]reject.Code{
		"":                    reject.Empty,
		"<a>":                 reject.Truncated,
		"<a":                  reject.Truncated,
		"<a><b></a></b>":      reject.Malformed,
		"</a>":                reject.Malformed,
		"<a x=1/>":            reject.Malformed,
		"<a x/>":              reject.Malformed,
		"<1/>":                reject.Malformed,
		"text<a/>":            reject.Malformed,
		"<a><!DOCTYPE x></a>": reject.Malformed,
		"<!-- ":               reject.Truncated,
		"<a><![CDATA[":        reject.Truncated,
		`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`:                     reject.Malformed,
		`<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/">%x;]><a/>`:                       reject.Malformed,
		`<!DOCTYPE a [<!ENTITY l "l"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;&l;&l;">]><a>&m;</a>`: reject.Malformed,
		`<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>`:                                     reject.Malformed,
		`<!DOCTYPE a SYSTEM 'FILE:///a.dtd'><a/>`:                                              reject.Malformed,
		deep:                              reject.TooDeep,
		"<a>" + strings.Repeat("x", 2000): reject.TooLarge,
		"<a x='" + strings.Repeat("x", 2000) + "'/>":           reject.TooLarge,
		"<a><![CDATA[" + strings.Repeat("<", 2000) + "]]></a>": reject.TooLarge,
		"<" + strings.Repeat("n", 2000) + "/>":                 reject.Malformed,
		"<a " + strings.Repeat("x='' ", 300) + "/>":            reject.TooManyElements,
		`<?xml version="1.0" encoding="utf-7"?>+ADw-a/+AD4-`:   reject.Malformed,
		"\x4C\x6F\xA7\x94\x93":                                 reject.Malformed,
		"\xFF\xFE\x00\x00<\x00\x00\x00":                        reject.Malformed,
		`<?xml version="1.0" encoding="ISO-2022-JP"?><a/>`:     reject.Malformed,
	} {
		_, err := flat([]byte(in), ecg.Limits{XMLText: 1000})
		if reject.CodeOf(err) != want || err == nil {
			t.Errorf("%.60q: %v, want %s", in, err, want)
		}
	}
	if _, err := New(file(make([]byte, 2000)), ecg.Limits{XMLBytes: 1000}); reject.CodeOf(err) != reject.TooLarge {
		t.Error(err)
	}
}

func TestEncodings(t *testing.T) {
	const name = "窦性心动过缓，黎某某"
	body := `<a n="` + name + `">` + name + `</a>`
	want := `<a n=` + name + `>[` + name + `]</a>`
	enc := func(s string, e interface{ Bytes([]byte) ([]byte, error) }) []byte {
		b, err := e.Bytes([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for label, in := range map[string][]byte{
		"UTF-8":                       []byte(body),
		"UTF-8 declared UTF-16":       []byte(`<?xml version="1.0" encoding="utf-16"?>` + body),
		"UTF-16 LE":                   enc(`<?xml version="1.0" encoding="utf-16"?>`+body, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder()),
		"UTF-16 BE":                   enc(body, unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder()),
		"UTF-16 LE without mark":      enc(body, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder()),
		"UTF-16 BE declared as UTF-8": enc(`<?xml version="1.0" encoding="UTF-8"?>`+body, unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder()),
		"GBK":                         append([]byte(`<?xml version="1.0" encoding="GBK"?>`), enc(body, simplifiedchinese.GBK.NewEncoder())...),
		"GB2312":                      append([]byte(`<?xml version='1.0' encoding='gb2312'?>`), enc(body, simplifiedchinese.GBK.NewEncoder())...),
		"GB18030":                     append([]byte(`<?xml version="1.0" encoding="GB18030"?>`), enc(body, simplifiedchinese.GB18030.NewEncoder())...),
		"GBK declared UTF-8":          append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`), enc(body, simplifiedchinese.GBK.NewEncoder())...),
		"GBK undeclared":              enc(body, simplifiedchinese.GBK.NewEncoder()),
		"GBK declared Latin-1":        append([]byte(`<?xml version="1.0" encoding="ISO-8859-1"?>`), enc(body, simplifiedchinese.GBK.NewEncoder())...),
		"UTF-8 declared Latin-1":      []byte(`<?xml version="1.0" encoding="ISO-8859-1"?>` + body),
		"UTF-8 declared GBK":          []byte(`<?xml version="1.0" encoding="GBK"?>` + body),
	} {
		got, err := flat(in, ecg.Limits{})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", label, got, err)
		}
	}
	latin := append([]byte(`<?xml version="1.0" encoding="ISO-8859-1"?>`), enc(`<a>Müller, µV, José</a>`, charmap.ISO8859_1.NewEncoder())...)
	if got, err := flat(latin, ecg.Limits{}); err != nil || got != `<a>[Müller, µV, José]</a>` {
		t.Errorf("Latin-1: %q, %v", got, err)
	}
	r, err := New(file(append([]byte(`<?xml version="1.0" encoding="x-none"?>`), "<a>\xFF\xFE\xFD</a>more"...)), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = r.Next()
	}
	var rec ecg.Recording
	r.Warn(&rec)
	if err != io.EOF || len(rec.Warnings) < 2 {
		t.Errorf("%v, warnings %v", err, rec.Warnings)
	}
}

func TestTree(t *testing.T) {
	r, err := New(file([]byte(`<a><b x="1">one<c>two</c> three</b><b>four</b><d><e/></d><f>last<g>no</g></f></a>`)), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	start, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	n, err := r.Tree(start)
	if err != nil || n.Text != "one three" || n.TextAt("c") != "two" || n.Get("x") != "1" || n.At("c", "d").At("e") != nil || n.Find("c") == nil {
		t.Fatalf("%+v, %v", n, err)
	}
	for _, want := range []string{"b", "d", "f"} {
		tok, err := r.Next()
		if err != nil || tok.Name != want {
			t.Fatalf("%+v, %v", tok, err)
		}
		if want == "f" {
			if text, err := r.Text(); text != "last" || err != nil {
				t.Errorf("%q, %v", text, err)
			}
		} else if err := r.Skip(); err != nil {
			t.Fatal(err)
		}
	}
	if tok, err := r.Next(); err != nil || tok.Kind != End || r.Depth() != 0 {
		t.Errorf("%+v, %v", tok, err)
	}
	many := "<a>" + strings.Repeat("<b/>", maxNodes+1) + "</a>"
	if r, err = New(file([]byte(many)), ecg.Limits{}); err != nil {
		t.Fatal(err)
	}
	start, _ = r.Next()
	if _, err := r.Tree(start); reject.CodeOf(err) != reject.TooManyElements {
		t.Error(err)
	}
}

// TestManyPieces: text in many pieces costs no more than its length.
func TestManyPieces(t *testing.T) {
	r, err := New(file([]byte("<a>"+strings.Repeat("0123456789<b/>", 150_000)+"</a>")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	start, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	n, err := r.Tree(start)
	if err != nil || len(n.Text) != 1_500_000 || len(n.All("b")) != 150_000 {
		t.Fatal(err)
	}
}

func TestChildren(t *testing.T) {
	r, err := New(file([]byte("<a>x<b>1</b><c><d/></c>y</a>")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	var each func(Token) error
	each = func(t Token) error {
		seen = append(seen, t.Name)
		return r.Children(each)
	}
	if err := r.Children(each); err != nil || strings.Join(seen, " ") != "a b c d" {
		t.Error(seen, err)
	}
}

func TestCounts(t *testing.T) {
	counts, missing, err := Counts(" 1,-2, ,3.0\n4 5,,6", 100)
	if err != nil || len(counts) != 8 || counts[1] != -2 || !missing[2] || counts[3] != 3 || !missing[6] || missing[7] {
		t.Error(counts, missing, err)
	}
	if _, missing, err := Counts("1 2 3", 3); missing != nil || err != nil {
		t.Error(missing, err)
	}
	for _, bad := range []string{"1 x", "1.5", "99999999999", "NaN", "--1", "0x1"} {
		if _, _, err := Counts(bad, 10); !errors.Is(err, ErrCount) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, _, err := Counts("1 2 3", 2); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	if b, err := Base64(" AQID\n BA "); err != nil || !bytes.Equal(b, []byte{1, 2, 3, 4}) {
		t.Error(b, err)
	}
	if _, err := Base64("A*B"); err == nil {
		t.Error("not base64")
	}
}

// FuzzReader compares with encoding/xml: what both accept has the same elements.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><a x='1'>t<b/>&lt;<![CDATA[c]]></a>`))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`))
	f.Add([]byte("\xFF\xFE<\x00a\x00/\x00>\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := flat(in, ecg.Limits{XMLText: 1 << 16})
		if err != nil {
			var refusal *reject.Error
			if !errors.As(err, &refusal) {
				t.Fatal(err)
			}
			return
		}
		if len(got) > 16*len(in)+64 {
			t.Fatalf("%d bytes became %d", len(in), len(got))
		}
		starts, ours := 0, strings.Count(got, "</")
		d := xml.NewDecoder(bytes.NewReader(in))
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
			if _, ok := tok.(xml.StartElement); ok {
				starts++
			}
		}
		if !strings.ContainsAny(got, "[=") && starts != ours && !bytes.Contains(in, []byte("</")) {
			t.Fatalf("encoding/xml sees %d elements in %q, we %q", starts, in, got)
		}
	})
}
