package dicomweb

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/dict"
	"github.com/tributary-dicom/tributary/storage/index"
)

// renderer turns rows into DICOM JSON objects (PS3.18 §F).
type renderer struct {
	level index.Level
	plan  plan
	all   bool   // every attribute that the row or the header has
	url   string // before "/studies/…" in Retrieve URLs
	base  string // before "/studies/…" in Bulk Data URIs
}

// needsHeader reports whether a row lacks something that only header JSON can have.
func (d *renderer) needsHeader(row index.Row) bool {
	return d.all || slices.ContainsFunc(d.plan, func(c column) bool { return c.header && row.Attributes[c.keyword] == "" })
}

// append adds row as a JSON object. header is the recorded header of the row's (first) instance, or nil.
func (d *renderer) append(dst []byte, row index.Row, header []byte) ([]byte, error) {
	cols := d.plan
	if d.all {
		cols = d.everything(row)
	}
	found, err := d.cut(cols, header, d.all)
	if err != nil {
		return dst, err
	}
	if d.all {
		var more plan
		for tag := range found {
			more = append(more, columnOf(tag, d.level))
		}
		cols = merge(cols, more)
	}
	dst = append(dst, '{')
	first := true
	for _, c := range cols {
		start := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = appendTag(dst, c.tag)
		dst = append(dst, '"', ':')
		before := len(dst)
		if dst = d.appendValue(dst, c, row, found); len(dst) == before {
			dst = dst[:start]
			continue
		}
		first = false
	}
	return append(dst, '}'), nil
}

// everything is the plan for includefield=all: each attribute of the row, whatever its level.
func (d *renderer) everything(row index.Row) plan {
	extra := make(plan, 0, len(row.Attributes))
	for keyword := range row.Attributes {
		root, _, _ := strings.Cut(keyword, ".")
		if tag, ok := dict.Tag(root); ok {
			extra = append(extra, columnOf(tag, d.level))
		}
	}
	return merge(d.plan, extra)
}

// cut finds the wanted members of a header: those of cols that may come from it, or all that belong to
// the level. Bulk values are left out of search results.
func (d *renderer) cut(cols plan, header []byte, all bool) (map[uint32][]byte, error) {
	if header == nil {
		return nil, nil
	}
	m, err := newMembers(header)
	if err != nil {
		return nil, err
	}
	found := make(map[uint32][]byte)
	for {
		key, _, value, err := m.next()
		if err != nil {
			return nil, err
		}
		if key == nil {
			return found, nil
		}
		n, err := strconv.ParseUint(string(key), 16, 32)
		if err != nil {
			continue
		}
		tag := uint32(n)
		i, planned := slices.BinarySearchFunc(cols, tag, func(c column, t uint32) int { return compareTags(c.tag, t) })
		wanted := planned && cols[i].header || all && columnOf(tag, d.level).header
		if wanted && !isBulk(value) {
			found[tag] = value
		}
	}
}

// isBulk reports whether a member's value is a reference, or larger inline binary than a list should have.
func isBulk(value []byte) bool {
	const vr = len(`{"vr":"OB"`) // how every value begins
	if len(value) < vr {
		return false
	}
	rest := string(value[vr:min(len(value), vr+16)])
	return strings.HasPrefix(rest, `,"BulkDataURI"`) || strings.HasPrefix(rest, `,"InlineBinary"`) && len(value) > 1024
}

// appendValue adds the attribute object of c, or nothing when it is unknown and not required.
func (d *renderer) appendValue(dst []byte, c column, row index.Row, found map[uint32][]byte) []byte {
	switch c.tag {
	case tagSpecificCharacterSet:
		return append(dst, `{"vr":"CS","Value":["ISO_IR 192"]}`...)
	case tagRetrieveURL:
		dst = append(dst, `{"vr":"UR","Value":[`...)
		dst = appendString(dst, d.retrieveURL(row))
		return append(dst, "]}"...)
	}
	text := row.Attributes[c.keyword]
	if c.tag == tagInstanceAvailability && text == "" {
		text = "ONLINE"
	}
	switch {
	case c.items != nil:
		if v := appendSequence(dst, c, row); len(v) > len(dst) {
			return v
		}
	case c.keyword == "":
	case text != "":
		return appendAttribute(dst, c.vr, text)
	}
	if value, ok := found[c.tag]; ok {
		b := appendWriter(dst)
		_ = writeMembers(&b, value, instanceURL(d.base, row.Attributes["StudyInstanceUID"],
			row.Attributes["SeriesInstanceUID"], row.Attributes["SOPInstanceUID"])) // memory takes every write
		return b
	}
	if !c.required {
		return dst
	}
	return appendAttribute(dst, c.vr, "")
}

