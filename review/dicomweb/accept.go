package dicomweb

import (
	"net/http"
	"slices"
	"strings"
)

// Media types that we speak.
const (
	typeDICOM       = "application/dicom"
	typeDICOMJSON   = "application/dicom+json"
	typeJSON        = "application/json"
	typeOctetStream = "application/octet-stream"
	typePDF         = "application/pdf"
	typeRelated     = "multipart/related"
)

// Bounds of what we read of one Accept header. Browsers send ten media ranges; more than these are
// dropped, since a header is answered, not refused.
const (
	maxAcceptBytes  = 16 << 10
	maxAcceptRanges = 64
)

// mediaRange is one element of an Accept header (RFC 9110 §12.5.1).
type mediaRange struct {
	name   string            // "type/subtype" in lower case
	params map[string]string // by name in lower case, without q
	q      int               // weight in thousandths
}

// parseAccept reads Accept values as one list, the preferred range first. It is lenient where clients
// are sloppy: parameter values with slashes or asterisks need no quotes, "*" is "*/*". Nothing readable
// means that everything is acceptable.
func parseAccept(values []string) []mediaRange {
	var all []mediaRange
	budget := maxAcceptBytes
	for _, v := range values {
		if len(v) > budget {
			v = v[:budget]
		}
		budget -= len(v)
		for _, element := range splitOutsideQuotes(v, ',') {
			if m, ok := parseMediaRange(element); ok && len(all) < maxAcceptRanges {
				all = append(all, m)
			}
		}
	}
	if len(all) == 0 {
		return []mediaRange{{name: "*/*", q: 1000}}
	}
	slices.SortStableFunc(all, func(a, b mediaRange) int {
		if a.q != b.q {
			return b.q - a.q
		}
		return a.stars() - b.stars()
	})
	return all
}

func parseMediaRange(s string) (mediaRange, bool) {
	fields := splitOutsideQuotes(s, ';')
	m := mediaRange{name: strings.ToLower(strings.TrimSpace(fields[0])), q: 1000}
	if m.name == "*" {
		m.name = "*/*"
	}
	if t, sub, ok := strings.Cut(m.name, "/"); !ok || t == "" || sub == "" || strings.ContainsAny(m.name, " \t\"") {
		return m, false
	}
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), unquote(strings.TrimSpace(value))
		switch name {
		case "":
		case "q":
			m.q = parseWeight(value)
		default:
			if m.params == nil {
				m.params = make(map[string]string, 2)
			}
			m.params[name] = value
		}
	}
	return m, true
}

// parseWeight reads a qvalue (RFC 9110 §12.4.2) as thousandths; what is no qvalue counts as 1.
func parseWeight(s string) int {
	whole, frac, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "" || s == "" {
		return 1000
	}
	q := 0
	for i := range 3 {
		q *= 10
		if i < len(frac) {
			if frac[i] < '0' || frac[i] > '9' {
				return 1000
			}
			q += int(frac[i] - '0')
		}
	}
	return q
}

// splitOutsideQuotes splits s at sep, but not within quoted strings.
func splitOutsideQuotes(s string, sep byte) []string {
	var out []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// unquote undoes a quoted-string (RFC 9110 §5.6.4); other text is returned as it is.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return strings.Trim(s, `"`)
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func (m mediaRange) stars() int { return strings.Count(m.name, "*") }

// offer is one form in which we can answer.
type offer struct {
	multipart bool // wrapped in multipart/related
	name      string
}

func (o offer) String() string {
	if o.multipart {
		return typeRelated + `; type="` + o.name + `"`
	}
	return o.name
}

// takes reports whether o is what m asks for, transfer syntax aside.
func (m mediaRange) takes(o offer) bool {
	switch {
	case m.name == "*/*":
		return true
	case o.multipart:
		if m.name != typeRelated && m.name != "multipart/*" {
			return false
		}
		want, ok := m.params["type"]
		return !ok || sameType(strings.ToLower(want), o.name)
	default:
		return sameType(m.name, o.name)
	}
}

func sameType(pattern, name string) bool {
	if pattern == name || pattern == "*/*" || pattern == "*" {
		return true
	}
	major, ok := strings.CutSuffix(pattern, "/*")
	return ok && strings.HasPrefix(name, major+"/")
}

// choices returns the offers that accept takes, the client's favourite first and ours among equals.
func choices(accept []mediaRange, offers []offer) []offer {
	var out []offer
	for _, m := range accept {
		for _, o := range offers {
			if m.q > 0 && m.takes(o) && !refused(accept, o) && !slices.Contains(out, o) {
				out = append(out, o)
			}
		}
	}
	return out
}

// refused reports whether o is named with weight 0.
func refused(accept []mediaRange, o offer) bool {
	return slices.ContainsFunc(accept, func(m mediaRange) bool { return m.q == 0 && m.stars() == 0 && m.takes(o) })
}

// syntaxTaken reports whether the client takes o in one of the given transfer syntaxes. A range without
// the parameter takes the stored one: PS3.18 §8.7.3.5.2 would have the default syntax then, but clients
// leave the parameter out and decode what comes.
func syntaxTaken(accept []mediaRange, o offer, syntaxes ...string) bool {
	return slices.ContainsFunc(accept, func(m mediaRange) bool {
		if m.q == 0 || !m.takes(o) {
			return false
		}
		want, ok := m.params["transfer-syntax"]
		return !ok || want == "*" || slices.Contains(syntaxes, want)
	})
}

// acceptOf returns what the client accepts: the accept query parameter, which browsers can set
// (PS3.18 §8.3.3.1), before the Accept header.
func acceptOf(r *http.Request, params []param) []mediaRange {
	var values []string
	for _, p := range params {
		if p.key == "accept" && p.value != "" {
			values = append(values, p.value)
		}
	}
	if values == nil {
		values = r.Header.Values("Accept")
	}
	return parseAccept(values)
}

// notAcceptable is the answer when no offer is taken.
func notAcceptable(offers []offer, format string, args ...any) error {
	names := make([]string, len(offers))
	for i, o := range offers {
		names[i] = o.String()
	}
	args = append(args, strings.Join(names, ", "))
	return fail(http.StatusNotAcceptable, format+"; served as: %s", args...)
}
