package bundle

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// MaxHeader is how much of a WFDB header is looked at, bytes. A longer one is taken as it is: 1 MiB names
// some 30,000 files.
const MaxHeader = 1 << 20

// MaxFiles bounds the files of one recording. Records of an intensive care stay have some hundred segments.
const MaxFiles = 4096

// maxLine bounds a line of a header, bytes.
const maxLine = 4 << 10

// Candidate is a file that may be part of a recording. Candidates of one call lie in one folder, or came in one
// request.
type Candidate struct {
	Name   string       // base name
	Format sniff.Format // by its first bytes
	Header []byte       // all of a WFDB header, at most MaxHeader; nil for other files
}

// Record is a recording of several files.
type Record struct {
	Main    string   // the header, or the ISHNE recording
	Parts   []string // its companions that are there, in order of name
	Missing []string // names of companions that the header names and that are not there
}

// Records finds the recordings of several files among candidates, in order of their main file's name. A
// header that no recording can be made of (malformed, naming files outside its folder or too many) is none.
// A companion may belong to several recordings, as signal files do to headers over their parts.
func Records(all []Candidate) (found []Record) {
	f := folder{exact: map[string]*Candidate{}, folded: map[string]*Candidate{}, stems: map[string][]*Candidate{}, named: map[string]bool{}}
	needs := map[string][]string{}
	for i := range all {
		c := &all[i]
		f.exact[c.Name] = c
		f.folded[strings.ToLower(c.Name)] = c
		f.stems[stem(c.Name)] = append(f.stems[stem(c.Name)], c)
		if c.Format == sniff.WFDBHeader && c.Header != nil {
			if names, err := Names(c.Header); err == nil {
				needs[c.Name] = names
				for _, n := range names {
					f.named[strings.ToLower(n)] = true
				}
			}
		}
	}
	for i := range all {
		c := &all[i]
		switch names, header := needs[c.Name]; {
		case header && !f.named[strings.ToLower(c.Name)]:
			if r, ok := f.record(c, names, needs); ok {
				found = append(found, r)
			}
		case c.Format == sniff.ISHNE:
			for _, other := range f.stems[stem(c.Name)] {
				if other.Format == sniff.ISHNEAnn {
					found = append(found, Record{Main: c.Name, Parts: []string{other.Name}})
					break
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b Record) int { return strings.Compare(a.Main, b.Main) })
	return found
}

// folder finds candidates by name.
type folder struct {
	exact, folded map[string]*Candidate
	stems         map[string][]*Candidate
	named         map[string]bool // folded names that a header names
}

// stem is a name without its extension, case folded.
func stem(name string) string { return strings.ToLower(strings.TrimSuffix(name, path.Ext(name))) }

// get finds a companion as decoders do: by name, case forgiven when no name fits exactly.
func (f folder) get(name string) *Candidate {
	if c := f.exact[name]; c != nil {
		return c
	}
	return f.folded[strings.ToLower(name)]
}

// record collects what belongs to a header.
func (f folder) record(main *Candidate, names []string, needs map[string][]string) (Record, bool) {
	r := Record{Main: main.Name}
	taken := map[string]bool{main.Name: true}
	take := func(c *Candidate) {
		if !taken[c.Name] && len(taken) <= MaxFiles {
			taken[c.Name] = true
			r.Parts = append(r.Parts, c.Name)
		}
	}
	want := func(name string) *Candidate {
		c := f.get(name)
		if c == nil {
			if len(r.Missing) <= MaxFiles && !slices.Contains(r.Missing, name) {
				r.Missing = append(r.Missing, name)
			}
			return nil
		}
		take(c)
		return c
	}
	headers := []*Candidate{main}
	for _, name := range names {
		if c := want(name); c != nil && c != main && c.Format == sniff.WFDBHeader {
			headers = append(headers, c)
			for _, name := range needs[c.Name] { // segments have no segments
				want(name)
			}
		}
		if len(r.Missing) > MaxFiles {
			break
		}
	}
	// Annotations lie beside a header under its name; no header names them, and nothing else reads them.
	for _, h := range headers {
		for _, c := range f.stems[stem(h.Name)] {
			if c.Format == sniff.Unknown && !f.named[strings.ToLower(c.Name)] {
				take(c)
			}
		}
	}
	slices.Sort(r.Parts)
	slices.Sort(r.Missing)
	return r, len(r.Parts)+len(r.Missing) > 0 && len(r.Parts)+len(r.Missing) < MaxFiles
}

// Names returns the base names of the files that a WFDB header names (header(5) of the WFDB Applications Guide):
// of its signals, or of its segments' headers; each once. A name that leads out of the header's folder refuses
// the header.
func Names(header []byte) (names []string, err error) {
	const op = "bundle.Names"
	seen := map[string]bool{}
	left, segmented := -1, false
	text := bytes.ReplaceAll(bytes.TrimPrefix(header, []byte("\xef\xbb\xbf")), []byte("\r"), []byte("\n"))
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if len(line) > maxLine {
			return nil, reject.New(reject.Malformed, op, "a line of %d bytes", len(line))
		}
		words := strings.Fields(string(line))
		switch {
		case len(words) == 0 || words[0][0] == '#':
			continue
		case len(words) < 2:
			return nil, reject.New(reject.Malformed, op, "a line of one word")
		case left < 0:
			var segments string
			_, segments, segmented = strings.Cut(words[0], "/")
			if !segmented {
				segments = words[1]
			}
			if left, err = strconv.Atoi(segments); err != nil || left < 0 {
				return nil, reject.New(reject.Malformed, op, "no number of signals or segments")
			}
		case left > 0:
			left--
			name := words[0]
			if name == "~" || name == "-" {
				continue
			}
			if name, err = baseName(name); err != nil {
				return nil, err
			}
			if segmented {
				name += ".hea"
			}
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		if left == 0 {
			break
		}
	}
	if left != 0 {
		return nil, reject.New(reject.Truncated, op, "the header ends before its last signal or segment")
	}
	return names, nil
}

// baseName reduces a name to its last element.
func baseName(name string) (string, error) {
	parts := strings.Split(strings.ReplaceAll(name, `\`, "/"), "/")
	base := parts[len(parts)-1]
	outside := base == "" || base == "." || strings.ContainsRune(base, 0) || strings.Contains(name, ":")
	for i, p := range parts {
		outside = outside || p == ".." || i == 0 && p == ""
	}
	if outside {
		return "", reject.New(reject.UnsupportedFormat, "bundle.Names", "the header names a file outside of its folder")
	}
	return base, nil
}
