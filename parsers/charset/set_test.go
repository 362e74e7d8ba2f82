package charset

import (
	"strings"
	"testing"
	"unicode/utf8"
)

type sample struct {
	name, set, vr string
	raw           string
	want          string
	note          Note
}

func check(t *testing.T, samples []sample) {
	t.Helper()
	for _, c := range samples {
		got, note := Parse(c.set).Decode([]byte(c.raw), c.vr)
		if got != c.want || note != c.note {
			t.Errorf("%s: %q as %q: got %q (note %d), want %q (note %d)", c.name, c.raw, c.set, got, note, c.want, c.note)
		}
	}
}

// TestStandard decodes the examples of PS3.5 Annexes H, I, J and K.
func TestStandard(t *testing.T) {
	check(t, []sample{
		{
			"H.3.1", `\ISO 2022 IR 87`, "PN",
			"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
			"Yamada^Tarou=山田^太郎=やまだ^たろう", 0,
		},
		{
			"H.3.2", `ISO 2022 IR 13\ISO 2022 IR 87`, "PN",
			"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
			"ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", 0,
		},
		{
			"I.2", `\ISO 2022 IR 149`, "PN",
			"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
			"Hong^Gildong=洪^吉洞=홍^길동", 0,
		},
		{
			"I.3", `\ISO 2022 IR 149`, "LT",
			"\x1b$)CThe first line includes \xb1\xe6\xb5\xbf.\r\n\x1b$)CThe second line includes \xb1\xe6\xb5\xbf, too.\r\nThe third line.",
			"The first line includes 길동.\r\nThe second line includes 길동, too.\r\nThe third line.", 0,
		},
		{"J.1", "ISO_IR 192", "PN", "Wang^XiaoDong=王^小东=", "Wang^XiaoDong=王^小东=", 0},
		{"J.3", "GB18030", "PN", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东=", 0},
		{"GBK", "GBK", "PN", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东=", 0},
		{
			"K.2", `\ISO 2022 IR 58`, "PN",
			"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东=", 0,
		},
		{
			"K.3", `\ISO 2022 IR 58`, "LT",
			"\x1b$)A1\xa3\xae\xb5\xda\xd2\xbb\xd0\xd0\r\n\x1b$)A2\xa3\xae\xb5\xda\xb6\xfe\xd0\xd0\r\n",
			"1．第一行\r\n2．第二行\r\n", 0,
		},
	})
}

func TestSingleByteSets(t *testing.T) {
	check(t, []sample{
		{"Latin-1", "ISO_IR 100", "PN", "Buc^J\xe9r\xf4me", "Buc^Jérôme", 0},
		{"Latin-1", "ISO_IR 100", "PN", "\xc4neas^R\xfcdiger", "Äneas^Rüdiger", 0},
		{"Latin-2", "ISO_IR 101", "PN", "Wa\xb3\xeasa", "Wałęsa", 0},
		{"Latin-3", "ISO_IR 109", "PN", "\xa1a\xbf", "Ħaż", 0},
		{"Latin-4", "ISO_IR 110", "LO", "B\xb6rzi\xf1\xb9", "Bļrziņš", 0},
		{"Cyrillic", "ISO_IR 144", "PN", "\xbb\xee\xdacMe\xdc\xd1yp\xd3", "ЛюкcMeмбypг", 0},
		{"Greek", "ISO_IR 126", "PN", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος", 0},
		{"Arabic", "ISO_IR 127", "PN", "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار", 0},
		{"Hebrew", "ISO_IR 138", "PN", "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה", 0},
		{"Latin-5", "ISO_IR 148", "PN", "\xc7av\xfe\xf0\xfd", "Çavşğı", 0},
		{"Latin-9", "ISO_IR 203", "LO", "5 \xa4, \xbcuvre", "5 €, Œuvre", 0},
		{"Thai", "ISO_IR 166", "PN", "\xb9\xd2\xc1\xca\xa1\xd8\xc5", "นามสกุล", 0},
		{"katakana", "ISO_IR 13", "PN", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ", 0},
		{"romaji in text", "ISO_IR 13", "LT", `5~8\`, "5‾8¥", 0},
		{"romaji with delimiters", "ISO_IR 13", "LO", `a\b`, `a\b`, 0},
		{"Windows quotes", "ISO_IR 100", "LO", "\x93\x8aad\xe9\x94", "“Šadé”", Repaired},
	})
}

func TestCodeExtensions(t *testing.T) {
	check(t, []sample{
		{"Latin and Cyrillic", `ISO 2022 IR 100\ISO 2022 IR 144`, "LO", "M\xfcller, \x1b-L\xbf\xd5\xe2\xe0", "Müller, Петр", 0},
		{"back at a delimiter", `ISO 2022 IR 100\ISO 2022 IR 144`, "LO", "\x1b-L\xbf\xd5\xe2\xe0\\M\xfcller", `Петр\Müller`, 0},
		{"no delimiter in LT", `ISO 2022 IR 100\ISO 2022 IR 144`, "LT", "\x1b-L\xbf\xd5\xe2\xe0\\\xbf", `Петр\П`, 0},
		{"back at a line's end", `ISO 2022 IR 100\ISO 2022 IR 144`, "UT", "\x1b-L\xbf\r\n\xfc", "П\r\nü", 0},
		{"JIS X 0212", `\ISO 2022 IR 87\ISO 2022 IR 159`, "PN", "\x1b$(D\x30\x21\x1b(B^A", "丂^A", 0},
		{"5CH inside a kanji", `\ISO 2022 IR 87`, "LO", "\x1b$BI\\\x1b(B\\b", `府\b`, 0},
		{"set not left before a delimiter", `\ISO 2022 IR 87`, "PN", "\x1b$B;3ED^\x1b$BB@O:\x1b(B", "山田^太郎", 0},
		{"kana in G0", `\ISO 2022 IR 13`, "LO", "\x1b(I1\x1b(B1", "ｱ1", 0},
		{"escape missing after ^", `\ISO 2022 IR 149`, "PN", "\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7", "洪^吉洞", Repaired},
		{"escapes missing", `\ISO 2022 IR 58`, "PN", "Zhang=\xd5\xc5^\xd0\xa1\xb6\xab", "Zhang=张^小东", Repaired},
		{"GBK announced as GB 2312", `\ISO 2022 IR 58`, "PN", "\x1b$)A\xd6\xec^\x1b$)A\xe9F\xbb\xf9", "朱^镕基", Repaired},
		{"escape not declared", "", "PN", "\x1b$)A\xd5\xc5", "张", 0},
		{"escapes under UTF-8", "ISO_IR 192", "PN", "\x1b$B;3ED\x1b(B", "山田", Repaired},
		{"escape unknown", `\ISO 2022 IR 87`, "LO", "a\x1b%Gb", "a\uFFFD%Gb", Replaced},
		{"escape cut off", `\ISO 2022 IR 87`, "LO", "a\x1b$", "a\uFFFD$", Replaced},
		{"half a kanji", `\ISO 2022 IR 87`, "LO", "\x1b$B;3E", "山\uFFFD", Replaced},
		{"half a hanzi", `\ISO 2022 IR 58`, "LO", "\x1b$)A\xd5\xc5\xd5", "张\uFFFD", Replaced},
	})
}

func TestMultiByteSets(t *testing.T) {
	check(t, []sample{
		{"5CH as second byte of GBK", "GBK", "LO", "\x81\x5c\\b", `乗\b`, 0},
		{"four bytes", "GB18030", "PN", "\x8f\x46^\x95\x32\x82\x36", "廎^𠀀", 0},
		{"four bytes under GBK", "GBK", "PN", "\xd5\xc5^\x95\x32\x82\x36", "张^𠀀", Repaired},
		{"byte order mark", "ISO_IR 192", "LO", "\xef\xbb\xbfé", "é", 0},
		{"damaged UTF-8", "ISO_IR 192", "LO", "王\xff小东", "王\uFFFD小东", Replaced},
		{"cut UTF-8", "ISO_IR 192", "LO", "王小\xe4\xb8", "王小\uFFFD", Replaced},
	})
}

func TestSloppyTerms(t *testing.T) {
	for _, group := range []struct {
		raw, want string
		values    []string
	}{
		{"J\xe9r\xf4me", "Jérôme", []string{
			"ISO_IR 100", "ISO-IR 100", "ISO_IR_100", "ISO IR 100", "iso_ir 100", "ISO_IR100", "IR 100",
			" ISO_IR 100 ", "ISO_IR 100\x00", "ISO 2022 IR 100", "ISO2022IR100", "ISO 8859-1", "ISO8859-1", "ISO_8859-1", "latin1",
		}},
		{"王", "王", []string{"ISO_IR 192", "ISO_IR_192", "ISO-IR 192", "UTF-8", "utf8", "UTF_8", `\ISO_IR 192`, "ISO 2022 IR 192"}},
		{"\xcd\xf5", "王", []string{"GB18030", "gb18030 ", "GB 18030", "GBK", " GBK", "GB2312", "GB_2312-80", "ISO 2022 GBK", "CP936", `\GB18030`}},
		{"\xfb\xf3", "洪", []string{"EUC-KR", "KSC5601", "KS_C_5601-1987"}},
	} {
		for _, v := range group.values {
			s := Parse(v)
			if got, note := s.Decode([]byte(group.raw), "LO"); got != group.want || note != 0 || len(s.Unknown()) != 0 {
				t.Errorf("%q under %q: %q, note %d, unknown %q", group.raw, v, got, note, s.Unknown())
			}
		}
	}
}

func TestUnknownTerms(t *testing.T) {
	for value, want := range map[string]string{
		"": "", `\`: "", "ISO_IR 6": "", `ISO 2022 IR 6\ISO 2022 IR 58`: "",
		"KLINGON": "KLINGON", `ISO_IR 100\FOO\BAR`: "FOO BAR", "\xff": "\uFFFD", "ISO_IR 999": "ISO_IR 999", "?": "?", "ISO": "ISO", "___": "___",
	} {
		if got := strings.Join(Parse(value).Unknown(), " "); got != want {
			t.Errorf("Parse(%q).Unknown() = %q, want %q", value, got, want)
		}
	}
	if n := len(Parse(strings.Repeat(`X\`, 10000)).Unknown()); n != maxTerms {
		t.Errorf("%d unknown terms kept, want %d", n, maxTerms)
	}
}

func TestOtherVRs(t *testing.T) {
	check(t, []sample{
		{"sex in Chinese", "GB18030", "CS", "\xc4\xd0", "男", Repaired},
		{"plain", "GB18030", "CS", "M ", "M ", 0},
		{"plain under JIS X 0201", "ISO_IR 13", "CS", `A~\B`, `A~\B`, 0},
	})
}

func TestPlainTextAllocatesOnce(t *testing.T) {
	raw := []byte("Yamada^Tarou")
	for _, value := range []string{"", "ISO_IR 192", "GB18030", `ISO 2022 IR 6\ISO 2022 IR 87`} {
		s := Parse(value)
		if n := testing.AllocsPerRun(100, func() { s.Decode(raw, "PN") }); n > 1 {
			t.Errorf("%q: %v allocations", value, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Parse("ISO_IR 100") }); n != 0 {
		t.Errorf("Parse: %v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, value := range []string{"", "ISO_IR 100", "ISO_IR 13", "ISO_IR 192", "GB18030", "GBK", `\ISO 2022 IR 58`, `ISO 2022 IR 13\ISO 2022 IR 87\ISO 2022 IR 159`, `\ISO 2022 IR 149`, "BIG5"} {
		f.Add(value, []byte("Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab="), "PN")
		f.Add(value, []byte("\x1b$)C\xfb\xf3^\x1b$B;3ED\x1b(J^\x1b$)A\xd5\xc5\\\x1b$(D0!"), "LO")
		f.Add(value, []byte("Müller王\xff\x81"), "LT")
	}
	f.Fuzz(func(t *testing.T, value string, raw []byte, vr string) {
		s := Parse(value)
		text, note := s.Decode(raw, vr)
		if !utf8.ValidString(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
		if len(text) > 4*len(raw)+4 {
			t.Fatalf("%d bytes became %d", len(raw), len(text))
		}
		if again, n := s.Decode(raw, vr); again != text || n != note {
			t.Fatal("not deterministic")
		}
		for _, u := range s.Unknown() {
			if !utf8.ValidString(u) {
				t.Fatalf("unknown term %q is not UTF-8", u)
			}
		}
	})
}
