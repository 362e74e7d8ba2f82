package web

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tributary-dicom/tributary/storage/index"
)

// stages says where to look for a text. The queries of a stage are asked together and their rows merged; a later stage is
// asked only when those before it find nothing at all.
//
// What the text looks like decides. Digits alone and letters with digits are a Patient ID or an accession number: first
// as its beginning, then anywhere in it ("20417" finds K-20417). Hanzi and letters are a name, in hanzi, in pinyin with or
// without spaces, or in Latin letters; the index compares (index.Query.Fuzzy). Both together must both hold. A UID is
// a study's. What was taken for the one and finds nothing is looked for as the other: there are IDs without digits, and
// names with some.
func stages(text string) [][][]index.Match {
	if text == "" {
		return [][][]index.Match{{nil}}
	}
	name := func(s string) index.Match { return index.Match{Keyword: "PatientName", Values: []string{s}} }
	id := func(s string) index.Match { return index.Match{Keyword: "PatientID", Values: []string{s}} }
	accession := func(s string) index.Match { return index.Match{Keyword: "AccessionNumber", Values: []string{s}} }
	either := func(s string, more ...index.Match) [][]index.Match {
		return [][]index.Match{append([]index.Match{id(s)}, more...), append([]index.Match{accession(s)}, more...)}
	}
	begins := func(s string) string { return strings.TrimRight(s, "*") + "*" }
	within := func(s string) string { return "*" + strings.Trim(s, "*") + "*" }

	// 2.25.NUMBER has two dots; an ID with two is shorter.
	if dots := strings.Count(text, "."); validUID(text) && (dots >= 3 || dots == 2 && len(text) >= 16) {
		return [][][]index.Match{{{{Keyword: "StudyInstanceUID", Values: []string{text}}}}, either(begins(text))}
	}
	var words, numbers []string
	for _, w := range strings.Fields(text) {
		if strings.ContainsFunc(w, unicode.IsDigit) {
			numbers = append(numbers, w)
		} else {
			words = append(words, w)
		}
	}
	switch asName := []index.Match{name(text)}; {
	case len(numbers) == 0:
		return [][][]index.Match{{asName}, either(begins(text)), either(within(text))}
	case len(words) == 0:
		return [][][]index.Match{either(begins(text)), either(within(text)), {asName}}
	default:
		of := name(strings.Join(words, " "))
		number := strings.Join(numbers, " ")
		return [][][]index.Match{either(begins(number), of), either(begins(text)), either(within(number), of), {asName}}
	}
}

// found is one page of studies.
type found struct {
	rows []index.Row
	more bool // there is a page behind it
}

// find asks for the page of studies that a form names. Every question is bounded: it reads one page, and of a stage with
// several queries what comes before that too.
func (p *pages) find(ctx context.Context, tenant string, f searchForm, now time.Time) (found, error) {
	var fixed []index.Match
	if d := f.dates(now); d != "" {
		fixed = append(fixed, index.Match{Keyword: "StudyDate", Values: []string{d}})
	}
	if f.Modality != "" {
		fixed = append(fixed, index.Match{Keyword: "ModalitiesInStudy", Values: []string{f.Modality}})
	}
	skip := f.Page * pageRows
	for _, queries := range stages(f.Text) {
		var rows []index.Row
		for _, matches := range queries {
			q := index.Query{
				Tenant: tenant, Level: index.StudyLevel, Fuzzy: true, Matches: append(slices.Clone(matches), fixed...),
				Limit: skip + pageRows + 1,
			}
			if len(queries) == 1 && skip > 0 {
				// One query's page is at its offset. The row before it tells whether this stage found anything.
				q.Offset, q.Limit = skip-1, pageRows+2
			}
			some, err := p.Index.Search(ctx, q)
			if err != nil {
				return found{}, err
			}
			rows = append(rows, some...)
		}
		if len(rows) == 0 {
			continue
		}
		if len(queries) > 1 {
			rows = merge(rows)
			rows = rows[min(skip, len(rows)):]
		} else if skip > 0 {
			rows = rows[1:]
		}
		return found{rows[:min(pageRows, len(rows))], len(rows) > pageRows}, nil
	}
	return found{}, nil
}

// merge puts the studies of several queries into one order, newest first, each once.
func merge(rows []index.Row) []index.Row {
	newest := func(a, b index.Row) int {
		x, y := a.Attributes, b.Attributes
		return cmp.Or(
			strings.Compare(y["StudyDate"], x["StudyDate"]), strings.Compare(y["StudyTime"], x["StudyTime"]),
			strings.Compare(y["StudyInstanceUID"], x["StudyInstanceUID"]),
		)
	}
	slices.SortStableFunc(rows, newest)
	return slices.CompactFunc(rows, func(a, b index.Row) bool {
		return a.Attributes["StudyInstanceUID"] == b.Attributes["StudyInstanceUID"]
	})
}
