package web

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/dict"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Bounds of comparing versions: a page costs a bounded read of each, and shows what a person can look at.
const (
	comparedVersions = 4       // with the current one; the newest of the others
	comparedBytes    = 2 << 20 // of each version, from its beginning: headers are there, pictures behind them
	comparedRows     = 60      // attributes that differ
	comparedText     = 120     // characters of a value
)

// compareLimits keep what a comparison holds small; an object beyond them is compared as far as it was read.
var compareLimits = part10.Limits{
	Depth: 32, Elements: 20_000, Items: 10_000, Header: 1 << 20, InlineValue: 4 << 10, Fragments: 10_000, Inflated: 8 << 20, Ratio: 200,
}

// difference is an attribute that is not the same in two versions. A value that a version has not is "".
type difference struct {
	Name, Tag    string // "PatientName", "(0010,0010)"
	Theirs, Mine string // of the version that readers see, and of this one
}

// comparison is what tells a version from the one that readers see.
type comparison struct {
	Rows []difference
	More int  // attributes that differ and are not in Rows
	Done bool // false: one of them could not be read, or it is not compared
}

// element is an attribute in DICOM JSON (PS3.18 §F.2.2).
type element struct {
	VR           string            `json:"vr"`
	Value        []json.RawMessage `json:"Value"`
	InlineBinary string            `json:"InlineBinary"`
	BulkDataURI  string            `json:"BulkDataURI"`
}

// compare compares versions with the current one, as far as the bounds reach. What cannot be read is left out: the
// page tells what it can.
func (o *operators) compare(ctx context.Context, c index.Conflict, versions []index.Version) map[string]comparison {
	if o.cfg.Blobs == nil {
		return nil
	}
	at := slices.IndexFunc(c.Versions, func(v index.Version) bool { return v.ObjectID == c.Current })
	if at < 0 {
		return nil
	}
	select { // few at a time: each holds a header or two
	case o.comparing <- struct{}{}:
		defer func() { <-o.comparing }()
	case <-ctx.Done():
		return nil
	}
	theirs, err := o.header(ctx, c.Versions[at].BlobKey)
	if err != nil {
		return nil
	}
	out := map[string]comparison{}
	for _, v := range slices.Backward(versions) {
		if v.ObjectID == c.Current || len(out) >= comparedVersions-1 {
			continue
		}
		if mine, err := o.header(ctx, v.BlobKey); err == nil {
			out[v.ObjectID] = differences(theirs, mine)
		}
	}
	return out
}

// header reads the attributes at the beginning of a version.
func (o *operators) header(ctx context.Context, key string) (map[string]element, error) {
	body, err := o.cfg.Blobs.Open(ctx, key, 0, comparedBytes)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	// An object that is longer than what is read here ends too early for the scanner; its header counts all the same.
	object, verdict := part10.Scan(io.LimitReader(body, comparedBytes), part10.Options{Limits: compareLimits, LeadingZeros: true})
	if len(object.Header) == 0 {
		return nil, cmp.Or(verdict, io.ErrUnexpectedEOF)
	}
	all := map[string]element{}
	if err := json.Unmarshal(object.Header, &all); err != nil {
		return nil, err
	}
	return all, nil
}

// differences lists the attributes that differ, by tag.
func differences(theirs, mine map[string]element) comparison {
	out := comparison{Done: true}
	tags := make([]string, 0, len(theirs))
	for tag := range theirs {
		tags = append(tags, tag)
	}
	for tag := range mine {
		if _, ok := theirs[tag]; !ok {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	for _, tag := range tags {
		a, b := theirs[tag], mine[tag]
		if a.same(b) {
			continue
		}
		if len(out.Rows) == comparedRows {
			out.More++
			continue
		}
		d := difference{Tag: tag, Theirs: a.text(), Mine: b.text()}
		if n, err := strconv.ParseUint(tag, 16, 32); err == nil && len(tag) == 8 {
			d.Name, d.Tag = dict.Keyword(uint32(n)), "("+tag[:4]+","+tag[4:]+")"
		}
		if d.Theirs == d.Mine { // they differ behind what is shown
			d.Theirs, d.Mine = d.Theirs+" …", d.Mine+" …"
		}
		out.Rows = append(out.Rows, d)
	}
	return out
}

func (e element) same(other element) bool {
	return e.VR == other.VR && e.InlineBinary == other.InlineBinary && (e.BulkDataURI == "") == (other.BulkDataURI == "") &&
		slices.EqualFunc(e.Value, other.Value, func(a, b json.RawMessage) bool { return string(a) == string(b) })
}

// text is a value for people, cut. Items of sequences are counted.
func (e element) text() string {
	if e.VR == "SQ" {
		return fmt.Sprintf("[%d]", len(e.Value))
	}
	if e.InlineBinary != "" {
		return clip(e.InlineBinary)
	}
	var out []string
	for _, raw := range e.Value {
		var text string
		var name struct{ Alphabetic, Ideographic, Phonetic string }
		switch {
		case json.Unmarshal(raw, &text) == nil:
		case e.VR == "PN" && json.Unmarshal(raw, &name) == nil:
			text = strings.TrimRight(name.Alphabetic+"="+name.Ideographic+"="+name.Phonetic, "=")
		default:
			text = string(raw)
		}
		out = append(out, text)
		if len(out) > comparedText { // it is cut anyway
			break
		}
	}
	return clip(strings.Join(out, `\`))
}

// clip cuts a text to comparedText characters.
func clip(s string) string {
	if utf8.RuneCountInString(s) <= comparedText {
		return s
	}
	return string([]rune(s)[:comparedText]) + "…"
}
