package charset

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
)

func encode(t *testing.T, enc encoding.Encoding, text string) []byte {
	t.Helper()
	raw, err := enc.NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return raw
}

// latinTexts are true texts in single-byte sets: none may be taken for something else.
var latinTexts = []struct {
	set  string
	enc  encoding.Encoding
	list []string
}{
	{"ISO_IR 100", charmap.ISO8859_1, []string{
		"Müller", "Buc^Jérôme", "Äneas^Rüdiger", "Ångström^Åsa", "Sæþór^Þórður", "Friðþjófur", "Æðey", "Conceição^João", "CONCEIÇÃO^JOÃO",
		"ASSUNÇÃO", "Assunção", "Müßig", "GROß", "MÜßIG", "Hélène^Zoë", "Noë", "Loïc", "José^Ángel", "PEÑA^BEGOÑA", "Åå", "Åå^Jørgen", "Ö", "Ý^Ö",
		"HÄÄYÖAIE", "Hääyöaie", "Ødegård^Bjørn", "Señor", "¿Qué?", "38°C", "±5 µV", "10 µm", "½ l", "«Müller»", "Nº 5", "Mª José", "§ 5", "10³µL", "kg/m²·h",
		"Niño^Ünal", "È", "à", "Caffè", "Città", "Straße", "Grüße", "Öl", "ÖL", "Über", "ÜBER", "Læsø", "Þá", "ÍÞRÓTTAÁLFURINN", "VÖÐVI",
		"Größe: 180 cm, Gewicht: 80 kg, Übergewicht", "Échographie cardiaque: sténose aortique modérée", "Ñ", "©2020", "Dª María",
	}},
	{"ISO_IR 101", charmap.ISO8859_2, []string{
		"Wałęsa^Lech", "ŁÓDŹ", "ŻÓŁĆ", "ŚWIĄTEK^IGA", "MÓŻDŻEŃ", "RÓŻAŃSKI", "RÓŻA", "Źdźbło", "ČÍŽEK", "ŘÍHA", "Dvořák^Antonín", "Šťastný", "ŠŤASTNÝ",
		"Székely^Győző", "Łukasz", "Gżegżółka", "GŻEGŻÓŁKA", "Žižka", "Ćosić", "Đorđević", "Příliš žluťoučký kůň",
	}},
	{"ISO_IR 148", charmap.ISO8859_9, []string{"Şükrü", "ŞÜKRÜ", "ÖĞÜT", "Öğüt", "GÜÇLÜ", "ÇÖL", "Çağdaş", "İĞDIR", "Işık^Gülşah", "ÇİĞDEM"}},
	{"ISO_IR 110", charmap.ISO8859_4, []string{"Bērziņš^Jānis", "Õunapuu^Ülo", "ŽŪKAUSKAS", "Šķēle"}},
	{"ISO_IR 203", charmap.ISO8859_15, []string{"Œuvre", "Žižek", "5 €", "Müller^Zoë"}},
	{"ISO_IR 144", charmap.ISO8859_5, []string{"Люксембург", "Петров^Иван", "ПЕТРОВ^ИВАН", "Щёголев", "Їжакевич"}},
	{"ISO_IR 126", charmap.ISO8859_7, []string{"Διονυσιος", "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΓΕΩΡΓΙΟΣ", "Παπαδόπουλος^Γεώργιος", "Άννα", "Ώρα"}},
	{"ISO_IR 127", charmap.ISO8859_6, []string{"قباني^نزار", "محمد", "عبد الله"}},
	{"ISO_IR 138", charmap.ISO8859_8, []string{"שרון^דבורה", "כהן"}},
	{"ISO_IR 166", charmap.Windows874, []string{"นามสกุล^ชื่อ", "เขต", "รถ", "สมชาย^ใจดี", "เกา", "มข"}},
}

func TestTrueTextIsLeftAlone(t *testing.T) {
	for _, group := range latinTexts {
		for _, text := range group.list {
			for _, vr := range []string{"PN", "LO", "LT"} {
				raw := encode(t, group.enc, text)
				if got, note := Parse(group.set).Decode(raw, vr); got != text || note != 0 {
					t.Errorf("%s: %q became %q (note %d)", group.set, text, got, note)
				}
			}
		}
	}
	for _, text := range []string{"ﾃｨ", "ﾔﾏﾀﾞ^ﾀﾛｳ", "ｻﾄｳ^ﾊﾅｺ"} {
		raw := encode(t, japanese.ShiftJIS, text)
		if got, note := Parse("ISO_IR 13").Decode(raw, "PN"); got != text || note != 0 {
			t.Errorf("ISO_IR 13: %q became %q (note %d)", text, got, note)
		}
	}
}

