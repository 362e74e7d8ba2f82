package indextest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/storage/index"
)

// deepPages holds that pages far behind the first one are the same as one long list has them, at each level and with
// filters; that what comes in between two pages of a walk neither repeats nor loses a row; and that a new walk is right.
func deepPages(t *testing.T, x Index) {
	const studies = 700
	tape := NewTape(t)
	attributes := func(i int) map[string]string {
		return map[string]string{
			"StudyDate": fmt.Sprintf("2026%02d%02d", 1+i%12, 1+i%28), "StudyTime": fmt.Sprintf("%02d00", i%24), "Modality": []string{"US", "CT"}[i%2],
			"SeriesNumber": "1", "InstanceNumber": fmt.Sprint(i % 7),
		}
	}
	for i := range studies {
		tape.Stored(Instance{Study: fmt.Sprintf("1.2.%d", i), Attributes: attributes(i), Received: Epoch.Add(time.Duration(i) * time.Second)})
	}
	for i := range studies { // one study of many series, one series of many instances
		a := attributes(0)
		a["SeriesNumber"] = fmt.Sprint(i % 9)
		tape.Stored(Instance{Study: "1.2.0", Series: fmt.Sprintf("1.2.0.%d", 10+i), Attributes: a, Received: Epoch.Add(time.Hour)})
		a["InstanceNumber"] = fmt.Sprint(i % 9)
		tape.Stored(Instance{Study: "1.2.1", Series: "1.2.1.1", SOP: fmt.Sprintf("1.2.1.1.%d", 10+i), Attributes: a, Received: Epoch.Add(time.Hour)})
	}
	apply(t, x, tape.Records...)

	uid := [...]string{"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
	match := func(pairs ...string) (out []index.Match) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, index.Match{Keyword: pairs[i], Values: strings.Split(pairs[i+1], "|")})
		}
		return out
	}
	for _, c := range []struct {
		name string
		q    index.Query
	}{
		{"studies", index.Query{}},
		{"studies of a modality", index.Query{Matches: match("ModalitiesInStudy", "US")}},
		{"studies between dates", index.Query{Matches: match("StudyDate", "20260101-20261131")}},
		{"series", index.Query{Level: index.SeriesLevel}},
		{"series of a study", index.Query{Level: index.SeriesLevel, Matches: match("StudyInstanceUID", "1.2.0")}},
		{"series of two studies", index.Query{Level: index.SeriesLevel, Matches: match("StudyInstanceUID", "1.2.0|1.2.1")}},
		{"instances", index.Query{Level: index.InstanceLevel}},
		{"instances of a study", index.Query{Level: index.InstanceLevel, Matches: match("StudyInstanceUID", "1.2.0")}},
		{"instances of a series", index.Query{Level: index.InstanceLevel, Matches: match("StudyInstanceUID", "1.2.1", "SeriesInstanceUID", "1.2.1.1")}},
		{"instances of a series alone", index.Query{Level: index.InstanceLevel, Matches: match("SeriesInstanceUID", "1.2.1.1")}},
	} {
		keyword := uid[c.q.Level]
		want := column(search(t, x, c.q), keyword)
		for _, limit := range []int{101, 250} {
			for _, beyond := range []int{0, 1} { // readers that ask for one row more than they show
				var got []string
				for offset := 0; offset < len(want); offset += limit {
					q := c.q
					q.Limit, q.Offset = limit+beyond, offset
					page := column(search(t, x, q), keyword)
					got = append(got, page[:min(limit, len(page))]...)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s in pages of %d+%d: not the rows of the whole list", c.name, limit, beyond)
				}
			}
		}
		for _, offset := range []int{650, 600, 505, 511, 512, 513, len(want) - 1, len(want), len(want) + 5} { // jumps, where places are remembered
			q := c.q
			q.Limit, q.Offset = 101, offset
			page := want[min(offset, len(want)):min(offset+101, len(want))]
			if got := column(search(t, x, q), keyword); !slices.Equal(got, append([]string{}, page...)) {
				t.Errorf("%s: other rows than the list has behind %d", c.name, offset)
			}
		}
	}

	// Studies come in at the front between two pages.
	before := column(search(t, x, index.Query{}), uid[0])
	var got []string
	for page := range 8 {
		rows := search(t, x, index.Query{Limit: 100, Offset: page * 100})
		got = append(got, column(rows, uid[0])...)
		if page >= 5 {
			a := attributes(0)
			a["StudyDate"] = fmt.Sprintf("2027010%d", page)
			apply(t, x, tape.Stored(Instance{Study: fmt.Sprintf("1.3.%d", page), Attributes: a}))
		}
	}
	if !slices.Equal(got, before) {
		t.Errorf("a walk in which studies came in has %d rows, of %d", len(got), len(before))
	}
	// The next walk has them, and meets nothing of the one before.
	after := column(search(t, x, index.Query{}), uid[0])
	got = nil
	for page := range 8 {
		got = append(got, column(search(t, x, index.Query{Limit: 100, Offset: page * 100}), uid[0])...)
	}
	if !slices.Equal(got, after) {
		t.Errorf("the next walk has %d rows, of %d", len(got), len(after))
	}
}
