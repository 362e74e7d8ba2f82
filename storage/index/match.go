package index

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a query. What is longer matches nothing anyway (PS3.5 Table 6.2-1), but costs.
const (
	maxMatches      = 64
	maxValueBytes   = 1024
	maxAlternatives = 64
	maxUIDs         = 2000 // opened studies of a viewer, a list of a C-FIND; SQLite binds 32,766
)

// condition gathers the SQL of a query. Values only ever become parameters.
type condition struct {
	dialect dialect
	level   Level
	where   []string
	args    []any
}

func (c *condition) arg(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

func (c *condition) and(sql string) { c.where = append(c.where, sql) }

// or is how the alternatives of one key are joined.
func or(alternatives []string) string {
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return "(" + strings.Join(alternatives, " OR ") + ")"
}

var alias = [...]string{StudyLevel: "s.", SeriesLevel: "e.", InstanceLevel: "i."}

// match adds one matching key.
func (c *condition) match(m Match, fuzzy bool) error {
	a, ok := known[m.Keyword]
	if !ok || a.level > c.level {
		return fmt.Errorf("%s: %w", m.Keyword, ErrUnsupportedMatch)
	}
	values, err := alternatives(m, a.vr)
	if err != nil || len(values) == 0 {
		return err
	}
	var parts []string
	switch {
	case m.Keyword == "PatientName":
		parts, err = c.patientName(values, fuzzy)
	case ofPatient[m.Keyword]:
		parts, err = c.patient(m.Keyword, a, values, fuzzy)
	default:
		parts, err = c.tests(alias[a.level], m.Keyword, a, values, fuzzy)
	}
	if err != nil {
		return err
	}
	if len(parts) > 0 {
		c.and(or(parts))
	}
	return nil
}

// tests returns the alternatives of a key for columns of the table called alias.
func (c *condition) tests(alias, keyword string, a attribute, values []string, fuzzy bool) ([]string, error) {
	column := alias + a.column
	switch {
	case a.column == "modalities" || a.column == "sop_classes":
		return c.sets(column, a.vr, values)
	case a.column == "":
		return c.terms(alias+"terms", keyword, a.vr, values, fuzzy)
	case a.vr == "UI":
		if a.column == "sop_instance_uid" {
			// Says again what the join says, so that the unique key serves.
			c.and("i.tenant = $1 AND i.superseded = ''")
		}
		return []string{c.in(column, values)}, nil
	case isNumber(a.vr):
		return c.numbers(column, keyword, values)
	case a.vr == "DA" || a.vr == "TM" || a.vr == "DT":
		return c.moments(column, keyword, a.vr, values)
	}
	return c.text(column, keyword, values)
}

// patient returns the alternatives of a key that each patient of a study may match.
func (c *condition) patient(keyword string, a attribute, values []string, fuzzy bool) ([]string, error) {
	if a.column == "patient_id" {
		return c.patientID(values)
	}
	parts, err := c.tests("s.", keyword, a, values, fuzzy)
	if err != nil || len(parts) == 0 {
		return nil, err
	}
	others, err := c.tests("q.", keyword, a, values, fuzzy)
	return append(parts, amongOthers(others)), err
}

// amongOthers asks the further patients of studies that have several. There are few such rows in all.
func amongOthers(tests []string) string {
	return "s.id IN (SELECT q.study_id FROM patients q WHERE q.tenant = $1 AND " + or(tests) + ")"
}

// patientID asks the index of patients for values and beginnings, which are most searches.
func (c *condition) patientID(values []string) ([]string, error) {
	var parts, indexed, rest []string
	for _, v := range values {
		p, err := parse("PatientID", v, false)
		if err != nil {
			return nil, err
		}
		if p.universal() {
			return nil, nil
		}
		if s, ok := p.exact(); ok {
			indexed = append(indexed, "patient_id = "+c.arg(s))
		} else if _, ok := p.prefix(); ok {
			indexed = append(indexed, c.like("patient_id", p))
		} else {
			parts = append(parts, c.like("s.patient_id", p))
			rest = append(rest, c.like("q.patient_id", p))
		}
	}
	if len(rest) > 0 {
		parts = append(parts, amongOthers(rest))
	}
	var from []string
	for _, test := range indexed {
		from = append(from, "SELECT id FROM studies WHERE tenant = $1 AND "+test, "SELECT study_id FROM patients WHERE tenant = $1 AND "+test)
	}
	if len(from) > 0 {
		parts = append(parts, "s.id IN ("+strings.Join(from, " UNION ALL ")+")")
	}
	return parts, nil
}

// alternatives returns the values of a key, none when everything matches.
func alternatives(m Match, vr string) ([]string, error) {
	most := maxAlternatives
	if vr == "UI" {
		most = maxUIDs
	}
	var out []string
	for _, v := range m.Values {
		if len(v) > most*maxValueBytes {
			return nil, fmt.Errorf("%s: value is too long: %w", m.Keyword, ErrBadQuery)
		}
		for rest, more := v, true; more; {
			v, rest, more = strings.Cut(rest, `\`)
			v = strings.Trim(v, " \x00")
			switch {
			case v == "":
				continue
			case strings.Trim(v, "*") == "":
				return nil, nil
			case len(v) > maxValueBytes:
				return nil, fmt.Errorf("%s: value is too long: %w", m.Keyword, ErrBadQuery)
			case len(out) == most:
				return nil, fmt.Errorf("%s: more than %d values: %w", m.Keyword, most, ErrBadQuery)
			}
			if vr == "UI" {
				v = foldUID(v)
			}
			out = append(out, strings.ToValidUTF8(v, "\uFFFD"))
		}
	}
	return out, nil
}

func parse(keyword, value string, name bool) (pattern, error) {
	p, ok := parsePattern(value, name)
	if !ok {
		return nil, fmt.Errorf("%s: more than %d wildcards: %w", keyword, maxWildcards, ErrBadQuery)
	}
	return p, nil
}

func (c *condition) in(column string, values []string) string {
	if len(values) == 1 {
		return column + " = " + c.arg(values[0])
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = c.arg(v)
	}
	return column + " IN (" + strings.Join(list, ", ") + ")"
}

// text matches a column that holds one folded value or NULL.
func (c *condition) text(column, keyword string, values []string) ([]string, error) {
	var parts, exact []string
	for _, v := range values {
		p, err := parse(keyword, v, false)
		if err != nil {
			return nil, err
		}
		if p.universal() {
			return nil, nil
		}
		if s, ok := p.exact(); ok {
			exact = append(exact, s)
			continue
		}
		parts = append(parts, c.like(column, p))
	}
	if len(exact) > 0 {
		parts = append(parts, c.in(column, exact))
	}
	return parts, nil
}

// like matches a pattern with wildcards by the cheapest test that is exact.
func (c *condition) like(column string, p pattern) string {
	if s, ok := p.prefix(); ok {
		return "(" + column + " >= " + c.arg(s) + " AND " + column + " < " + c.arg(s+string(lastRune)) + ")"
	}
	if s, ok := p.within(); ok {
		return c.dialect.contains(column, c.arg(s))
	}
	like := column + " LIKE " + c.arg(p.like()) + " ESCAPE '~'"
	if s := p.longest(); s != "" {
		return "(" + c.dialect.contains(column, c.arg(s)) + " AND " + like + ")"
	}
	return like
}

func (c *condition) numbers(column, keyword string, values []string) ([]string, error) {
	var list []string
	for _, v := range values {
		n := number(v)
		if n == noNumber {
			return nil, fmt.Errorf("%s: no whole number: %w", keyword, ErrBadQuery)
		}
		list = append(list, c.arg(n))
	}
	return []string{column + " IN (" + strings.Join(list, ", ") + ")"}, nil
}

// moments matches a DA, TM or DT column. One value stands for all moments that it does not tell apart:
// the TM "10" is any time from ten to before eleven.
func (c *condition) moments(column, keyword, vr string, values []string) ([]string, error) {
	var parts []string
	for _, v := range values {
		r, ok := parseRange(vr, v)
		switch {
		case !ok:
			return nil, fmt.Errorf("%s: neither a %s nor a range: %w", keyword, vr, ErrBadQuery)
		case r.low == r.high:
			parts = append(parts, column+" = "+c.arg(r.low))
		case r.high == "":
			parts = append(parts, column+" >= "+c.arg(r.low))
		case r.low == "":
			parts = append(parts, "("+column+" > '' AND "+column+" <= "+c.arg(r.high)+")")
		default:
			parts = append(parts, "("+column+" >= "+c.arg(r.low)+" AND "+column+" <= "+c.arg(r.high)+")")
		}
	}
	return parts, nil
}

// sets matches a column of the form \a\b\.
func (c *condition) sets(column, vr string, values []string) ([]string, error) {
	var parts []string
	for _, v := range values {
		if vr == "UI" {
			parts = append(parts, c.dialect.contains(column, c.arg(`\`+v+`\`)))
			continue
		}
		p, err := parse("ModalitiesInStudy", v, false)
		if err != nil {
			return nil, err
		}
		if p.universal() {
			return nil, nil
		}
		if s, ok := p.exact(); ok {
			parts = append(parts, c.dialect.contains(column, c.arg(`\`+s+`\`)))
		} else {
			parts = append(parts, c.dialect.matches(column, c.arg(`\\`+p.expression(`\\`)+`\\`)))
		}
	}
	return parts, nil
}

// terms matches an attribute without a column of its own.
func (c *condition) terms(column, keyword, vr string, values []string, fuzzy bool) ([]string, error) {
	var parts []string
	begin := separator + keyword + "="
	expression := separator + strings.ReplaceAll(keyword, ".", `\.`) + "="
	for _, v := range values {
		groups := []string{v}
		switch {
		case vr == "UI":
			parts = append(parts, c.dialect.contains(column, c.arg(begin+fold(v)+separator)))
			continue
		case isNumber(vr):
			if number(v) == noNumber {
				return nil, fmt.Errorf("%s: no whole number: %w", keyword, ErrBadQuery)
			}
			v = foldValue(vr, v)
			groups[0] = v
		case vr == "PN":
			groups = strings.Split(v, "=")
		}
		found := false
		for _, g := range groups {
			p, err := parse(keyword, g, vr == "PN")
			if err != nil {
				return nil, err
			}
			if p.universal() {
				continue
			}
			found = true
			if s, ok := p.exact(); ok {
				parts = append(parts, c.dialect.contains(column, c.arg(begin+s+separator)))
			} else if s, ok := p.prefix(); ok {
				parts = append(parts, c.dialect.contains(column, c.arg(begin+s)))
			} else {
				parts = append(parts, c.dialect.matches(column, c.arg(expression+p.expression(separator)+separator)))
			}
		}
		if !found {
			return nil, nil
		}
		if fuzzy && vr == "PN" {
			if all := c.fuzzyTerms(column, expression, v); all != "" {
				parts = append(parts, all)
			}
		}
	}
	return parts, nil
}
