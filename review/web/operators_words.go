package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/storage/index"
)

// Statuses that a receipt has and the index has not (package ingest, ingest/upload).
const (
	statusDuplicate = index.ArrivalDuplicate
	statusRefused   = "refused"
)

// listedStatuses are those that receipts are filtered by, as the index has them.
var listedStatuses = []string{
	index.ArrivalStored, index.ArrivalConflict, index.ArrivalQuarantined, index.ArrivalKept, index.ArrivalDerived,
}

// listedDoors are the doors that receipts are filtered by (event.Origin.Door).
var listedDoors = []string{"dimse", "stow", "upload", "tus", "watch"}

// statusWord is a status for people: a short word, and the look of its badge.
type statusWord struct {
	Text, Tone string
}

func (l Lang) status(status string) statusWord {
	tone := map[string]string{
		index.ArrivalStored: "ok", index.ArrivalDerived: "ok", index.ArrivalKept: "info", statusDuplicate: "info",
		index.ArrivalConflict: "warn", index.ArrivalQuarantined: "warn", statusRefused: "bad",
	}[status]
	return statusWord{l.orRaw("operators.status.", status), tone}
}

// orRaw is the phrase of a name that came from elsewhere, or the name itself where there is none.
func (l Lang) orRaw(prefix, name string) string {
	if _, ok := phrases[prefix+name]; ok {
		return l.text(prefix + name)
	}
	return name
}

func (l Lang) door(door string) string { return l.orRaw("operators.door.", door) }

// advice is what a status or a reason means, and what to do next.
type advice struct{ Why, Next string }

// adviceOf explains a status; reason is the reject.Code of one that was refused or quarantined. A code of a later
// version is shown as it is.
func (l Lang) adviceOf(status, reason string) advice {
	if reason == "" {
		return advice{l.orRaw("operators.why.", status), l.orRaw("operators.next.", status)}
	}
	a := advice{Why: l.orRaw("operators.reason.", reason), Next: l.text("operators.todo.internal")}
	if _, ok := phrases["operators.todo."+reason]; ok {
		a.Next = l.text("operators.todo." + reason)
	}
	return a
}

// instant is a time for people, and for the attribute datetime of <time>.
type instant struct{ Text, ISO string }

// instantOf reads an RFC 3339 time. The text is in the node's time zone; a script shows the reader's.
func instantOf(s string) instant {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return instant{Text: s}
	}
	return instant{t.Local().Format("2006-01-02 15:04:05"), t.UTC().Format(time.RFC3339)}
}

// origin is whence an object came, in the parts that are known.
type origin struct {
	Door                           string // as people say
	Device, Facility, AE, From, At string
}

func (l Lang) originOf(door, device, facility, ae, remote string) origin {
	o := origin{Door: l.door(door), Device: device, Facility: facility, AE: ae, At: remote}
	parts := slices.DeleteFunc([]string{device, facility, ae}, func(s string) bool { return s == "" })
	if o.From = strings.Join(parts, " · "); o.From == "" {
		o.From = remote
	}
	return o
}

// syntaxNames are the transfer syntaxes that devices send mostly (PS3.6 Table A-1), in short.
var syntaxNames = map[string]string{
	"1.2.840.10008.1.2": "Implicit VR LE", "1.2.840.10008.1.2.1": "Explicit VR LE", "1.2.840.10008.1.2.1.99": "Deflated",
	"1.2.840.10008.1.2.2": "Explicit VR BE", "1.2.840.10008.1.2.4.50": "JPEG Baseline", "1.2.840.10008.1.2.4.51": "JPEG Extended",
	"1.2.840.10008.1.2.4.57": "JPEG Lossless", "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
	"1.2.840.10008.1.2.4.80": "JPEG-LS Lossless", "1.2.840.10008.1.2.4.81": "JPEG-LS Near-Lossless",
	"1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless", "1.2.840.10008.1.2.4.91": "JPEG 2000",
	"1.2.840.10008.1.2.4.102": "MPEG-4 AVC/H.264 HP", "1.2.840.10008.1.2.5": "RLE Lossless",
}

// syntaxName is a transfer syntax by name, or by UID where it has none here.
func syntaxName(uid string) string {
	if name, ok := syntaxNames[uid]; ok {
		return name
	}
	return uid
}

func studyPath(study string) string {
	if !validUID(study) {
		return ""
	}
	return "/pages/studies/" + url.PathEscape(study)
}

// hexLine is 16 bytes of a preview.
type hexLine struct{ Offset, Hex, Text string }

// hexWidth is how many bytes stand in a line.
const hexWidth = 16

// hexLines writes bytes as hexadecimal digits and as ASCII, of which what cannot be printed is a dot.
func hexLines(b []byte) []hexLine {
	var lines []hexLine
	for at := 0; at < len(b); at += hexWidth {
		chunk := b[at:min(at+hexWidth, len(b))]
		text := make([]byte, len(chunk))
		for i, c := range chunk {
			text[i] = '.'
			if c >= ' ' && c <= '~' {
				text[i] = c
			}
		}
		lines = append(lines, hexLine{fmt.Sprintf("%04x", at), fmt.Sprintf("% x", chunk), string(text)})
	}
	return lines
}

// pager is the links of a list to its neighbours; "" where there is none.
type pager struct{ Newer, Older string }

// offsetPager is for lists that are read by offset, which is 0 or more; more says that the list goes on.
func offsetPager(path string, offset, size int, more bool) pager {
	at := func(offset int) string {
		if offset <= 0 {
			return path
		}
		return fmt.Sprintf("%s?offset=%d", path, offset)
	}
	var p pager
	if offset > 0 {
		p.Newer = at(offset - size)
	}
	if more {
		p.Older = at(offset + size)
	}
	return p
}

// of is the same pages under another parameter than "offset".
func (p pager) of(parameter string) pager {
	for _, link := range []*string{&p.Newer, &p.Older} {
		*link = strings.Replace(*link, "?offset=", "?"+parameter+"=", 1)
	}
	return p
}
