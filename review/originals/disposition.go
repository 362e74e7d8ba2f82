package originals

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFileName bounds a file name, bytes: file systems take 255, and browsers add a number.
const maxFileName = 180

// fileName makes what a sender called its file into a name that is safe on every system: no folders, no control or
// direction characters, no sign that Windows refuses, no dots at its ends. A file without a name is called by its id.
func fileName(sent, id string) string {
	sent = path.Base(strings.ReplaceAll(sent, `\`, "/"))
	name := strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return -1
		case strings.ContainsRune(`<>:"/|?*`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, sent)
	name = strings.Trim(name, " .")
	if name == "" {
		return "original-" + ascii(id)
	}
	if len(name) > maxFileName {
		end := path.Ext(name)
		if len(end) > 12 {
			end = ""
		}
		name = strings.TrimRight(strings.ToValidUTF8(name[:maxFileName-len(end)], ""), " .") + end
	}
	return name
}

// disposition is the value of Content-Disposition (RFC 6266 §4): the name in ASCII for old clients, and as it is
// (RFC 8187) where that differs.
func disposition(name string) string {
	plain := ascii(name)
	out := `attachment; filename="` + plain + `"`
	if plain != name {
		out += "; filename*=UTF-8''" + percent(name)
	}
	return out
}

// ascii replaces what a quoted string would have to escape, what old clients take for an escape, and what is not ASCII.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%`, r) {
			return '_'
		}
		return r
	}, s)
}

// percent encodes what is no attr-char (RFC 8187 §3.2.1).
func percent(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
