package httpbody

import (
	"strconv"
	"strings"
)

// MediaType is a Content-Type or one alternative of an Accept header.
type MediaType struct {
	Type   string            // lower case, "type/subtype"
	Params map[string]string // names in lower case
}

// ParseMediaType reads a Content-Type (RFC 9110 §8.3.1). It is more lenient than mime.ParseMediaType: many
// DICOMweb clients send type=application/dicom without the quotes that a slash asks for. Of a parameter
// given twice the first counts; ok is false when there is no type.
func ParseMediaType(s string) (m MediaType, ok bool) {
	fields := splitQuoted(s, ';')
	m.Type = strings.ToLower(strings.TrimSpace(fields[0]))
	kind, sub, found := strings.Cut(m.Type, "/")
	if !found || !isToken([]byte(kind)) || !isToken([]byte(sub)) {
		return MediaType{}, false
	}
	m.Params = map[string]string{}
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := m.Params[name]; name == "" || twice {
			continue
		}
		m.Params[name] = unquote(strings.TrimSpace(value))
	}
	return m, true
}

// maxBoundary is the longest boundary that is searched for, bytes. RFC 2046 §5.1.1 allows 70, but Orthanc 1.10
// sends 73 (two UUIDs); a sender who asks for much more wants us to work.
const maxBoundary = 256

// ValidBoundary tells whether s may be a boundary: 1 to 256 characters of a fixed set, no blank at the
// end (RFC 2046 §5.1.1, which has at most 70).
func ValidBoundary(s string) bool {
	if len(s) == 0 || len(s) > maxBoundary || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("'()+_,-./:=? ", rune(c)) {
			return false
		}
	}
	return true
}

// Preferred returns which of offers the Accept header likes best, "" for none (RFC 9110 §12.5.1). Without
// a header the first offer is taken; of equally good ones the earlier offer.
func Preferred(accept []string, offers ...string) string {
	joined := strings.Join(accept, ",")
	if strings.TrimSpace(joined) == "" {
		return offers[0]
	}
	best, bestQ := "", 0.0
	ranges := splitQuoted(joined, ',')
	for _, offer := range offers {
		if q := quality(ranges, offer); q > bestQ {
			best, bestQ = offer, q
		}
	}
	return best
}

// quality is the weight of the most specific range that covers offer.
func quality(ranges []string, offer string) float64 {
	q, specific := 0.0, 0
	kind, _, _ := strings.Cut(offer, "/")
	for _, r := range ranges {
		m, ok := ParseMediaType(r)
		if !ok {
			continue
		}
		level := 0
		switch m.Type {
		case offer:
			level = 3
		case kind + "/*":
			level = 2
		case "*/*":
			level = 1
		}
		if level > specific {
			specific, q = level, weight(m.Params)
		}
	}
	return q
}

func weight(params map[string]string) float64 {
	s, ok := params["q"]
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// splitQuoted splits s at sep outside of quoted strings. It returns at least one field.
func splitQuoted(s string, sep byte) []string {
	var out []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == sep:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
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
