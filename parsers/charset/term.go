package charset

import "strings"

// maxTerms bounds the terms that Parse looks at. The standard has two dozen; a value of a thousand
// backslashes deserves no more work than that.
const maxTerms = 64

// Values that most objects have, parsed once.
var (
	undeclared = parse("")
	latin1Only = parse("ISO_IR 100")
	utf8Only   = parse("ISO_IR 192")
	gb18030All = parse("GB18030")
)

// Parse reads the value of Specific Character Set (0008,0005) as it stands in the object, backslashes and
// padding included (PS3.3 §C.12.1.1.2). Spellings that devices write instead of the defined terms
// ("ISO-IR 100", "ISO_IR_192", "UTF-8", " GBK", "GB2312", "ISO 8859-1") are understood. It never returns
// nil; an empty value is the default repertoire, ISO IR 6.
func Parse(value string) *Set {
	switch value {
	case "":
		return undeclared
	case "ISO_IR 100":
		return latin1Only
	case "ISO_IR 192":
		return utf8Only
	case "GB18030", "GB18030 ":
		return gb18030All
	}
	return parse(value)
}

func parse(value string) *Set {
	s := &Set{g0: ascii}
	for i, written := range strings.SplitN(value, `\`, maxTerms+1) {
		if i == maxTerms {
			break
		}
		key := normalise(written)
		if key == "" {
			continue // value 1 empty: the default repertoire with extensions
		}
		t, ok := terms[key]
		if !ok {
			s.unknown = append(s.unknown, strings.ToValidUTF8(strings.Trim(written, " \x00"), "\uFFFD"))
			continue
		}
		s.add(t, i == 0)
	}
	return s
}

// add takes in one term; first tells value 1, which says what is designated initially.
func (s *Set) add(t term, first bool) {
	switch t.set {
	case jisX0201, jisX0208, jisX0212:
		s.japanese = true
	}
	switch {
	case t.whole != notWhole:
		if s.whole == notWhole {
			s.whole = t.whole
		}
	case t.set == ascii:
	case t.set == jisX0201:
		if first {
			s.g0, s.g1 = romaji, katakana
		}
	case t.set == ksX1001 || t.set == gb2312:
		if s.extension == none {
			s.extension = t.set
		}
	case t.set.pairs(): // JIS X 0208 and 0212 go to G0, always by escape sequence
	case first:
		s.g1 = t.set
	case s.extension == none && s.g1 == none:
		s.extension = t.set
	}
}

// term is what a defined term means: a character set for all bytes, or one that ISO 2022 designates.
type term struct {
	whole whole
	set   code
}

// terms are the defined terms (PS3.3 Tables C.12-2 to C.12-5) as normalise leaves them, and the names that
// programs know the same character sets by.
var terms = map[string]term{
	"6": {set: ascii}, "ASCII": {set: ascii}, "USASCII": {set: ascii}, "646": {set: ascii},
	"13": {set: jisX0201}, "14": {set: jisX0201},
	"58": {set: gb2312}, "87": {set: jisX0208}, "149": {set: ksX1001}, "159": {set: jisX0212},
	"100": {set: latin1}, "88591": {set: latin1}, "LATIN1": {set: latin1},
	"101": {set: latin2}, "88592": {set: latin2}, "LATIN2": {set: latin2},
	"109": {set: latin3}, "88593": {set: latin3}, "LATIN3": {set: latin3},
	"110": {set: latin4}, "88594": {set: latin4}, "LATIN4": {set: latin4},
	"144": {set: cyrillic}, "88595": {set: cyrillic},
	"127": {set: arabic}, "88596": {set: arabic},
	"126": {set: greek}, "88597": {set: greek},
	"138": {set: hebrew}, "88598": {set: hebrew},
	"148": {set: latin5}, "88599": {set: latin5}, "LATIN5": {set: latin5},
	"203": {set: latin9}, "885915": {set: latin9}, "LATIN9": {set: latin9},
	"166": {set: thai}, "885911": {set: thai}, "TIS620": {set: thai}, "WINDOWS874": {set: thai}, "CP874": {set: thai},

	"192": {whole: utf8Text}, "UTF8": {whole: utf8Text}, "UNICODE": {whole: utf8Text}, "10646": {whole: utf8Text},
	"GB18030": {whole: gb18030}, "GB180302000": {whole: gb18030}, "GB180302005": {whole: gb18030}, "GB180302022": {whole: gb18030},
	"GBK": {whole: gbk}, "CP936": {whole: gbk}, "WINDOWS936": {whole: gbk}, "EUCCN": {whole: gbk},
	"GB2312": {whole: gbk}, "GB231280": {whole: gbk}, "GB23121980": {whole: gbk},
	"BIG5": {whole: big5}, "CP950": {whole: big5},
	"SHIFTJIS": {whole: shiftJIS}, "SJIS": {whole: shiftJIS}, "CP932": {whole: shiftJIS}, "WINDOWS31J": {whole: shiftJIS},
	"EUCJP": {whole: eucJP},
	"EUCKR": {whole: eucKR}, "CP949": {whole: eucKR}, "KSC5601": {whole: eucKR}, "KSC56011987": {whole: eucKR}, "KSX1001": {whole: eucKR},
	"WINDOWS1252": {whole: windows1252}, "CP1252": {whole: windows1252},
	"WINDOWS1251": {whole: windows1251}, "CP1251": {whole: windows1251},
}

// maxTermLength is beyond every term's and keeps normalise from copying a hostile one.
const maxTermLength = 32

// normalise reduces a term to the capital letters and digits that tell it apart: the registration number
// for "ISO_IR 100", "ISO 2022 IR 100", "ISO-IR 100", the name for others.
func normalise(written string) string {
	written = strings.Trim(written, " \x00\t\r\n")
	if len(written) > maxTermLength {
		return "?"
	}
	key := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r > 0x7F:
			return r
		case r == ' ' || r == '_' || r == '-' || r == '.':
			return -1
		}
		return '?'
	}, written)
	key = strings.TrimPrefix(key, "ISO")
	if rest := strings.TrimPrefix(key, "2022"); rest != "" {
		key = rest
	}
	key = strings.TrimPrefix(key, "IR")
	if key == "" && written != "" {
		return "?"
	}
	return key
}
