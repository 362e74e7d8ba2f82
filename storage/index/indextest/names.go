package indextest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/storage/index"
)

// hanNames are studies 1.2.1, 1.2.2, …, as devices send them.
var hanNames = []string{
	1:  "=张^三",
	2:  "张三丰",
	3:  "Zhang^Wei=张^伟",
	4:  "=单^雄信",
	5:  "=曾^國藩",
	6:  "=尉遲^恭",
	7:  "=吕^布",
	8:  "=盧^俊義",
	9:  "長孫無忌",
	10: "みゅら^ゆるげん",
	11: "=區^志豪",
	12: "Lin^Yu",
}

// spelled holds that a name in Han characters is found by how it is typed in letters: by fuzzy matching, by beginnings, and
// by what stands between two *; and that it is not taken for that by exact matching.
func spelled(t *testing.T, x Index) {
	tape := NewTape(t)
	for i, name := range hanNames {
		if name != "" {
			tape.Stored(Instance{Study: fmt.Sprintf("1.2.%d", i), Attributes: map[string]string{"PatientName": name, "PatientID": fmt.Sprint(i)}})
		}
	}
	// A study of two patients is found by the second one too.
	tape.Stored(Instance{Study: "1.2.3", SOP: "1.2.3.1.9", Received: Epoch.Add(1), Attributes: map[string]string{"PatientName": "=查^良鏞", "PatientID": "77"}})
	apply(t, x, tape.Records...)
	find := func(q index.Query) string {
		t.Helper()
		found := column(search(t, x, q), "StudyInstanceUID")
		for i := range found {
			found[i] = fmt.Sprintf("%02s", strings.TrimPrefix(found[i], "1.2."))
		}
		slices.Sort(found)
		for i := range found {
			found[i] = strings.TrimLeft(found[i], "0")
		}
		return strings.Join(found, " ")
	}
	for _, c := range []struct {
		value, exact, fuzzy string
	}{
		{"zhangsan", "", "1 2"},
		{"Zhang San", "", "1 2"},
		{"zhang^san", "", "1 2"},
		{"san zhang", "", "1 2"},
		{"Zhang", "", "1 2 3 9"},
		{"Zhang*", "1 2 3 9", "1 2 3 9"},
		{"*zhang*", "1 2 3 9", "1 2 3 9"},
		{"*zhangsan*", "1 2", "1 2"},
		{"*zhang san*", "1 2", "1 2"},
		{"*zhang^san*", "1 2", "1 2"},
		{"zhang^s*", "1 2", "1 2 9"},
		{"zhangs*", "9", "1 2 9"},
		{"z?ang^san", "1", "1"},
		{"zhang^san*", "1 2", "1 2"},
		{"zs", "", "1 2 9"},
		{"zsf", "", "2"},
		{"*zsf*", "2", "2"},
		{"shan", "", "4"},
		{"shan*", "4", "4"},
		{"dan xiongxin", "", "4"},
		{"*danxiong*", "4", "4"},
		{"zengguofan", "", "5"},
		{"zeng*", "5", "5"},
		{"yuchi gong", "", "6"},
		{"yuchi*", "6", "6"},
		{"zhangsunwuji", "", "9"},
		{"zhangsun^*", "9", "9"},
		{"lv", "", "7"},
		{"lü", "", "7"},
		{"lyu", "", "7"},
		{"lu", "", "7 8"},
		{"lu*", "7 8", "7 8"},
		{"lv*", "7", "7"},
		{"LYU*", "7", "7"},
		{"Lü^B*", "7", "7"},
		{"*lvbu*", "7", "7"},
		{"ou*", "11", "11"},
		{"ou zhihao", "", "11"},
		{"linyu", "", ""},
		{"*Lin^Yu*", "12", "12"},
		{"zha*", "1 2 3 9", "1 2 3 9"},
		{"zha^*", "3", "1 2 3 9"},
		{"liangyong", "", "3"},
		{"张^三", "1", "1 2"},
		{"nobody", "", ""},
	} {
		for _, level := range []index.Level{index.StudyLevel, index.SeriesLevel} {
			q := index.Query{Level: level, Matches: []index.Match{{Keyword: "PatientName", Values: []string{c.value}}}}
			if level == index.SeriesLevel && strings.Contains(c.value, "^") {
				continue
			}
			if got := find(q); got != c.exact {
				t.Errorf("level %d: %s finds %q, want %q", level, c.value, got, c.exact)
			}
			q.Fuzzy = true
			if got := find(q); got != c.fuzzy {
				t.Errorf("level %d, fuzzy: %s finds %q, want %q", level, c.value, got, c.fuzzy)
			}
		}
	}
	// What the object says is what is shown.
	rows := search(t, x, index.Query{Matches: []index.Match{{Keyword: "PatientName", Values: []string{"*zhangsan*"}}}, OrderBy: []index.Order{{Keyword: "PatientName"}}})
	same(t, "names", column(rows, "PatientName"), []string{"=张^三", "张三丰"})
}
