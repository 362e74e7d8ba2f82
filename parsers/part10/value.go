package part10

import (
	"bytes"
	"math"
	"strconv"
)

// writeValue writes the Value, or InlineBinary, of an entry that is not empty.
func (s *scanner) writeValue(w *jsonWriter, l *jsonLevel, e *entry, v vr) {
	raw := s.bytesOf(e)
	switch vrs[v].form {
	case formBytes:
		w.appendBase64(w.littleEndian(raw, vrs[v].unit, e.big))
	case formString, formUID:
		s.writeStrings(w, s.decode(w, l, e, trimValue(raw)))
	case formText:
		text := trimValue(s.decode(w, l, e, trimValue(raw)))
		if len(text) > 0 {
			w.out = append(w.out, `,"Value":[`...)
			w.appendJSON(text)
			w.out = append(w.out, ']')
			w.part(text, true)
		}
	case formPerson:
		s.writePersons(w, s.decode(w, l, e, trimValue(raw)))
	case formDecimal:
		s.writeDecimals(w, e, trimValue(raw))
	case formNumber:
		s.writeNumbers(w, e, raw, v)
	case formTag:
		s.writeTags(w, raw, e.big)
	}
}

// littleEndian returns words of unit bytes in the byte order of JSON's base64 (PS3.18 §F.2.7).
func (w *jsonWriter) littleEndian(b []byte, unit int, big bool) []byte {
	if !big || unit < 2 {
		return b
	}
	w.swap = append(w.swap[:0], b...)
	for i := 0; i+unit <= len(b); i += unit {
		for j := range unit {
			w.swap[i+j] = b[i+unit-1-j]
		}
	}
	return w.swap
}

// next cuts the first of several values off.
func next(values []byte) (value, rest []byte, more bool) {
	if i := bytes.IndexByte(values, '\\'); i >= 0 {
		return values[:i], values[i+1:], true
	}
	return values, nil, false
}

