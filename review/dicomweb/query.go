package dicomweb

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/dict"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Bounds of one search. Above them the request is a mistake or an attack: 400.
const (
	maxMatches  = 60   // matching keys; the index takes 64, of which the path may use two
	maxValues   = 1000 // values of one list
	maxIncludes = 512  // include fields
	maxOrder    = 8    // sort keys
	maxDepth    = 8    // sequences in an attribute path
)

// request is a search as asked: what to match, what to return, which page.
type request struct {
	matches  []index.Match
	include  []uint32 // tags to return beyond the defaults; the outermost tag of a path
	all      bool     // includefield=all
	fuzzy    bool
	order    []index.Order
	limit    int // -1 when not given
	offset   int
	warnings []string // what was ignored, for Warning headers
}

// parseSearch reads the parameters of a search transaction (PS3.18 §8.3.4, §10.6.1.2). What the standard
// lets a server ignore is ignored with a warning; what cannot mean anything fails.
func parseSearch(params []param) (request, error) {
	q := request{limit: -1}
	for _, p := range params {
		var err error
		switch strings.ToLower(p.key) {
		case "accept", "charset":
		case "includefield":
			err = q.addIncludes(p.value)
		case "fuzzymatching":
			q.fuzzy = strings.EqualFold(p.value, "true")
		case "limit":
			q.limit, err = count(p)
		case "offset":
			q.offset, err = count(p)
		case "orderby":
			err = q.addOrder(p.value)
		default:
			err = q.addMatch(p)
		}
		if err != nil {
			return request{}, err
		}
	}
	q.offset = max(q.offset, 0)
	return q, nil
}

// count reads a number of rows; beyond the range of an int32 it is cut to it.
func count(p param) (int, error) {
	s := strings.TrimSpace(p.value)
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil && !isRangeError(err) {
		return 0, fail(http.StatusBadRequest, "%s is not a whole number", p.key)
	}
	return int(n), nil
}

func isRangeError(err error) bool {
	ne, ok := err.(*strconv.NumError) //nolint:errorlint // strconv returns exactly this type
	return ok && ne.Err == strconv.ErrRange
}

// clampPage bounds limit and offset: most rows at most, standard rows where none were asked for.
func (q *request) clampPage(standard, most int) {
	if q.limit <= 0 {
		q.limit = standard
	}
	q.limit = min(q.limit, most)
	q.offset = min(q.offset, math.MaxInt32-most-1)
}

func (q *request) addIncludes(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if strings.EqualFold(name, "all") {
			q.all = true
			continue
		}
		path, ok := parsePath(name)
		if !ok {
			continue // PS3.18 §8.3.4.3: an attribute that we do not have is not returned
		}
		if len(q.include) >= maxIncludes {
			return fail(http.StatusBadRequest, "more than %d include fields", maxIncludes)
		}
		if !slices.Contains(q.include, path[0]) {
			q.include = append(q.include, path[0])
		}
	}
	return nil
}

// addOrder reads our extension orderby=StudyDate,-PatientName: keywords or tags, a minus sign for
// descending order.
func (q *request) addOrder(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		name, descending := strings.CutPrefix(name, "-")
		path, ok := parsePath(name)
		if !ok || len(path) > 1 || dict.Keyword(path[0]) == "" {
			q.warn("orderby %s is not supported and was ignored", clip(name))
			continue
		}
		if len(q.order) >= maxOrder {
			return fail(http.StatusBadRequest, "more than %d sort keys", maxOrder)
		}
		q.order = append(q.order, index.Order{Keyword: dict.Keyword(path[0]), Descending: descending})
	}
	return nil
}

func (q *request) addMatch(p param) error {
	path, ok := parsePath(p.key)
	if !ok {
		q.warn("parameter %s is not supported and was ignored", clip(p.key))
		return nil
	}
	if len(q.include) < maxIncludes && !slices.Contains(q.include, path[0]) {
		q.include = append(q.include, path[0]) // matching keys are returned (PS3.18 §10.6.3.3)
	}
	keyword, ok := keywordPath(path)
	if !ok {
		q.warn("matching on %s is not supported and was ignored", clip(p.key))
		return nil
	}
	if p.value == "" {
		return nil // universal matching
	}
	tag := path[len(path)-1]
	if !isList(tag) {
		return q.append(index.Match{Keyword: keyword, Values: []string{p.value}})
	}
	values := slices.DeleteFunc(strings.FieldsFunc(p.value, func(r rune) bool { return r == ',' || r == '\\' }),
		func(v string) bool { return strings.TrimSpace(v) == "" })
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	if len(values) == 0 {
		return nil
	}
	for i := range q.matches {
		if m := &q.matches[i]; m.Keyword == keyword { // repeated parameters are one list
			m.Values = append(m.Values, values...)
			if len(m.Values) > maxValues {
				return fail(http.StatusBadRequest, "more than %d values for one attribute", maxValues)
			}
			return nil
		}
	}
	return q.append(index.Match{Keyword: keyword, Values: values})
}

func (q *request) append(m index.Match) error {
	if len(q.matches) >= maxMatches {
		return fail(http.StatusBadRequest, "more than %d matching keys", maxMatches)
	}
	if len(m.Values) > maxValues {
		return fail(http.StatusBadRequest, "more than %d values for one attribute", maxValues)
	}
	q.matches = append(q.matches, m)
	return nil
}

func (q *request) warn(format string, args ...any) {
	const most = 8 // headers that nobody reads cost a proxy its header limit
	if len(q.warnings) < most {
		q.warnings = append(q.warnings, fmt.Sprintf(format, args...))
	}
}

// isList reports whether values of tag are separated by commas or backslashes: UIDs and code strings
// (ModalitiesInStudy, Modality), which cannot have either as text.
func isList(tag uint32) bool {
	vr := dict.VR(tag)
	return vr == "UI" || vr == "CS"
}

// parsePath reads an attribute: "PatientID", "00100020" or a path into sequences, "00400275.00400009" or
// "RequestAttributesSequence.ScheduledProcedureStepID" (PS3.18 §8.3.4.1).
func parsePath(s string) ([]uint32, bool) {
	if s == "" || len(s) > maxDepth*65 || strings.Count(s, ".") >= maxDepth {
		return nil, false
	}
	var path []uint32
	for name := range strings.SplitSeq(s, ".") {
		tag, ok := parseTag(name)
		if !ok {
			return nil, false
		}
		path = append(path, tag)
	}
	return path, true
}

func parseTag(name string) (uint32, bool) {
	if len(name) == 8 {
		if n, err := strconv.ParseUint(name, 16, 32); err == nil {
			return uint32(n), true
		}
	}
	return dict.Tag(name)
}

// keywordPath names path as the index does.
func keywordPath(path []uint32) (string, bool) {
	words := make([]string, len(path))
	for i, tag := range path {
		if words[i] = dict.Keyword(tag); words[i] == "" {
			return "", false
		}
	}
	return strings.Join(words, "."), true
}
