package index

import (
	"regexp"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/pinyin"
)

// nameColumns are the component groups, and pinyin where a name is in Han characters alone: as a device would have
// written it. Patterns are compared with all, whole values with the groups.
var nameColumns = [...]string{"name_alphabetic", "name_ideographic", "name_phonetic", "name_pinyin"}

const nameGroupColumns = 3

// patientName matches PatientName: any component group of the value with any of the stored name
// (PS3.4 §C.2.2.2.1.1 leaves it to us which).
func (c *condition) patientName(values []string, fuzzy bool) ([]string, error) {
	var parts []string
	for _, v := range values {
		found := false
		for g := range strings.SplitSeq(v, "=") {
			p, err := parse("PatientName", g, true)
			if err != nil {
				return nil, err
			}
			if p.universal() {
				continue
			}
			found = true
			parts = append(parts, c.nameGroup(p))
		}
		if !found {
			return nil, nil
		}
		if fuzzy {
			if all := c.fuzzyName("s.", v); all != "" {
				parts = append(parts, all, amongOthers([]string{c.fuzzyName("q.", v)}))
			}
		}
	}
	return parts, nil
}

// nameGroup compares a pattern with each component group of each patient's name.
func (c *condition) nameGroup(p pattern) string {
	if s, ok := p.exact(); ok {
		return c.indexedName(s, false)
	}
	if s, ok := p.prefix(); ok {
		// What ends in ^ goes on with an empty component: "zhang^*" finds "zhang" too.
		if whole := strings.TrimRight(s, "^ "); whole != s && whole != "" {
			return or([]string{c.indexedName(s, true), c.indexedName(whole, false)})
		}
		return c.indexedName(s, true)
	}
	return or([]string{c.unindexedName("s.", p), amongOthers([]string{c.unindexedName("q.", p)})})
}

func (c *condition) unindexedName(alias string, p pattern) string {
	if s, ok := p.within(); ok {
		// No group has a separator, so s lies in one, or in a spelling. Spellings have no ^ and no spaces.
		tests := []string{c.dialect.contains(alias+"names", c.arg(s))}
		for _, form := range pinyin.Typed(s) {
			if form != s {
				tests = append(tests, c.dialect.contains(alias+"names", c.arg(form)))
			}
		}
		return or(tests)
	}
	var like []string
	for _, column := range nameColumns {
		like = append(like, alias+column+" LIKE "+c.arg(p.like())+" ESCAPE '~'")
	}
	if s := p.longest(); s != "" { // first by the column that lies in the index of the newest studies
		return "(" + c.dialect.contains(alias+"names", c.arg(s)) + " AND " + or(like) + ")"
	}
	return or(like)
}

// indexedName asks one index for each component group, and for a beginning that of pinyin.
func (c *condition) indexedName(s string, prefix bool) string {
	var from []string
	ask := func(column, s string) {
		low := c.arg(s)
		test := column + " = " + low
		if prefix {
			test = column + " >= " + low + " AND " + column + " < " + c.arg(s+string(lastRune))
		}
		from = append(from, "SELECT id FROM studies WHERE tenant = $1 AND "+test, "SELECT study_id FROM patients WHERE tenant = $1 AND "+test)
	}
	for _, column := range nameColumns[:nameGroupColumns] {
		ask(column, s)
	}
	if prefix {
		for _, form := range pinyin.TypedName(s) {
			ask(nameColumns[nameGroupColumns], form)
		}
	}
	return "s.id IN (" + strings.Join(from, " UNION ALL ") + ")"
}

// fuzzyWords splits a value for fuzzy matching (PS3.18 §8.3.4.2); wildcards divide words.
func fuzzyWords(v string) []string {
	return words(fold(strings.NewReplacer("*", " ", "?", " ").Replace(v)))
}

// fuzzyName holds when each word of the value begins a word of the name. Han, kana and Hangul, which
// are written without spaces, may stand anywhere in it.
func (c *condition) fuzzyName(alias, v string) string {
	var all []string
	for _, w := range fuzzyWords(v) {
		if isDense(w) {
			first := string([]rune(w)[:1])
			all = append(all, c.dialect.contains(alias+"names", c.arg(first)), c.dialect.contains(alias+"words", c.arg(w)))
			continue
		}
		var forms []string
		for _, form := range append([]string{w}, pinyin.Typed(w)...) {
			if len(forms) == 0 || form != w {
				forms = append(forms, "("+c.dialect.contains(alias+"names", c.arg(form))+" AND "+c.dialect.contains(alias+"words", c.arg(" "+form))+")")
			}
		}
		all = append(all, or(forms))
	}
	if len(all) == 0 {
		return ""
	}
	return "(" + strings.Join(all, " AND ") + ")"
}

// fuzzyTerms is fuzzyName for names that have no column.
func (c *condition) fuzzyTerms(column, expression, v string) string {
	var all []string
	for _, w := range fuzzyWords(v) {
		e := expression + "([^" + separator + "]*[ ^=,.'-])?" + regexp.QuoteMeta(w)
		if isDense(w) {
			e = expression + "[^" + separator + "]*" + strings.Join(strings.Split(w, ""), "[ ^]*")
		}
		all = append(all, c.dialect.matches(column, c.arg(e)))
	}
	if len(all) == 0 {
		return ""
	}
	return "(" + strings.Join(all, " AND ") + ")"
}
