package sniff

import (
	"bytes"
	"unicode/utf8"
)

// text tells formats that are text: XML by its root, JSON by its resource type, WFDB headers by their
// record line.
func text(head []byte) Format {
	b := narrow(head)
	if isXML(b) {
		return xmlFormat(b)
	}
	if len(b) > 0 && b[0] == '{' && bytes.Contains(b, []byte(`"resourceType"`)) {
		return FHIR
	}
	if isWFDB(b) {
		return WFDBHeader
	}
	return Unknown
}

// narrow removes a byte order mark, leading space, and, of UTF-16, every other byte: marks to look for are
// ASCII.
func narrow(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	wide := -1 // which byte of a pair is the ASCII one
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		b, wide = b[2:], 0
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		b, wide = b[2:], 1
	case bytes.HasPrefix(b, []byte("<\x00")):
		wide = 0
	case bytes.HasPrefix(b, []byte("\x00<")):
		wide = 1
	}
	if wide >= 0 {
		n := make([]byte, 0, len(b)/2)
		for i := 0; i+1 < len(b); i += 2 {
			if b[i+1-wide] != 0 {
				n = append(n, '?')
			} else {
				n = append(n, b[i+wide])
			}
		}
		b = n
	}
	return bytes.TrimLeft(b, " \t\r\n")
}

// isXML tells markup: a declaration, comment or element.
func isXML(b []byte) bool {
	if len(b) < 2 || b[0] != '<' {
		return false
	}
	c := b[1]
	return c == '?' || c == '!' || c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// xmlFormat tells XML by its root element.
func xmlFormat(b []byte) Format {
	root, rest := xmlRoot(b)
	switch string(root) {
	case "AnnotatedECG":
		return AECG
	case "RestingECG":
		return MUSE
	case "restingecgdata":
		return Sierra
	case "CardiologyXML":
		return CardioSoft
	case "zqecg":
		return Zoncare
	case "ECG":
		// The channels may lie beyond the head, behind a page of demographics.
		for _, mark := range []string{"<CHANNEL", "UNITS_PER_MV", "<TYPICAL_CYCLE", "DEMOGRAPHIC_FIELD", "ACQUISITION_TIME="} {
			if bytes.Contains(rest, []byte(mark)) {
				return ELI
			}
		}
		return XML
	case "html", "HTML":
		return Unknown
	}
	switch {
	case bytes.Contains(b, []byte("<examdescript")):
		return Schiller
	case bytes.Contains(rest[:min(len(rest), 1024)], []byte("http://hl7.org/fhir")):
		return FHIR
	}
	return XML
}

// xmlRoot returns the root element's name without prefix, and what follows it. Declarations, comments and
// the document type in front of it are passed over.
func xmlRoot(b []byte) (name, rest []byte) {
	for {
		b = bytes.TrimLeft(b, " \t\r\n")
		end := ""
		switch {
		case bytes.HasPrefix(b, []byte("<?")):
			end = "?>"
		case bytes.HasPrefix(b, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(b, []byte("<!")):
			end = ">"
			if i := bytes.IndexAny(b, "[>"); i >= 0 && b[i] == '[' { // internal subset
				end = "]"
			}
		case len(b) > 1 && b[0] == '<':
			i := bytes.IndexAny(b, " \t\r\n/>")
			if i < 0 {
				return nil, nil
			}
			name = b[1:i]
			if colon := bytes.IndexByte(name, ':'); colon >= 0 {
				name = name[colon+1:]
			}
			return name, b[i:]
		default:
			return nil, nil
		}
		i := bytes.Index(b, []byte(end))
		if i < 0 {
			return nil, nil
		}
		b = b[i+len(end):]
		if end == "]" {
			b = bytes.TrimLeft(b, " \t\r\n>")
		}
	}
}

// wfdbFormats are the signal formats that a WFDB header may name.
var wfdbFormats = map[string]bool{
	"0": true, "8": true, "16": true, "24": true, "32": true, "61": true, "80": true, "160": true, "212": true,
	"310": true, "311": true, "508": true, "516": true, "524": true,
}

// isWFDB tells a WFDB header: a record line with the number of signals, then a line for each signal with
// a file name and format, or for each segment with a record name and length.
func isWFDB(b []byte) bool {
	lines := 0
	segments := false
	for len(b) > 0 && lines < 2 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			return false
		}
		words := bytes.Fields(line)
		if len(words) < 2 {
			return false
		}
		if lines == 0 {
			n, ok := number(words[1])
			if !ok || n == 0 || n > 1024 || !isRecordName(words[0]) {
				return false
			}
			segments = bytes.IndexByte(words[0], '/') >= 0
		} else if segments {
			_, ok := number(words[1])
			return ok
		} else {
			format := words[1]
			if i := bytes.IndexAny(format, "x:+"); i >= 0 {
				format = format[:i]
			}
			file := words[0] // "-" is standard input, "~" a gap
			return wfdbFormats[string(format)] && (len(file) == 1 || bytes.IndexByte(file, '.') >= 0)
		}
		lines++
	}
	return false
}

func isRecordName(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9', c|0x20 >= 'a' && c|0x20 <= 'z', c == '_', c == '-', c == '/':
		default:
			return false
		}
	}
	return true
}
