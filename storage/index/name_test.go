package index

import (
	"strings"
	"testing"
)

func TestSpellName(t *testing.T) {
	for _, c := range []struct{ name, pinyin, all, words string }{
		{"Zhang^San", "", "|zhang^san", " zhang san"},
		{"Zhang^San=张^三", "", "|zhang^san|张^三|zhangsan|zs", " zhang san 张三 zhangsan san zs"},
		{"=张^三", "zhang^san", "|张^三|zhang^san|zhangsan|zs", " 张三 zhangsan san zs"},
		{"张三", "zhang^san", "|张三|zhang^san|zhangsan|zs", " 张三 zhangsan san zs"},
		{"", "", "", ""},
		{"=ひろ^", "", "|ひろ", " ひろ"},
	} {
		n := spellName(nameGroups(c.name))
		if all := strings.ReplaceAll(n.all, separator, "|"); n.pinyin != c.pinyin || all != c.all || n.words != c.words {
			t.Errorf("%s: %q, %q, %q", c.name, n.pinyin, all, n.words)
		}
	}
}

// FuzzSpellName holds that what is made of a name fits an entry of an index, and that its groups stay what they are.
func FuzzSpellName(f *testing.F) {
	for _, s := range []string{"张^三", "=尉遲^恭", "Zhang^San=张^三=ちょう", strings.Repeat("行", 300), "a\x1fb=张", "\xff=\xff张"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		groups := nameGroups(name)
		long := 0
		var plain strings.Builder
		for i := range groups {
			groups[i] = indexed(groups[i])
			long += len(groups[i]) + len(separator)
			if groups[i] != "" {
				plain.WriteString(separator + groups[i])
			}
		}
		n := spellName(groups)
		if len(n.all) > long+maxSpelled || len(n.pinyin) > maxSpelled || !strings.HasPrefix(n.all, plain.String()) {
			t.Fatalf("%q: %q, %q", name, n.pinyin, n.all)
		}
		if strings.Contains(strings.TrimPrefix(n.words, " "), separator) || len(n.words) > long+2*maxFolded {
			t.Fatalf("%q: %q", name, n.words)
		}
	})
}
