package pinyin

import (
	"slices"
	"strings"
	"testing"
)

func TestSpell(t *testing.T) {
	for _, c := range []struct{ name, want, whole, initials string }{
		{"张^三", "zhang^san", "zhangsan", "zs"},
		{"张三", "zhang^san", "zhangsan", "zs"},
		{"張^三^^^", "zhang^san", "zhangsan", "zs"},
		{"王小明", "wang^xiaoming", "wangxiaoming", "wxm"},
		{"王 小明", "wang^xiaoming", "wangxiaoming", "wxm"},
		{"王", "wang", "wang", ""},
		{"^小明", "^xiaoming", "xiaoming", "xm"},
		{"王^小明^^主任^先生", "wang^xiaoming", "wangxiaoming", "wxm"},

		// Surnames read otherwise than elsewhere.
		{"单^雄信", "shan^xiongxin", "shanxiongxin danxiongxin chanxiongxin", "sxx"},
		{"曾国藩", "zeng^guofan", "zengguofan cengguofan", "zgf cgf"},
		{"仇^英", "qiu^ying", "qiuying chouying", "qy cy"},
		{"解^缙", "xie^jin", "xiejin jiejin", "xj jj"},
		{"区^志", "ou^zhi", "ouzhi quzhi", "oz qz"},
		{"區^志", "ou^zhi", "ouzhi quzhi", "oz qz"},
		{"查良镛", "zha^liangyong", "zhaliangyong chaliangyong", "zly cly"},
		{"朴^树", "piao^shu", "piaoshu pushu", "ps"},
		{"翟^天", "zhai^tian", "zhaitian ditian", "zt dt"},
		{"盖^聂", "ge^nie", "genie gainie", "gn"},
		{"覃^海", "qin^hai", "qinhai tanhai", "qh th"},
		{"任^静", "ren^jing", "renjing", "rj"},
		{"华^佗", "hua^tuo", "huatuo", "ht"},

		// Of two characters.
		{"尉迟^恭", "yuchi^gong", "yuchigong", "ycg"},
		{"尉遲恭", "yuchi^gong", "yuchigong", "ycg"},
		{"长孙^无忌", "zhangsun^wuji", "zhangsunwuji", "zswj"},
		{"長孫無忌", "zhangsun^wuji", "zhangsunwuji", "zswj"},
		{"万俟^卨", "moqi^xie", "moqixie", "mqx"},
		{"歐陽^娜娜", "ouyang^nana", "ouyangnana", "oynn"},
		{"澹台灭明", "tantai^mieming", "tantaimieming", "ttmm"},
		{"欧阳", "ou^yang", "ouyang", "oy"}, // two characters are a surname and a given name

		// ü.
		{"吕^布", "lv^bu", "lvbu", "lb"},
		{"刘^绿", "liu^lv", "liulv liulu", "ll"},
		{"徐^旭", "xu^xu", "xuxu", "xx"},

		{"阿依古丽·买买提", "ayiguli^maimaiti", "ayigulimaimaiti", "ayglmmt"},
		{"李A梅", "li^amei", "liamei", "lam"},
		{"𬭎^毅", "hong^yi", "hongyi", "hy"},

		{"", "", "", ""},
		{"Zhang^San", "", "", ""},
		{"みゅら^ゆるげん", "", "", ""},
		{"山田^たろう", "", "", ""},
		{"김^철수", "", "", ""},
		{"^^^", "", "", ""},
		{"^^^张", "", "", ""},
	} {
		got, ok := Spell(c.name)
		if ok != (c.want != "") || got.Name != c.want {
			t.Errorf("%s: %q, %t; want %q", c.name, got.Name, ok, c.want)
		}
		for _, w := range strings.Fields(c.whole) {
			if !slices.Contains(got.Whole, w) {
				t.Errorf("%s: no %s in %s", c.name, w, got.Whole)
			}
		}
		if ok && got.Whole[0] != strings.Fields(c.whole)[0] {
			t.Errorf("%s: %s is not the first of %s", c.name, strings.Fields(c.whole)[0], got.Whole)
		}
		for _, w := range strings.Fields(c.initials) {
			if !slices.Contains(got.Initials, w) {
				t.Errorf("%s: no %s in %s", c.name, w, got.Initials)
			}
		}
	}
	s, _ := Spell("王小明")
	if want := []string{"wangxiaoming", "xiaoming", "ming"}; !slices.Equal(s.Tails, want) {
		t.Errorf("tails %s, want %s", s.Tails, want)
	}
}

func TestBounds(t *testing.T) {
	s, ok := Spell(strings.Repeat("行", 10_000))
	if !ok || len(s.Whole) > maxSpellings || len(s.Whole[0]) > maxRunes*6 || len(s.Tails) > maxSpellings*maxRunes {
		t.Errorf("%t: %d spellings, %d tails", ok, len(s.Whole), len(s.Tails))
	}
}

