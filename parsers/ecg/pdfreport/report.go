package pdfreport

import (
	"bytes"
	"math"
	"strings"
	"unicode"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/label"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/pdfreport.Decode"

// Decode reads a PDF as a document without samples. It is an ecg.Decoder. What is PDF by its mark is not refused
// unless it is empty of everything: a report whose text we cannot read is a report all the same.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	rec := &ecg.Recording{Format: sniff.PDF}
	head, err := src.Head(1100)
	if err != nil {
		return nil, err
	}
	mark := bytes.Index(head, []byte("%PDF-"))
	if mark < 0 {
		return nil, reject.New(reject.UnsupportedFormat, op, "no %%PDF-")
	}
	version, _, _ := strings.Cut(string(head[mark+5:min(len(head), mark+13)]), "\n")
	if version = strings.TrimSpace(version); len(version) <= 4 {
		rec.FormatVersion = strings.ToValidUTF8(version, "")
	}
	rec.Warn(ecg.WarnNoWaveform, "")
	pages, err := read(src.File)
	if err != nil {
		return nil, err
	}
	if pages == nil {
		rec.Warn(ecg.WarnUnsupportedPart, "text")
		return rec, nil
	}
	f := finder{lim: lim, rec: rec, found: map[string][]string{}}
	for _, p := range pages {
		if err := f.page(p); err != nil {
			return nil, err
		}
	}
	f.close()
	return rec, nil
}

// Text returns the text of a PDF line by line, tabs between what stands apart; nil when it cannot be read. It stays
// within the bounds of Decode.
func Text(src ecg.File) ([]string, error) {
	pages, err := read(src)
	var out []string
	for _, p := range pages {
		for _, l := range p {
			out = append(out, l.text)
		}
	}
	return out, err
}

// read returns the lines of each page; nil for a file that keeps its text to itself. The error is the source's.
func read(src ecg.File) ([][]line, error) {
	if src.Size > maxFile {
		return nil, nil
	}
	b, err := src.Bytes(0, src.Size)
	if err != nil {
		return nil, err
	}
	f := open(b)
	pages := f.pages()
	if f.encrypted || len(pages) == 0 {
		return nil, nil
	}
	p := &painter{file: f, fonts: map[any]*font{}}
	var out [][]line
	for _, pg := range pages {
		p.ctm, p.text, p.line, p.font, p.stack, p.out = unit, unit, unit, nil, nil, nil
		var content []byte
		for _, r := range pg.contents { // pieces of one stream
			if piece := f.stream(r); len(content)+len(piece) <= maxStream {
				content = append(append(content, piece...), '\n')
			}
		}
		p.draw(content, pg.resources, 0)
		out = append(out, lines(p.out))
	}
	return out, nil
}

// finder looks for labels with values.
type finder struct {
	lim   ecg.Limits
	rec   *ecg.Recording
	found map[string][]string // values by label, as written
	order []string            // labels
}

// others are words that make a name or a number in front of which they stand somebody else's or something else's.
var others = map[string]bool{
	"hospital": true, "doctor": true, "physician": true, "dr": true, "operator": true, "technician": true, "tech": true, "device": true, "order": true, "accession": true,
	"study": true, "referring": true, "department": true, "file": true, "site": true, "user": true, "visit": true, "encounter": true, "institution": true, "clinic": true,
	"cart": true, "machine": true, "series": true, "exam": true, "test": true, "report": true, "location": true, "software": true, "company": true, "trial": true, "mother": true,
}

// item is a label and its value in a line.
type item struct {
	field        label.Field
	label, value string
}

// items takes a line apart at its colons.
func items(text string) []item {
	runes := []rune(text)
	if len(runes) > 4000 {
		return nil
	}
	var out []item
	from := 0 // where the value of the last label begins, or the line
	for i, r := range runes {
		if r != ':' && r != '：' || clock(runes, i) {
			continue
		}
		start := i
		for start > from && runes[start-1] != '\t' {
			start--
		}
		begin, field := naming(runes[start:i], start > from || from == 0)
		begin += start
		if len(out) > 0 {
			last := &out[len(out)-1]
			last.value = value(runes[from:begin])
			if field == label.None && start == from && vague(last.field) && strings.Contains(last.value, " ") && !others[firstWord(runes[begin:i])] {
				last.value = "" // how much of it belongs to the label that follows, nobody can tell
			}
		}
		out = append(out, item{field: field, label: strings.TrimSpace(string(runes[begin:i]))})
		from = i + 1
	}
	if len(out) > 0 {
		out[len(out)-1].value = value(runes[from:])
	}
	return out
}

func firstWord(r []rune) string {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(string(r))), " ")
	return word
}

// clock reports whether the colon at i stands between digits.
func clock(r []rune, i int) bool {
	return i > 0 && i+1 < len(r) && unicode.IsDigit(r[i-1]) && unicode.IsDigit(r[i+1])
}

// value is the text behind a colon up to what stands apart from it.
func value(r []rune) string {
	s, _, _ := strings.Cut(strings.TrimSpace(string(r)), "\t")
	return strings.TrimSpace(s)
}

