package bundle

import (
	"bytes"
	"io"
	"path"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/bundle.Open"

// Bounds of an archive.
const (
	// MaxEntries is how many members an archive may have. A multi-segment WFDB record of a day has some thousand.
	MaxEntries = 10_000

	// MaxUnpacked is how many bytes of compressed members are unpacked into memory. A WFDB record of twelve
	// leads at 500 Hz fits up to an hour and a half; a Holter recording must come stored.
	MaxUnpacked = 64 << 20

	maxRatio   = 250 // bytes out for each byte in; flat lines of text come to 200
	freeOutput = 1 << 20
	maxName    = 1024 // bytes
	maxHeader  = 4 << 20
)

// member is a file of an archive.
type member struct {
	name   string // with its folders, slashes between
	size   int64  // bytes, unpacked
	in     int64  // bytes, packed
	open   func() (io.Reader, error)
	stored ecg.File // in place; At is nil for what is compressed
	sum    func(b []byte) bool
	format sniff.Format
}

func (m *member) base() string { return path.Base(m.name) }

// Open returns the recording inside an archive as a source: its main file and its companions. The archive's own
// companions do not count. The error is a *reject.Error, or src's own: reject.UnsupportedFormat for an archive
// that holds no recording, several, or what no exporter packs; reject.TooLarge beyond the bounds;
// reject.ChecksumMismatch where sizes or checksums are wrong; reject.Truncated.
func Open(src ecg.Source) (ecg.Source, error) {
	head, err := src.Head(sniff.HeadBytes)
	if err != nil {
		return ecg.Source{}, err
	}
	b := &budget{left: MaxUnpacked}
	switch format := sniff.Detect(head); format {
	case sniff.ZIP:
		members, err := readZIP(src.File)
		if err != nil {
			return ecg.Source{}, err
		}
		return pick(members, b)
	case sniff.TAR:
		members, err := readTAR(src.File)
		if err != nil {
			return ecg.Source{}, err
		}
		return pick(members, b)
	case sniff.GZIP:
		return openGZIP(src.File, b)
	default:
		return ecg.Source{}, reject.New(reject.UnsupportedFormat, op, "%s is no archive", format)
	}
}

// budget is what may still be unpacked.
type budget struct{ left int64 }

// unpack reads a compressed member whole.
func (b *budget) unpack(r io.Reader, in, stated int64) ([]byte, error) {
	most := min(b.left, max(freeOutput, in*maxRatio))
	if stated > most {
		return nil, reject.New(reject.TooLarge, op, "a member of %d bytes packed in %d", stated, in)
	}
	var out bytes.Buffer
	if stated > 0 {
		out.Grow(int(min(stated, freeOutput)))
	}
	n, err := io.Copy(&out, io.LimitReader(r, most+1))
	switch {
	case n > most:
		return nil, reject.New(reject.TooLarge, op, "more than %d bytes unpacked", most)
	case err != nil:
		return nil, packError(err)
	case stated >= 0 && n != stated:
		return nil, reject.New(reject.ChecksumMismatch, op, "a member of %d bytes that says it has %d", n, stated)
	}
	b.left -= n
	return out.Bytes(), nil
}

// file returns a member's bytes: in place, or unpacked.
func (b *budget) file(m *member) (ecg.File, error) {
	name := m.base()
	if m.stored.At != nil {
		f := m.stored
		f.Name = name
		if m.sum != nil && f.Size <= maxHeader {
			data, err := f.Bytes(0, f.Size)
			if err != nil {
				return f, err
			}
			if !m.sum(data) {
				return f, reject.New(reject.ChecksumMismatch, op, "a member with a wrong checksum")
			}
		}
		return f, nil
	}
	r, err := m.open()
	if err != nil {
		return ecg.File{}, err
	}
	data, err := b.unpack(r, m.in, m.size)
	if err != nil {
		return ecg.File{}, err
	}
	if m.sum != nil && !m.sum(data) {
		return ecg.File{}, reject.New(reject.ChecksumMismatch, op, "a member with a wrong checksum")
	}
	return memory(name, data), nil
}

func memory(name string, data []byte) ecg.File {
	return ecg.File{Name: name, At: bytes.NewReader(data), Size: int64(len(data))}
}

// head returns the first bytes of a member.
func (m *member) head() ([]byte, error) {
	if m.stored.At != nil {
		return m.stored.Head(sniff.HeadBytes)
	}
	r, err := m.open()
	if err != nil {
		return nil, err
	}
	b := make([]byte, sniff.HeadBytes) // whatever size the directory claims
	n, err := io.ReadFull(r, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, packError(err)
	}
	return b[:n], nil
}

// cleanName checks a member's name and returns it with slashes, in UTF-8. ok is false for a name that leads out
// of the archive.
func cleanName(raw string) (name string, ok bool) {
	if raw == "" || len(raw) > maxName || strings.ContainsRune(raw, 0) {
		return "", false
	}
	text, _ := charset.Parse("").Decode([]byte(raw), "UT") // GBK from Chinese Windows
	text = strings.ReplaceAll(text, `\`, "/")
	if strings.HasPrefix(text, "/") || len(text) > 1 && text[1] == ':' {
		return "", false
	}
	for _, part := range strings.Split(text, "/") {
		if part == ".." {
			return "", false
		}
	}
	return path.Clean(text), true
}

// litter is what file managers leave in archives.
func litter(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(name, "__MACOSX/") || strings.HasPrefix(base, "._") || base == ".DS_Store" || base == "Thumbs.db" || base == "desktop.ini"
}

// pick finds the one recording among members.
func pick(members []*member, b *budget) (ecg.Source, error) {
	var headers []*member
	for _, m := range members {
		head, err := m.head()
		if err != nil {
			return ecg.Source{}, err
		}
		m.format = sniff.Detect(head)
		if m.format.Archive() {
			return ecg.Source{}, reject.New(reject.UnsupportedFormat, op, "an archive in an archive")
		}
		if m.format == sniff.WFDBHeader && strings.EqualFold(path.Ext(m.name), ".hea") && m.size <= maxHeader {
			headers = append(headers, m)
		}
	}
	opened := map[*member]ecg.File{}
	named := map[string]bool{} // files and segments that headers name
	for _, m := range headers {
		f, err := b.file(m)
		if err != nil {
			return ecg.Source{}, err
		}
		opened[m] = f
		text, err := f.Bytes(0, f.Size)
		if err != nil {
			return ecg.Source{}, err
		}
		names(text, named)
	}
	var found []*member
	recordings := 0
	for _, m := range members {
		base := m.base()
		if named[base] || m.format == sniff.WFDBHeader && named[strings.TrimSuffix(base, path.Ext(base))] {
			continue
		}
		if m.format == sniff.DICOM || m.format.ECG() {
			found = append(found, m)
			if m.format != sniff.ISHNEAnn {
				recordings++
			}
		}
	}
	main := (*member)(nil)
	for _, m := range found {
		if main == nil || m.format != sniff.ISHNEAnn {
			main = m
		}
	}
	switch {
	case main == nil:
		return ecg.Source{}, reject.New(reject.UnsupportedFormat, op, "an archive without a recording")
	case recordings > 1, recordings == 0 && len(found) > 1, recordings == 1 && len(found) > 1 && main.format != sniff.ISHNE:
		return ecg.Source{}, reject.New(reject.UnsupportedFormat, op, "an archive of %d recordings", len(found))
	}
	return source(main, members, opened, b)
}

// names collects the first words of a WFDB header's lines.
func names(text []byte, into map[string]bool) {
	first := true
	for line := range bytes.Lines(text) {
		word, _, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(string(line), "\t", " ")), " ")
		switch {
		case word == "" || word[0] == '#':
		case first:
			first = false // the record's own name
		default:
			into[path.Base(strings.ReplaceAll(word, `\`, "/"))] = true
		}
	}
}

// source opens the main member and those that may belong to it: for WFDB all of no known format of its folder and
// below, for ISHNE annotation files.
func source(main *member, members []*member, opened map[*member]ecg.File, b *budget) (ecg.Source, error) {
	open := func(m *member) (ecg.File, error) {
		if f, ok := opened[m]; ok {
			return f, nil
		}
		return b.file(m)
	}
	f, err := open(main)
	if err != nil {
		return ecg.Source{}, err
	}
	src := ecg.Source{File: f}
	folder := path.Dir(main.name)
	for _, m := range members {
		if m == main || folder != "." && !strings.HasPrefix(m.name, folder+"/") {
			continue
		}
		switch main.format {
		case sniff.WFDBHeader:
			switch m.format {
			case sniff.PDF, sniff.JPEG, sniff.PNG, sniff.MP4, sniff.XML, sniff.FHIR:
				continue
			}
		case sniff.ISHNE:
			if m.format != sniff.ISHNEAnn {
				continue
			}
		default:
			continue
		}
		part, err := open(m)
		if err != nil {
			return ecg.Source{}, err
		}
		src.Parts = append(src.Parts, part)
	}
	return src, nil
}
