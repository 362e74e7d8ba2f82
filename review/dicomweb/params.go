package dicomweb

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxParams bounds the query parameters of one request. A worklist sends fifteen.
const maxParams = 512

type param struct{ key, value string }

// parseParams reads a query string in order. net/url drops every parameter with a raw semicolon, which
// media types in accept= have, so this splits by itself.
func parseParams(raw string) ([]param, error) {
	if raw == "" {
		return nil, nil
	}
	if strings.Count(raw, "&") >= maxParams {
		return nil, fail(http.StatusBadRequest, "more than %d query parameters", maxParams)
	}
	var out []param
	for field := range strings.SplitSeq(raw, "&") {
		if field == "" {
			continue
		}
		k, v, _ := strings.Cut(field, "=")
		key, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil {
			return nil, fail(http.StatusBadRequest, "the query string has a broken percent escape")
		}
		if !clean(key) || !clean(value) {
			return nil, fail(http.StatusBadRequest, "the query string is not UTF-8 text without control characters")
		}
		out = append(out, param{key, value})
	}
	return out, nil
}

func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F })
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
