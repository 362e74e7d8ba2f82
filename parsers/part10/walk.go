package part10

import (
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/dict"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Tags that the walk itself knows.
const (
	tagItem            = 0xFFFEE000
	tagItemEnd         = 0xFFFEE00D
	tagSequenceEnd     = 0xFFFEE0DD
	tagPixelData       = 0x7FE00010
	tagFloatPixelData  = 0x7FE00008
	tagDoublePixelData = 0x7FE00009
	tagOffsets         = 0x7FE00001 // Extended Offset Table
	tagOffsetLengths   = 0x7FE00002
	tagWaveformData    = 0x54001010
	tagDocument        = 0x00420011 // Encapsulated Document
	tagTrailingPadding = 0xFFFCFFFC

	undefinedLength = 0xFFFFFFFF
)

// level is a data set, sequence or item that is open.
type level struct {
	sequence      bool
	implicit, big bool
	unordered     bool   // elements were not in ascending order, or twice
	tag           uint32 // of the sequence
	last          uint32 // last element's tag
	item          int    // 0-based number of the sequence's current item, -1 before the first
	entry         int    // index of this level's entry; -1 for the data set
	end           int64  // where it ends; -1 for undefined length
	limit         int64  // where the innermost thing with a length ends
}

type entryKind uint8

const (
	kindValue    entryKind = iota // bytes in scanner.header
	kindBulk                      // off is the index into Object.Bulk
	kindSequence                  // items follow
	kindItem                      // elements follow
)

// entry is one line of the header. span counts the entries that it takes, itself and all it contains.
type entry struct {
	tag      uint32
	off, len uint32
	span     int32
	vr       vr
	kind     entryKind
	big      bool
}

// entryCost is what an entry counts against Limits.Header, bytes.
const entryCost = 24

// walk goes through the data set, with a stack of its own (PS3.5 §7).
func (s *scanner) walk() error {
	s.stack = append(s.stack, level{
		implicit: !s.syntax.ExplicitVR, big: s.syntax.BigEndian, entry: -1, end: -1, limit: math.MaxInt64,
	})
	if err := s.checkSyntax(); err != nil {
		return err
	}
	for {
		l := &s.stack[len(s.stack)-1]
		off := s.src.off()
		switch {
		case l.end >= 0 && off >= l.end:
			s.close()
			continue
		case off >= l.limit: // undefined length inside a container that has one
			s.warnHere(WarnSequenceBoundary, l.tag, off)
			s.close()
			continue
		}
		var done bool
		var err error
		if l.sequence {
			err = s.item(l, off)
		} else {
			done, err = s.element(l, off)
		}
		if done || err != nil {
			return err
		}
	}
}

// checkSyntax compares the first element with the transfer syntax. When it is encoded otherwise the
// verdict is fixed, and the walk goes on as the bytes are, to learn identifiers for operators.
func (s *scanner) checkSyntax() error {
	h := s.src.peek(8)
	if len(h) < 8 {
		return nil // nothing there; the walk says so
	}
	l := &s.stack[0]
	off := s.src.off()
	if g := u16(h, l.big); g > 0x00FF && bits.ReverseBytes16(g) <= 0x00FF {
		s.verdict(reject.At(reject.WrongSyntax, op, off, "the data set has the other byte order than transfer syntax %s", s.syntaxName()))
		l.big = !l.big
	}
	v, letters := parseVR(h[4], h[5])
	switch {
	case l.implicit && v != vrNone && u16(h, l.big) <= 0x0010:
		s.verdict(reject.At(reject.WrongSyntax, op, off, "explicit VR under an implicit VR transfer syntax"))
		l.implicit = false
	case !l.implicit && v == vrNone && !letters:
		s.verdict(reject.At(reject.WrongSyntax, op, off, "no explicit VR under transfer syntax %s", s.syntaxName()))
		l.implicit = true
	}
	return nil
}

// syntaxName is safe to show: transfer syntaxes of unknown form are not repeated.
func (s *scanner) syntaxName() string {
	if len(s.syntax.UID) > 64 {
		return "(too long)"
	}
	return strconv.QuoteToASCII(s.syntax.UID)
}

// item reads the head of a sequence's next item, or the sequence's end.
func (s *scanner) item(l *level, off int64) error {
	h := s.src.peek(8)
	if len(h) < 8 {
		return s.cut(s.src, off, "a sequence")
	}
	tag, length := tagAt(h, l.big), u32(h[4:], l.big)
	if tag == tagSequenceEnd {
		if l.end >= 0 {
			s.warnHere(WarnDelimiter, l.tag, off)
		}
		s.src.pos += 8
		if l.end >= 0 && s.src.off() < l.end {
			return reject.At(reject.Malformed, op, off, "sequence delimiter before the sequence's end")
		}
		s.close()
		return nil
	}
	if tag != tagItem {
		return reject.At(reject.Malformed, op, off, "(%04X,%04X) where a sequence item should start", tag>>16, tag&0xFFFF)
	}
	if s.items++; s.items > s.limits.Items {
		return reject.At(reject.TooManyElements, op, off, "more than %d items", s.limits.Items)
	}
	s.src.pos += 8
	l.item++
	child := level{
		implicit: l.implicit, big: l.big, tag: l.tag, item: l.item, end: -1, limit: l.limit,
		entry: len(s.entries),
	}
	if length != undefinedLength {
		child.end = off + 8 + int64(length)
		if child.end > l.limit {
			return reject.At(reject.Malformed, op, off, "an item is longer than what it lies in")
		}
		child.limit = child.end
	}
	return s.push(child, entry{kind: kindItem, span: 1}, off)
}

func (s *scanner) push(l level, e entry, off int64) error {
	if l.sequence && len(s.stack) > 2*s.limits.Depth {
		return reject.At(reject.TooDeep, op, off, "sequences nested more than %d deep", s.limits.Depth)
	}
	if err := s.charge(entryCost, off); err != nil {
		return err
	}
	s.entries = append(s.entries, e)
	s.stack = append(s.stack, l)
	return nil
}

func (s *scanner) charge(n, off int64) error {
	if s.charged += n; s.charged > s.limits.Header {
		return reject.At(reject.HeaderTooLarge, op, off, "header exceeds %d bytes", s.limits.Header)
	}
	return s.grow()
}

const (
	growStep     = 512 << 10 // bytes between two calls of Options.Grow; smaller objects make none
	fragmentCost = 24        // bytes of a fragment's size and range
)

// grow tells Options.Grow what was kept since it was told last.
func (s *scanner) grow() error {
	kept := s.charged + int64(len(s.pixel.sizes))*fragmentCost
	if kept-s.told < growStep || s.opt.Grow == nil {
		return nil
	}
	n := kept - s.told
	s.told = kept
	return s.opt.Grow(n)
}

// close ends the innermost level.
func (s *scanner) close() {
	l := s.stack[len(s.stack)-1]
	s.stack = s.stack[:len(s.stack)-1]
	if l.entry >= 0 {
		s.entries[l.entry].span = int32(len(s.entries) - l.entry)
	}
	if l.unordered {
		s.sortItem(l.entry + 1)
	}
}

// closeAll ends every level, however the walk ended.
func (s *scanner) closeAll() {
	for len(s.stack) > 0 {
		s.close()
	}
}

// sortItem puts the elements from index start to the end in ascending order; of equal tags the first one
// received stays first.
func (s *scanner) sortItem(start int) {
	type run struct {
		tag   uint32
		start int
		span  int32
	}
	var runs []run
	for i := start; i < len(s.entries); i += int(s.entries[i].span) {
		runs = append(runs, run{s.entries[i].tag, i, s.entries[i].span})
	}
	slices.SortStableFunc(runs, func(a, b run) int {
		switch {
		case a.tag < b.tag:
			return -1
		case a.tag > b.tag:
			return 1
		}
		return 0
	})
	sorted := make([]entry, 0, len(s.entries)-start)
	for _, r := range runs {
		sorted = append(sorted, s.entries[r.start:r.start+int(r.span)]...)
	}
	copy(s.entries[start:], sorted)
}

// element reads one data element, or an item's end; done says that the data set ended well.
func (s *scanner) element(l *level, off int64) (done bool, err error) {
	h := s.src.peek(12)
	top := len(s.stack) == 1
	if len(h) < 8 {
		if top && s.src.readError() == nil && (len(h) == 0 || s.sawPixel || allZero(h)) {
			if len(h) > 0 {
				s.warn(WarnTrailingBytes, "", off)
			}
			return true, nil
		}
		return false, s.cut(s.src, off, "a data element's head")
	}
	tag := tagAt(h, l.big)
	if top && s.sawPixel && tag < tagPixelData && !s.plausibleAfterPixels(l, h, tag) {
		s.warn(WarnTrailingBytes, "", off)
		return true, nil
	}
	if tag>>16 == 0xFFFE {
		return false, s.itemEnd(l, tag, off)
	}
	if tag>>16 == 0 || tag>>16 == 2 {
		return false, reject.At(reject.Malformed, op, off, "(%04X,%04X) in a data set", tag>>16, tag&0xFFFF)
	}
	hd, err := s.head(l, h, tag, off)
	if err != nil {
		return false, err
	}
	if s.elements++; s.elements > s.limits.Elements {
		return false, reject.At(reject.TooManyElements, op, off, "more than %d elements", s.limits.Elements)
	}
	s.obj.AllElements++
	if top {
		s.obj.TopElements++
	}
	if tag <= l.last {
		code := WarnOrder
		if tag == l.last {
			code = WarnDuplicate
		}
		s.warnHere(code, tag, off)
		l.unordered = true
	}
	l.last = max(l.last, tag)
	s.src.pos += hd.size
	return false, s.value(l, tag, hd, off+int64(hd.size))
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// plausibleAfterPixels tells a data element that comes too late from padding and other trailing bytes.
func (s *scanner) plausibleAfterPixels(l *level, h []byte, tag uint32) bool {
	switch g := tag >> 16; {
	case g == 2: // another File Meta group: no padding, but another object
		_, letters := parseVR(h[4], h[5])
		return letters
	case g < 8 || g == 0xFFFE:
		return false
	}
	if l.implicit {
		return dict.VR(tag) != ""
	}
	v, _ := parseVR(h[4], h[5])
	return v != vrNone
}

// itemEnd handles tags of group FFFE where an element should start.
func (s *scanner) itemEnd(l *level, tag uint32, off int64) error {
	if tag != tagItemEnd || len(s.stack) == 1 {
		return reject.At(reject.Malformed, op, off, "stray (%04X,%04X)", tag>>16, tag&0xFFFF)
	}
	s.src.pos += 8
	if l.end >= 0 {
		if s.src.off() != l.end {
			return reject.At(reject.Malformed, op, off, "item delimiter before the item's end")
		}
		s.warnHere(WarnDelimiter, l.tag, off)
	}
	s.close()
	return nil
}

// elementHead is a data element's head, decoded.
type elementHead struct {
	vr       vr
	implicit bool // this one, whatever the data set is
	length   uint32
	size     int // bytes of the head
}

func (s *scanner) head(l *level, h []byte, tag uint32, off int64) (elementHead, error) {
	if l.implicit {
		return elementHead{vr: implicitVR(tag), implicit: true, length: u32(h[4:], l.big), size: 8}, nil
	}
	v, letters := parseVR(h[4], h[5])
	if v == vrNone && h[4] == ' ' && h[5] == ' ' && tag>>16&1 == 0 {
		// A blank VR with a short length, from writers that did not know their element.
		s.warnHere(WarnUnknownVR, tag, off)
		return elementHead{vr: implicitVR(tag), length: uint32(u16(h[6:], l.big)), size: 8}, nil
	}
	if v == vrNone && !letters {
		// Some writers copy private items from implicit data sets as they were.
		length := u32(h[4:], l.big)
		if len(s.stack) == 1 && tag>>16&1 == 0 {
			return elementHead{}, reject.At(reject.Malformed, op, off, "(%04X,%04X) has no VR", tag>>16, tag&0xFFFF)
		}
		if length != undefinedLength && int64(length) > s.limits.InlineValue {
			return elementHead{}, reject.At(reject.Malformed, op, off, "(%04X,%04X) has no VR", tag>>16, tag&0xFFFF)
		}
		s.warnHere(WarnImplicitItem, tag, off)
		return elementHead{vr: implicitVR(tag), implicit: true, length: length, size: 8}, nil
	}
	long := vrs[v].long
	if v == vrNone { // a VR to come has the long form (PS3.5 §7.1.2); old writers' inventions have not
		long = h[6] == 0 && h[7] == 0
		s.warnHere(WarnUnknownVR, tag, off)
		v = vrUN
		if !long {
			return elementHead{vr: v, length: uint32(u16(h[6:], l.big)), size: 8}, nil
		}
	}
	if !long {
		return elementHead{vr: v, length: uint32(u16(h[6:], l.big)), size: 8}, nil
	}
	if len(h) < 12 {
		return elementHead{}, s.cut(s.src, off, "a data element's head")
	}
	hd := elementHead{vr: v, length: u32(h[8:], l.big), size: 12}
	if v == vrUN && tag>>16&1 == 0 && !l.big {
		// UN may hide an element that the writer did not know: its value is implicit little endian
		// (PS3.5 §6.2.2 note 2).
		if known := implicitVR(tag); known != vrUN {
			hd.vr, hd.implicit = known, true
		}
	}
	return hd, nil
}

// implicitVR returns the VR of tag in an implicit VR data set.
func implicitVR(tag uint32) vr {
	e := uint16(tag)
	switch {
	case e == 0:
		return vrUL
	case tag>>16&1 == 1:
		if e >= 0x10 && e <= 0xFF {
			return vrLO // private creator, PS3.5 §7.8
		}
		return vrUN
	}
	return dictVR(dict.VR(tag))
}

// value reads what follows a head, from off on.
func (s *scanner) value(l *level, tag uint32, hd elementHead, off int64) error {
	top := len(s.stack) == 1
	isPixel := tag == tagPixelData || tag == tagFloatPixelData || tag == tagDoublePixelData
	if hd.length == undefinedLength {
		switch {
		case hd.vr == vrSQ || hd.vr == vrUN && !(tag == tagPixelData && s.syntax.Encapsulated):
			return s.push(level{
				sequence: true, tag: tag, item: -1, entry: len(s.entries), end: -1, limit: l.limit,
				implicit: l.implicit || hd.vr == vrUN || hd.implicit, big: l.big && hd.vr != vrUN,
			}, entry{tag: tag, vr: vrSQ, kind: kindSequence, span: 1}, off)
		case tag == tagPixelData || hd.vr == vrOB || hd.vr == vrOW:
			if top && isPixel {
				s.sawPixel = true
			}
			return s.fragments(l, tag, hd.vr, off)
		}
		return reject.At(reject.Malformed, op, off, "(%04X,%04X) %s has undefined length", tag>>16, tag&0xFFFF, vrs[hd.vr].name)
	}
	end := off + int64(hd.length)
	if end > l.limit {
		return reject.At(reject.Malformed, op, off, "(%04X,%04X) is longer than what it lies in", tag>>16, tag&0xFFFF)
	}
	if hd.vr == vrSQ {
		return s.push(level{
			sequence: true, tag: tag, item: -1, entry: len(s.entries), end: end, limit: end,
			implicit: l.implicit || hd.implicit, big: l.big,
		}, entry{tag: tag, vr: vrSQ, kind: kindSequence, span: 1}, off)
	}
	if hd.length&1 == 1 {
		s.warnHere(WarnOddLength, tag, off)
	}
	if err := s.charge(entryCost, off); err != nil {
		return err
	}
	if top && isPixel {
		s.sawPixel = true
	}
	bulk := isPixel || tag == tagWaveformData || tag == tagDocument
	switch {
	case hd.length == 0:
		s.entries = append(s.entries, entry{tag: tag, vr: hd.vr, span: 1})
		return nil
	case bulk || int64(hd.length) > s.limits.InlineValue:
		if f := vrs[hd.vr].form; !bulk && (f == formString && hd.vr != vrUC || f == formPerson || f == formUID) {
			return s.cutText(l, tag, hd, off)
		}
		return s.bulk(l, tag, hd, off, bulk)
	}
	if err := s.charge(int64(hd.length), off); err != nil {
		return err
	}
	start := len(s.header)
	var whole bool
	if s.header, whole = s.src.appendTo(s.header, int(hd.length)); !whole {
		s.header = s.header[:start]
		return s.cut(s.src, off, "the value of ("+tagPath(tag)+")")
	}
	s.entries = append(s.entries, entry{
		tag: tag, off: uint32(start), len: hd.length, span: 1, vr: hd.vr, big: l.big,
	})
	if top {
		switch tag {
		case 0x00080018:
			s.sawIDs |= 1
		case 0x0020000D:
			s.sawIDs |= 2
		case 0x0020000E:
			s.sawIDs |= 4
		case tagOffsets:
			s.pixel.offsets = s.header[start:len(s.header):len(s.header)]
		case tagOffsetLengths:
			s.pixel.lengths = s.header[start:len(s.header):len(s.header)]
		}
	}
	return nil
}

// path returns the path of an element of the innermost item, as Bulk.Path.
func (s *scanner) path(tag uint32) string {
	b := s.pathBuf[:0]
	for i := range s.stack {
		if l := &s.stack[i]; i > 0 && !l.sequence {
			b = appendTag(b, l.tag)
			b = append(b, '/')
			b = strconv.AppendInt(b, int64(l.item), 10)
			b = append(b, '/')
		}
	}
	b = appendTag(b, tag)
	s.pathBuf = b
	return string(b)
}