func TestTyped(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"zhangsan", "zhangsan"},
		{"Zhang San", "zhangsan"},
		{"zhang^san", "zhangsan"},
		{"xi'an", "xian"},
		{"lü", "lv"},
		{"lǚ bù", "lvbu"},
		{"lu\u0308", "lv"},
		{"lyu", "lyu lv"},
		{"lyue", "lyue lve"},
		{"lu", "lu"},
		{"lv", "lv"},
		{"nü", "nv"},
		{"jü", "ju"},
		{"xv", "xu"},
		{"xinyuan", "xinyuan xinvan"}, // the second finds nobody
		{"zhāng", "zhang"},
		{"", ""},
		{"^", ""},
		{"a1", ""},
		{"müller", "mvller"},
		{"jörg", ""},
		{"张", ""},
		{"\u0308", ""},
		{strings.Repeat("a", maxTyped+1), ""},
	} {
		if got := strings.Join(Typed(c.typed), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.typed, got, c.want)
		}
	}
	for typed, want := range map[string]string{"zhang^s": "zhang^s", "Lu^b": "lu^b lv^b", "lyu^": "lyu^ lv^", "^^": ""} {
		if got := strings.Join(TypedName(typed), " "); got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
}

// TestFound holds that what is typed for a name is in its spelling.
func TestFound(t *testing.T) {
	for _, c := range []struct{ name, typed string }{
		{"吕布", "lvbu lubu lyubu lü lǚ lb lyu lu"},
		{"闾丘露薇", "lvqiu lyuqiu luqiuluwei qiu luwei"},
		{"陆绿", "lulv lulu lulyu"},
		{"林雨", "linyu"},
		{"曾^鞏", "zeng ceng zenggong"},
		{"張學友", "zhangxueyou zhangxue zxy"},
	} {
		s, _ := Spell(c.name)
		all := slices.Concat(s.Whole, s.Tails, s.Initials)
		for _, typed := range strings.Fields(c.typed) {
			found := slices.ContainsFunc(Typed(typed), func(form string) bool {
				return slices.ContainsFunc(all, func(have string) bool { return strings.HasPrefix(have, form) })
			})
			if !found {
				t.Errorf("%s: %s is not in %s", c.name, typed, all)
			}
		}
	}
}

func TestSurnames(t *testing.T) {
	seen := make(map[string]bool)
	for written, read := range surnames() {
		if len([]rune(written)) != len(read) {
			t.Errorf("%s has %d syllables", written, len(read))
		}
		for i, r := range []rune(written) {
			known := readings().of(r)
			for _, s := range read[i] {
				if len(known) == 0 {
					t.Errorf("%c is in no dictionary", r)
				}
				if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") != "" || s == "" {
					t.Errorf("%s is read %q", written, s)
				}
			}
		}
		if seen[written] {
			t.Errorf("%s is there twice", written)
		}
		seen[written] = true
	}
}

func allLetters(s string) bool { return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" }

func FuzzSpell(f *testing.F) {
	for _, s := range []string{"张^三", "張三豐", "^", "尉迟^恭^^^", "a\xff张", "阿依古丽·买买提", strings.Repeat("重", 100), "𬭎"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, ok := Spell(name)
		if !ok {
			if s.Name != "" || s.Whole != nil {
				t.Fatalf("%q: %+v and false", name, s)
			}
			return
		}
		if len(s.Whole) == 0 || len(s.Whole) > maxSpellings || !allLetters(strings.Replace(s.Name, "^", "", 1)) {
			t.Fatalf("%q: %+v", name, s)
		}
		for _, w := range slices.Concat(s.Whole, s.Tails, s.Initials) {
			if !allLetters(w) || len(w) > maxRunes*6 {
				t.Fatalf("%q: %q", name, w)
			}
		}
		if strings.Replace(s.Name, "^", "", 1) != s.Whole[0] {
			t.Fatalf("%q: %q is not %q", name, s.Name, s.Whole[0])
		}
	})
}

func FuzzTyped(f *testing.F) {
	for _, s := range []string{"zhang san", "lü", "lu\u0308", "LYU", "\u0308", "ḿ", "a\xffb", "İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, forms := range [][]string{Typed(s), TypedName(s)} {
			if len(forms) > 3 {
				t.Fatalf("%q: %q", s, forms)
			}
			for _, form := range forms {
				if form = strings.ReplaceAll(form, "^", ""); !allLetters(form) {
					t.Fatalf("%q: %q", s, form)
				}
			}
		}
	})
}

func BenchmarkSpell(b *testing.B) {
	for b.Loop() {
		if s, ok := Spell("王^小明"); !ok || s.Name == "" {
			b.Fatal("not spelled")
		}
	}
}
