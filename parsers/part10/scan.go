package part10

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

const op = "part10.Scan"

// Scan reads a DICOM file from r to its end, once and forwards, and tells what it is. The Object is never
// nil and holds all that was learnt. The error is nil for an object to index, a *reject.Error for one to
// quarantine or refuse, or r's own error, wrapped, which says nothing about the content. Unless r failed,
// r has been read to io.EOF in every case, so that whoever tees from it has seen every byte.
func Scan(r io.Reader, opt Options) (*Object, error) {
	s := scanners.Get().(*scanner)
	s.reset(r, opt)
	err := s.run()
	s.file.drain()
	obj := s.obj
	obj.Size = s.file.off()
	if rerr := s.file.readError(); rerr != nil {
		err = rerr
	}
	var verdict *reject.Error
	if err != nil && !errors.As(err, &verdict) {
		err = fmt.Errorf("%s: read: %w", op, err)
	}
	s.release()
	return obj, err
}

// readError returns what stopped r, nil for its plain end.
func (s *source) readError() error {
	if s.err == io.EOF {
		return nil
	}
	return s.err
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// What a pooled scanner may keep for the next object, in bytes and entries: enough for most headers.
const (
	keepHeader  = 256 << 10
	keepEntries = 4 << 10
)

// scanner is the state of one Scan.
type scanner struct {
	opt      Options
	limits   Limits
	obj      *Object
	file     *source // the file
	src      *source // the data set: file, or what it inflates to
	syntax   uid.Syntax
	inflated bool

	stack    []level
	entries  []entry // the header, in order of appearance; sorted within each item when that ends
	header   []byte  // values of entries
	charged  int64   // bytes held against Limits.Header
	elements int
	items    int
	sawIDs   uint8 // bits: Study, Series, SOP Instance UID passed
	sawPixel bool  // PixelData or one of its siblings passed at top level
	told     int64 // bytes that Options.Grow knows of

	verdictSoFar error // a verdict that lets the walk go on; the first one stands
	warned       map[string]int

	pixel    pixelData
	facts    facts
	json     jsonWriter
	pathBuf  []byte
	hashBulk bool
}

func (s *scanner) reset(r io.Reader, opt Options) {
	s.opt, s.limits = opt, opt.Limits.orDefault()
	s.obj = &Object{Attributes: make(map[string]string, 32)}
	s.file = newSource(r)
	s.src, s.inflated, s.syntax = s.file, false, uid.Syntax{}
	s.stack, s.entries, s.header = s.stack[:0], s.entries[:0], s.header[:0]
	s.charged, s.elements, s.items, s.sawIDs, s.sawPixel = 0, 0, 0, 0, false
	s.verdictSoFar, s.hashBulk, s.told = nil, opt.HashBulk, 0
	clear(s.warned)
	s.pixel, s.facts = pixelData{}, facts{}
}

func (s *scanner) release() {
	if s.src != s.file {
		s.src.release()
	}
	s.file.release()
	s.file, s.src, s.obj = nil, nil, nil
	s.pixel, s.opt, s.verdictSoFar = pixelData{}, Options{}, nil
	if cap(s.header) > keepHeader || cap(s.entries) > keepEntries || cap(s.json.out) > 4*keepHeader {
		return
	}
	s.json.release()
	scanners.Put(s)
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set64 := func(v *int64, def int64) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.Depth, d.Depth)
	set(&l.Elements, d.Elements)
	set(&l.Items, d.Items)
	set(&l.Fragments, d.Fragments)
	set64(&l.Header, d.Header)
	set64(&l.InlineValue, d.InlineValue)
	set64(&l.Inflated, d.Inflated)
	set64(&l.Ratio, d.Ratio)
	return l
}

func (s *scanner) run() error {
	syntax, err := s.readStart()
	if err != nil {
		return s.judge(err)
	}
	s.syntax = syntax
	if opt := &s.opt; opt.OnDataset != nil {
		opt.OnDataset(s.obj.DatasetOffset)
	}
	if syntax.Deflated {
		s.src, s.inflated = newSource(newInflater(s.file, s.limits)), true
	}
	err = s.walk()
	s.closeAll()
	if err == nil && s.inflated {
		s.checkDeflateEnd()
	}
	if err != nil && s.verdictSoFar == nil {
		s.verdictSoFar = err
	}
	if err := s.writeHeader(); err != nil && s.verdictSoFar == nil {
		s.verdictSoFar = err
	}
	s.frameTable()
	return s.judge(s.verdictSoFar)
}

// checkDeflateEnd notes bytes behind the deflate stream, beyond the pad byte that makes it even.
func (s *scanner) checkDeflateEnd() {
	if rest := s.file.peek(2); len(rest) > 1 || len(rest) == 1 && rest[0] != 0 {
		s.warn(WarnDeflateTrailing, "", s.file.off())
	}
}

// verdict keeps err as the object's fate while the walk goes on, unless there is one already.
func (s *scanner) verdict(err *reject.Error) {
	if s.verdictSoFar == nil {
		s.verdictSoFar = err
	}
}

// cut returns why src ended at off in the midst of what.
func (s *scanner) cut(src *source, off int64, what string) error {
	if err := src.readError(); err != nil {
		return err
	}
	return reject.At(reject.Truncated, op, off, "the object ends inside %s", what)
}

func (s *scanner) warn(code, path string, off int64) {
	if len(s.obj.Warnings) >= maxWarnings || s.warned[code] >= maxWarningsPerCode {
		return
	}
	if s.warned == nil {
		s.warned = make(map[string]int)
	}
	s.warned[code]++
	if s.inflated {
		off = s.obj.DatasetOffset
	}
	s.obj.Warnings = append(s.obj.Warnings, Warning{Code: code, Path: path, Offset: off})
}

func (s *scanner) warnHere(code string, tag uint32, off int64) {
	if len(s.obj.Warnings) >= maxWarnings || s.warned[code] >= maxWarningsPerCode {
		return
	}
	s.warn(code, s.path(tag), off)
}

const hexDigits = "0123456789ABCDEF"

func appendTag(b []byte, tag uint32) []byte {
	return append(b, hexDigits[tag>>28], hexDigits[tag>>24&15], hexDigits[tag>>20&15], hexDigits[tag>>16&15],
		hexDigits[tag>>12&15], hexDigits[tag>>8&15], hexDigits[tag>>4&15], hexDigits[tag&15])
}

func tagPath(tag uint32) string { return string(appendTag(nil, tag)) }
