package web

import (
	"fmt"
	"maps"
	"net/http"
	"strings"

	"golang.org/x/text/language"
)

// Lang is a language of the pages, as in the attribute lang of HTML.
type Lang string

// The languages. Chinese is the default.
const (
	Chinese Lang = "zh-CN"
	English Lang = "en"
)

var languages = []Lang{Chinese, English}

// phrase is a text in every language. Both may have verbs of package fmt, in the same order. An English phrase with
// two forms divided by "|" has the first for an argument of 1: "%d study|%d studies".
type phrase struct{ zh, en string }

// catalogue is phrases by key. A key begins with its owner's name and a dot.
type catalogue map[string]phrase

// phrases are the catalogues of all owners.
var phrases = merged(frameText, operatorsText, cineText, ecgText)

func merged(all ...catalogue) catalogue {
	out := catalogue{}
	for _, c := range all {
		maps.Copy(out, c)
	}
	return out
}

// text returns the phrase of key in the language, with args put in. An unknown key is returned as it is: a test holds
// that there are none.
func (l Lang) text(key string, args ...any) string {
	p, ok := phrases[key]
	if !ok {
		return key
	}
	s := p.zh
	if l == English {
		s = p.en
		if one, many, two := strings.Cut(s, "|"); two {
			s = many
			if len(args) > 0 && fmt.Sprint(args[0]) == "1" {
				s = one
			}
		}
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

// forScript returns the phrases whose keys begin with any of prefixes, for the data block that scripts read. English
// forms stay divided by "|", and verbs stay: src/frame/text.ts fills them in.
func (l Lang) forScript(prefixes []string) map[string]string {
	out := map[string]string{}
	for key, p := range phrases {
		for _, prefix := range prefixes {
			if strings.HasPrefix(key, prefix) {
				out[key] = p.zh
				if l == English {
					out[key] = p.en
				}
			}
		}
	}
	return out
}

// langCookie remembers the language that a person chose, for a year.
const (
	langCookie    = "lang"
	langCookieAge = 365 * 24 * 60 * 60 // seconds
)

// chooseLang keeps the language that the address names.
func chooseLang(w http.ResponseWriter, r *http.Request) {
	if l, ok := known(r.URL.Query().Get("lang")); ok {
		http.SetCookie(w, &http.Cookie{
			Name: langCookie, Value: string(l), Path: "/", MaxAge: langCookieAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
			Secure: r.TLS != nil,
		})
	}
}

// langOf returns the language of a request: ?lang=, the cookie, Accept-Language, Chinese.
func langOf(r *http.Request) Lang {
	if l, ok := known(r.URL.Query().Get("lang")); ok {
		return l
	}
	if c, err := r.Cookie(langCookie); err == nil {
		if l, ok := known(c.Value); ok {
			return l
		}
	}
	header := r.Header.Get("Accept-Language")
	if header == "" || len(header) > 1<<10 {
		return Chinese
	}
	_, i := language.MatchStrings(accepted, header)
	return languages[i]
}

// accepted has the languages in their order, the default first.
var accepted = language.NewMatcher([]language.Tag{language.SimplifiedChinese, language.English})

// known reads a language as addresses and cookies name it.
func known(s string) (Lang, bool) {
	switch strings.ToLower(s) {
	case "zh", "zh-cn":
		return Chinese, true
	case "en":
		return English, true
	}
	return "", false
}
