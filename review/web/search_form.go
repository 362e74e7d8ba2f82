package web

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a search.
const (
	// maxSearchText is the longest text of the box in characters. A name has three groups of 64 at most (PS3.5 Table
	// 6.2-1), and nobody types that.
	maxSearchText = 128
	// pageRows is how many studies a page shows: three screens of a laptop.
	pageRows = 50
	// maxPages bounds how far one goes back by the pager. Beyond that a date finds sooner, and the index walks all rows
	// before a page.
	maxPages = 40
)

// searchForm is what a person asks for.
type searchForm struct {
	Text     string // name, Patient ID or accession number
	From, To string // YYYY-MM-DD, or ""
	Days     int    // the last so many days instead, today included; 0 for none
	Modality string // or ""
	Page     int    // from 0

	Faults []fault
}

// fault is what is wrong with a field, by the key of a phrase.
type fault struct{ Field, Text string }

// dayPresets are the numbers of days that the form offers.
var dayPresets = []int{1, 7, 31}

// parseSearch reads a form. What is wrong is told in Faults, and left out.
func parseSearch(q url.Values) (f searchForm) {
	f.Text = cleanText(q.Get("q"))
	if utf8.RuneCountInString(f.Text) > maxSearchText {
		f.Text = string([]rune(f.Text)[:maxSearchText])
		f.Faults = append(f.Faults, fault{"q", "frame.search.fault.long"})
	}
	// The buttons of the form win over its fields, and those over what the page before had chosen.
	days, chosen := q.Get("days"), q.Has("days")
	if !chosen {
		f.From, f.To = strings.TrimSpace(q.Get("from")), strings.TrimSpace(q.Get("to"))
		for _, field := range []struct {
			name string
			date *string
		}{{"from", &f.From}, {"to", &f.To}} {
			if *field.date == "" {
				continue
			}
			if _, err := time.Parse(time.DateOnly, *field.date); err != nil {
				*field.date = ""
				f.Faults = append(f.Faults, fault{field.name, "frame.search.fault.date"})
			}
		}
		if f.From != "" && f.To != "" && f.From > f.To {
			f.From, f.To = f.To, f.From
		}
		if f.From == "" && f.To == "" {
			days = q.Get("within")
		}
	}
	for _, n := range dayPresets {
		if days == strconv.Itoa(n) {
			f.Days = n
		}
	}
	if m := strings.ToUpper(strings.TrimSpace(q.Get("modality"))); m != "" {
		if len(m) > 16 || strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" { // CS, PS3.5 §6.2
			f.Faults = append(f.Faults, fault{"modality", "frame.search.fault.modality"})
		} else {
			f.Modality = m
		}
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 1 {
		f.Page = min(n, maxPages) - 1
	}
	return f
}

// cleanText is a line as people mean it: full-width letters and digits are made half-width, control characters and
// white space become single spaces.
func cleanText(s string) string {
	const longest = 4 * maxSearchText * utf8.UTFMax // bytes; the rest is cut before it costs
	if len(s) > longest {
		s = s[:longest]
	}
	s = norm.NFKC.String(strings.ToValidUTF8(s, ""))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

// Query is the address of the form, which parseSearch reads back.
func (f searchForm) Query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("q", f.Text)
	if f.Days > 0 {
		q.Set("days", strconv.Itoa(f.Days))
	} else {
		set("from", f.From)
		set("to", f.To)
	}
	set("modality", f.Modality)
	if f.Page > 0 {
		q.Set("page", strconv.Itoa(f.Page+1))
	}
	return q
}

// Href is the address of the search page with this form.
func (f searchForm) Href() string {
	if q := f.Query().Encode(); q != "" {
		return "/?" + q
	}
	return "/"
}

// Empty reports whether the form asks for nothing: all studies, newest first.
func (f searchForm) Empty() bool {
	return f.Text == "" && !f.Dated() && f.Modality == ""
}

// Dated reports whether it bounds the date.
func (f searchForm) Dated() bool { return f.From != "" || f.To != "" || f.Days > 0 }

// Fault returns the key of what is wrong with a field, or "".
func (f searchForm) Fault(field string) string {
	for _, fault := range f.Faults {
		if fault.Field == field {
			return fault.Text
		}
	}
	return ""
}

// dates is the range as the index takes it (PS3.4 §C.2.2.2.5), "" for all.
func (f searchForm) dates(now time.Time) string {
	const da = "20060102"
	if f.Days > 0 {
		// No end: the clock of a device may be ahead, and its studies are today's all the same.
		return now.AddDate(0, 0, 1-f.Days).Format(da) + "-"
	}
	if !f.Dated() {
		return ""
	}
	return strings.ReplaceAll(f.From, "-", "") + "-" + strings.ReplaceAll(f.To, "-", "")
}
