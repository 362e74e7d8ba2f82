package index

import (
	"regexp"
	"strings"
)

var nameColumns = [...]string{"name_alphabetic", "name_ideographic", "name_phonetic"}

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
			return "(" + c.indexedName(s, true) + " OR " + c.indexedName(whole, false) + ")"
		}
		return c.indexedName(s, true)
	}
	return or([]string{c.unindexedName("s.", p), amongOthers([]string{c.unindexedName("q.", p)})})
}

func (c *condition) unindexedName(alias string, p pattern) string {
	if s, ok := p.within(); ok {
		return c.dialect.contains(alias+"names", c.arg(s)) // no group has a separator, so s lies in one
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

// indexedName asks one index for each component group.
func (c *condition) indexedName(s string, prefix bool) string {
	low := c.arg(s)
	high := low
	if prefix {
		high = c.arg(s + string(lastRune))
	}
	var from []string
	for _, column := range nameColumns {
		test := column + " = " + low
		if prefix {
			test = column + " >= " + low + " AND " + column + " < " + high
		}
		from = append(from, "SELECT id FROM studies WHERE tenant = $1 AND "+test, "SELECT study_id FROM patients WHERE tenant = $1 AND "+test)
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
		all = append(all, c.dialect.contains(alias+"names", c.arg(w)), c.dialect.contains(alias+"words", c.arg(" "+w)))
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