func trimBoth(b []byte) []byte {
	b = trimValue(b)
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

func (s *scanner) writeStrings(w *jsonWriter, text []byte) {
	if len(trimBoth(text)) == 0 {
		return
	}
	w.out = append(w.out, `,"Value":[`...)
	for first, more := true, true; more; first = false {
		var value []byte
		value, text, more = next(text)
		w.comma('[')
		if value = trimBoth(value); len(value) == 0 {
			w.out = append(w.out, "null"...)
		} else {
			w.appendJSON(value)
		}
		w.part(value, first)
	}
	w.out = append(w.out, ']')
}

var personGroups = [...]string{`"Alphabetic":`, `"Ideographic":`, `"Phonetic":`}

// writePersons writes names with their component groups (PS3.5 §6.2.1, PS3.18 §F.2.2).
func (s *scanner) writePersons(w *jsonWriter, text []byte) {
	if len(trimBoth(text)) == 0 {
		return
	}
	w.out = append(w.out, `,"Value":[`...)
	for first, more := true, true; more; first = false {
		var name []byte
		name, text, more = next(text)
		w.comma('[')
		if name = bytes.TrimRight(trimValue(name), "= "); len(name) == 0 {
			w.out = append(w.out, "null"...)
			w.part(nil, first)
			continue
		}
		w.part(bytes.TrimRight(name, "^= "), first) // components left out at the end mean nothing (PS3.5 §6.2.1)
		w.out = append(w.out, '{')
		for g := 0; g < len(personGroups) && name != nil; g++ {
			group := name
			if i := bytes.IndexByte(name, '='); i >= 0 && g < len(personGroups)-1 {
				group, name = name[:i], name[i+1:]
			} else {
				name = nil
			}
			if group = trimValue(group); len(group) > 0 {
				w.comma('{')
				w.out = append(w.out, personGroups[g]...)
				w.appendJSON(group)
			}
		}
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

// writeDecimals writes DS and IS as numbers; what is none becomes null.
func (s *scanner) writeDecimals(w *jsonWriter, e *entry, text []byte) {
	if len(trimBoth(text)) == 0 {
		return
	}
	w.out = append(w.out, `,"Value":[`...)
	for first, more := true, true; more; first = false {
		var value []byte
		value, text, more = next(text)
		value = trimBoth(value)
		w.comma('[')
		ok := false
		if len(value) > 0 {
			if w.out, ok = appendDecimal(w.out, value, e.vr == vrIS); !ok {
				s.warn(WarnBadNumber, tagPath(e.tag), 0)
			}
		}
		if !ok {
			w.out = append(w.out, "null"...)
		}
		if isPlain(value) {
			w.part(value, first)
		}
	}
	w.out = append(w.out, ']')
}

// appendDecimal appends a decimal string (PS3.5 §6.2) as a JSON number: no plus sign, no leading zeros,
// digits on both sides of a point. It keeps the digits as they are.
func appendDecimal(dst, b []byte, integer bool) ([]byte, bool) {
	was := len(dst)
	fail := func() ([]byte, bool) { return dst[:was], false }
	if len(b) > 64 {
		return fail()
	}
	text := b
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		b = b[1:]
	}
	digits, fraction, exponent := b, []byte(nil), []byte(nil)
	if i := bytes.IndexAny(digits, "eE"); i >= 0 {
		digits, exponent = digits[:i], digits[i+1:]
		if len(exponent) == 0 {
			return fail()
		}
	}
	if i := bytes.IndexByte(digits, '.'); i >= 0 {
		digits, fraction = digits[:i], digits[i+1:]
	}
	if len(digits)+len(fraction) == 0 || !allDigits(digits) || !allDigits(fraction) {
		return fail()
	}
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	if negative {
		dst = append(dst, '-')
	}
	if len(digits) == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, digits...)
	if len(fraction) > 0 {
		dst = append(dst, '.')
		dst = append(dst, fraction...)
	}
	if exponent != nil {
		sign := exponent[0]
		if sign == '+' || sign == '-' {
			exponent = exponent[1:]
		}
		if len(exponent) == 0 || !allDigits(exponent) {
			return fail()
		}
		if _, err := strconv.ParseFloat(string(text), 64); err != nil { // out of a double's range
			return fail()
		}
		dst = append(dst, 'e')
		if sign == '-' {
			dst = append(dst, '-')
		}
		dst = append(dst, exponent...)
	} else if integer && len(fraction) == 0 {
		if n, err := strconv.ParseInt(string(digits), 10, 64); err != nil ||
			!negative && n > math.MaxInt32 || n > -math.MinInt32 {
			return fail()
		}
	}
	return dst, true
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// maxExact is the greatest integer up to which a JSON reader's double has them all.
const maxExact = 1 << 53

func (s *scanner) writeNumbers(w *jsonWriter, e *entry, raw []byte, v vr) {
	unit := vrs[v].unit
	if len(raw)%unit != 0 {
		s.warn(WarnBadNumber, tagPath(e.tag), 0)
	}
	if len(raw) < unit {
		return
	}
	w.out = append(w.out, `,"Value":[`...)
	for i := 0; i+unit <= len(raw); i += unit {
		w.comma('[')
		from := len(w.out)
		b := raw[i:]
		switch v {
		case vrUS:
			w.out = strconv.AppendUint(w.out, uint64(u16(b, e.big)), 10)
		case vrSS:
			w.out = strconv.AppendInt(w.out, int64(int16(u16(b, e.big))), 10)
		case vrUL:
			w.out = strconv.AppendUint(w.out, uint64(u32(b, e.big)), 10)
		case vrSL:
			w.out = strconv.AppendInt(w.out, int64(int32(u32(b, e.big))), 10)
		case vrUV:
			n := u64(b, e.big)
			w.out = quoteLarge(strconv.AppendUint(w.out, n, 10), from, n > maxExact)
		case vrSV:
			n := int64(u64(b, e.big))
			w.out = quoteLarge(strconv.AppendInt(w.out, n, 10), from, n > maxExact || n < -maxExact)
		case vrFL:
			s.writeFloat(w, e, float64(math.Float32frombits(u32(b, e.big))), 32)
		case vrFD:
			s.writeFloat(w, e, math.Float64frombits(u64(b, e.big)), 64)
		}
		w.part(w.out[from:], i == 0)
	}
	w.out = append(w.out, ']')
}

// quoteLarge makes a string of the number behind out[from:] that a double cannot hold (PS3.18 Table
// F.2.3-1 allows both for SV and UV).
func quoteLarge(out []byte, from int, large bool) []byte {
	if !large {
		return out
	}
	out = append(out, 0, '"')
	copy(out[from+1:], out[from:len(out)-2])
	out[from] = '"'
	return out
}

func (s *scanner) writeFloat(w *jsonWriter, e *entry, f float64, bits int) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		s.warn(WarnBadNumber, tagPath(e.tag), 0)
		w.out = append(w.out, "null"...)
		return
	}
	w.out = strconv.AppendFloat(w.out, f, 'g', -1, bits)
}

func (s *scanner) writeTags(w *jsonWriter, raw []byte, big bool) {
	if len(raw) < 4 {
		return
	}
	w.out = append(w.out, `,"Value":[`...)
	for i := 0; i+4 <= len(raw); i += 4 {
		w.comma('[')
		w.out = append(w.out, '"')
		w.out = appendTag(w.out, tagAt(raw[i:], big))
		w.out = append(w.out, '"')
	}
	w.out = append(w.out, ']')
}