// naming finds the label at the end of r, of at most four words: all of r, if it begins a cell, or the longest end of
// it that we know. It returns where the label begins; of one we do not know the last word is one.
func naming(r []rune, cell bool) (int, label.Field) {
	var starts []int
	for i := len(r); i > 0; i-- {
		if r[i-1] != ' ' && (i == 1 || r[i-2] == ' ') {
			starts = append(starts, i-1)
		}
	}
	if len(starts) == 0 {
		return 0, label.None
	}
	for n := min(len(starts), 4) - 1; n >= 0; n-- {
		f := label.Of(string(r[starts[n]:]))
		if f == label.None {
			continue
		}
		whole := cell && n == len(starts)-1
		if !whole && vague(f) && n+1 < len(starts) {
			before := strings.ToLower(strings.Trim(string(r[starts[n+1]:starts[n]]), " .,'’"))
			before = strings.TrimSuffix(before, "'s")
			if others[before] {
				return starts[n+1], label.None
			}
			if cell {
				return starts[n], label.None
			}
		}
		return starts[n], f
	}
	return starts[0], label.None
}

// vague are fields whose labels other things have too.
func vague(f label.Field) bool {
	return f == label.ID || f == label.Name || f == label.Family || f == label.Given || f == label.Statement
}

// page looks through one page.
func (f *finder) page(all []line) error {
	for i, l := range all {
		for k, it := range items(l.text) {
			switch {
			case it.field == label.None:
			case it.field == label.Statement:
				var more []line
				if k == len(items(l.text))-1 {
					more = all[i+1:]
				}
				if err := f.reading(l, it.value, more); err != nil {
					return err
				}
			case it.value != "" && len(it.value) <= 256:
				f.note(it)
			}
		}
	}
	return nil
}

func (f *finder) note(it item) {
	key := strings.ToLower(it.label)
	have, known := f.found[key]
	if !known {
		if len(f.order) >= 200 {
			return
		}
		f.order = append(f.order, key)
	}
	for _, v := range have {
		if v == it.value {
			return
		}
	}
	if len(have) < 4 {
		f.found[key] = append(have, it.value)
	}
}

// reading keeps the lines of a reading: what stands behind the label, and the lines close under it that have no label
// themselves.
func (f *finder) reading(at line, text string, more []line) error {
	add := func(s string) error {
		if s = strings.Join(strings.Fields(s), " "); s == "" {
			return nil
		}
		if len(f.rec.Statements) >= f.lim.Statements {
			return reject.New(reject.TooManyElements, op, "more than %d statements", f.lim.Statements)
		}
		f.rec.Statements = append(f.rec.Statements, ecg.Statement{Text: s})
		return nil
	}
	if err := add(text); err != nil {
		return err
	}
	for n, l := range more {
		if n >= 20 || at.y-l.y > 2.2*max(at.size, 1) || math.Abs(l.x-at.x) > 12*max(at.size, 1) || len(items(l.text)) > 0 || strings.Contains(l.text, "\t") {
			break
		}
		if err := add(l.text); err != nil {
			return err
		}
		at.y, at.size = l.y, max(l.size, 1)
	}
	return nil
}

// close fills in the fields that have one value.
func (f *finder) close() {
	p := &f.rec.Patient
	values := map[label.Field][]string{}
	for _, key := range f.order {
		field, all := label.Of(key), f.found[key]
		if len(all) > 1 {
			f.rec.Warn(ecg.WarnHeaderDiffers, "a label with several values")
			values[field] = append(values[field], all...)
			continue
		}
		if field == label.ID {
			// Numbers of different kinds, each under its own label.
			p.IDs = append(p.IDs, ecg.Identifier{Issuer: key, Value: all[0]})
			continue
		}
		if have := values[field]; len(have) == 0 || have[0] != all[0] {
			values[field] = append(have, all[0])
		}
	}
	for field, all := range values {
		if len(all) != 1 {
			continue // unsure
		}
		switch v := all[0]; field {
		case label.Acquired:
			if f.rec.Acquired = label.Date(v); !f.rec.Acquired.Valid() {
				f.rec.Warn(ecg.WarnTime, "acquired")
			}
		case label.Department:
			f.rec.Context.Department = v
		case label.Bed:
			f.rec.Context.Location = v
		case label.Institution:
			f.rec.Context.Institution = v
		case label.Physician:
			f.rec.Context.ReferringPhysician = v
		case label.ID, label.Family, label.Given:
		default:
			label.Set(p, field, v)
		}
	}
	if len(values[label.ID]) == 0 && len(p.IDs) > 0 {
		p.ID = p.IDs[0].Value
	}
	if family, given := values[label.Family], values[label.Given]; p.Name == "" && len(values[label.Name]) == 0 && len(family) == 1 && len(given) <= 1 {
		label.Set(p, label.Family, family[0])
		if len(given) == 1 {
			label.Set(p, label.Given, given[0])
		}
	}
}