func (d *renderer) retrieveURL(row index.Row) string {
	u := d.url + "/studies/" + row.Attributes["StudyInstanceUID"]
	if d.level >= index.SeriesLevel {
		u += "/series/" + row.Attributes["SeriesInstanceUID"]
	}
	if d.level >= index.InstanceLevel {
		u += "/instances/" + row.Attributes["SOPInstanceUID"]
	}
	return u
}

// appendSequence builds the items of a sequence from row keys "sequence.attribute". Values of one
// attribute are joined by backslashes: the i-th belongs to the i-th item.
func appendSequence(dst []byte, c column, row index.Row) []byte {
	values := make([][]string, len(c.items))
	items := 0
	for i, sub := range c.items {
		if v := row.Attributes[c.keyword+"."+sub.keyword]; v != "" {
			values[i] = strings.Split(v, `\`)
			items = max(items, len(values[i]))
		}
	}
	if items == 0 {
		return dst
	}
	dst = append(dst, `{"vr":"SQ","Value":[`...)
	for n := range items {
		if n > 0 {
			dst = append(dst, ',')
		}
		sep := byte('{')
		for i, sub := range c.items {
			if n >= len(values[i]) {
				continue
			}
			dst = append(dst, sep, '"')
			dst = appendTag(dst, sub.tag)
			dst = append(dst, '"', ':')
			dst = appendAttribute(dst, sub.vr, values[i][n])
			sep = ','
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}

// appendAttribute adds {"vr":…,"Value":[…]} for text as the index keeps it; empty text has no Value.
func appendAttribute(dst []byte, vr, text string) []byte {
	if vr == "" {
		vr = "UN"
	}
	dst = append(dst, `{"vr":"`...)
	dst = append(dst, vr...)
	dst = append(dst, '"')
	if text == "" || vr == "SQ" || vr == "UN" || vr[0] == 'O' {
		return append(dst, '}')
	}
	dst = append(dst, `,"Value":[`...)
	switch vr {
	case "ST", "LT", "UT", "UR": // one value, in which a backslash is text (PS3.5 §6.2)
		return append(appendString(dst, text), "]}"...)
	}
	for i := 0; ; i++ {
		value, rest, more := strings.Cut(text, `\`)
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendOne(dst, vr, value)
		if text = rest; !more {
			return append(dst, "]}"...)
		}
	}
}

func appendOne(dst []byte, vr, value string) []byte {
	if value == "" {
		return append(dst, "null"...)
	}
	switch vr {
	case "PN":
		return appendName(dst, value)
	case "IS", "US", "SS", "UL", "SL", "SV", "UV":
		if n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
			return strconv.AppendInt(dst, n, 10)
		}
	case "DS", "FL", "FD":
		// ParseFloat also takes "Inf" and hexadecimal digits, which are no DS.
		if value = strings.TrimSpace(value); strings.Trim(value, "0123456789+-.eE") == "" {
			if f, err := strconv.ParseFloat(value, 64); err == nil {
				return strconv.AppendFloat(dst, f, 'g', -1, 64)
			}
		}
	}
	return appendString(dst, value)
}

// appendName adds a person name with its component groups (PS3.18 §F.2.2, PS3.5 §6.2.1).
func appendName(dst []byte, value string) []byte {
	sep := byte('{')
	for i, group := range [...]string{"Alphabetic", "Ideographic", "Phonetic"} {
		var text string
		if text, value, _ = strings.Cut(value, "="); i == 2 {
			value = ""
		}
		if text == "" {
			continue
		}
		dst = append(dst, sep, '"')
		dst = append(dst, group...)
		dst = append(dst, '"', ':')
		dst = appendString(dst, text)
		sep = ','
	}
	if sep == '{' {
		return append(dst, "null"...)
	}
	return append(dst, '}')
}

func appendTag(dst []byte, tag uint32) []byte {
	const digit = "0123456789ABCDEF"
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digit[tag>>shift&0xF])
	}
	return dst
}

// appendString adds s as a JSON string (RFC 8259 §7); bytes that are no UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	const digit = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7F:
			dst = append(dst, '\\', 'u', '0', '0', digit[c>>4], digit[c&0xF])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

// appendWriter is a byte slice as an io.Writer.
type appendWriter []byte

func (a *appendWriter) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