// chinese is what records in China hold: names, and words of examinations.
var chinese = strings.Fields("张伟 王伟 王芳 李伟 李娜 张敏 李静 王静 刘伟 王秀英 张丽 李秀英 王丽 张静 李强 张磊 王军 李军 " +
	"王勇 张勇 王小东 李明 李丽 陈杰 杨洋 赵雪 黄敏 周涛 吴刚 徐静 孙鹏 胡军 朱红 高峰 林峰 何平 郭靖 马超 罗成 梁山 宋江 郑和 谢军 " +
	"韩冰 唐寅 冯刚 于谦 董卿 萧红 程颖 曹操 袁隆平 邓亚萍 许巍 傅聪 沈冰 曾黎 彭丽媛 吕布 苏轼 卢俊义 蒋介石 蔡琴 贾宝玉 丁玲 魏征 薛涛 " +
	"欧阳修 司马光 诸葛亮 王^芳 张^三丰 李^时珍 心电图 腹部超声 胸片 窦性心律 心房颤动 左心室肥厚 彩超 云南省大理州 B超检查 CT平扫 X线胸片 " +
	"Ⅱ导联异常 正常心电图，偶发早搏 王^丽=WANG^LI Zhang^San=张^三 朱^镕基 肝胆脾胰 12导联 红河哈尼族彝族自治州人民医院")

func TestGBKUnderAnotherName(t *testing.T) {
	for _, text := range chinese {
		raw := encode(t, simplifiedchinese.GBK, text)
		for _, set := range []string{"", "ISO_IR 6", "ISO_IR 100", "ISO 2022 IR 100", "ISO_IR 192", "NONSENSE"} {
			if set == "ISO_IR 192" && utf8.Valid(raw) {
				continue // what is valid as declared stays as declared
			}
			if got, note := Parse(set).Decode(raw, "PN"); got != text || note != Repaired {
				t.Errorf("%q in GBK under %q became %q (note %d)", text, set, got, note)
			}
		}
	}
}

func TestUTF8UnderAnotherName(t *testing.T) {
	texts := append([]string{"Müller", "Jérôme", "Élan", "ÉLAN", "Петров^Иван", "Διονυσιος", "山田^太郎=やまだ^たろう", "洪^吉洞=홍^길동", "Wałęsa", "38 °C"}, chinese...)
	for _, text := range texts {
		if isASCII(text) {
			continue
		}
		for _, set := range []string{"", "ISO_IR 100", "ISO_IR 101", "ISO_IR 148"} {
			if got, note := Parse(set).Decode([]byte(text), "PN"); got != text || note != Repaired {
				t.Errorf("%q in UTF-8 under %q became %q (note %d)", text, set, got, note)
			}
		}
	}
	for _, text := range chinese {
		if isASCII(text) || strings.Contains(text, "Ⅱ") {
			continue
		}
		for _, set := range []string{"GB18030", "GBK", `\ISO 2022 IR 58`, "ISO_IR 13"} {
			if got, note := Parse(set).Decode([]byte(text), "PN"); got != text || note != Repaired {
				t.Errorf("%q in UTF-8 under %q became %q (note %d)", text, set, got, note)
			}
		}
	}
}

func isASCII(s string) bool {
	high, _ := scan([]byte(s))
	return !high
}

func TestTrueGBKIsLeftAlone(t *testing.T) {
	for _, text := range append([]string{"学", "学一", "联通", "男", "喆", "昱昊"}, chinese...) {
		for _, set := range []string{"GBK", "GB18030"} {
			if got, note := Parse(set).Decode(encode(t, simplifiedchinese.GBK, text), "PN"); got != text || note != 0 {
				t.Errorf("%q under %s became %q (note %d)", text, set, got, note)
			}
		}
	}
}

func TestMislabelledOthers(t *testing.T) {
	check(t, []sample{
		{"Shift-JIS under ISO_IR 13", "ISO_IR 13", "PN", "\x8eR\x93c^\x91\xbe\x98Y", "山田^太郎", Repaired},
		{"Shift-JIS, 5CH inside", "ISO_IR 13", "LO", "\x95\x5c\\b", `表\b`, Repaired},
		{"EUC-JP without escapes", `\ISO 2022 IR 87`, "PN", "\xbb\xb3\xc5\xc4", "山田", Repaired},
		{"Latin-1 undeclared", "", "PN", "Buc^J\xe9r\xf4me", "Buc^Jérôme", Repaired},
		{"Latin-1 under UTF-8", "ISO_IR 192", "PN", "M\xfcller", "Müller", Repaired},
		{"one hanzi, nothing declared", "", "LO", "\xc4\xd0", "男", Repaired},
		{"cut GBK", "ISO_IR 100", "LO", "\xd6\xd0\xb9\xfa\xc8", "中国\uFFFD", Repaired | Replaced},
		{"cut UTF-8", "ISO_IR 100", "LO", "中国\xe4\xba", "中国\uFFFD", Repaired | Replaced},
	})
}
