package part10

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// cutLength is what is kept of a short text that is longer than Limits.InlineValue, bytes. The longest
// person name that the standard allows is 3 × 64 characters.
const cutLength = 2 << 10

// bulkCost is what a Bulk counts against Limits.Header beside its path, bytes: struct, JSON and entry.
const bulkCost = 160

// bulk passes over a value that stays in the file and notes where it is.
func (s *scanner) bulk(l *level, tag uint32, hd elementHead, off int64, expected bool) error {
	what := "the value of (" + tagPath(tag) + ")"
	if !expected && s.sawIDs != 7 && off+int64(hd.length)-s.datasetStart() > s.limits.Header {
		// Nothing legitimate puts so much before the identifiers; whoever reads the object's head to
		// identify it could not.
		return reject.At(reject.HeaderTooLarge, op, off, "identifiers lie more than %d bytes into the data set", s.limits.Header)
	}
	var sum hash.Hash
	if s.hashBulk {
		sum = sha256.New()
	}
	top := len(s.stack) == 1
	if top && (tag == tagOffsets || tag == tagOffsetLengths) && int64(hd.length)/8 <= int64(s.limits.Fragments) {
		table, whole := s.src.appendTo(nil, int(hd.length))
		if !whole {
			return s.cut(s.src, off, what)
		}
		if sum != nil {
			sum.Write(table)
		}
		if tag == tagOffsets {
			s.pixel.offsets = table
		} else {
			s.pixel.lengths = table
		}
	} else if s.src.skip(int64(hd.length), sum) < int64(hd.length) {
		return s.cut(s.src, off, what)
	}
	return s.addBulk(tag, Bulk{VR: bulkVR(hd.vr), Offset: off, Length: int64(hd.length)}, sum, off)
}

func bulkVR(v vr) string { return vrs[v].name }

func (s *scanner) addBulk(tag uint32, b Bulk, sum hash.Hash, off int64) error {
	b.Path, b.Inflated = s.path(tag), s.inflated
	if sum != nil {
		b.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	if err := s.charge(int64(2*len(b.Path))+bulkCost, off); err != nil {
		return err
	}
	v, _ := parseVR(b.VR[0], b.VR[1])
	s.entries = append(s.entries, entry{tag: tag, off: uint32(len(s.obj.Bulk)), span: 1, vr: v, kind: kindBulk})
	s.obj.Bulk = append(s.obj.Bulk, b)
	return nil
}

// datasetStart is the data set's first byte in the coordinates of src.
func (s *scanner) datasetStart() int64 {
	if s.inflated {
		return 0
	}
	return s.obj.DatasetOffset
}

// cutText keeps the beginning of a name, code or short text that is absurdly long; DICOM JSON has no bulk
// form for these, and no reader has use for more.
func (s *scanner) cutText(l *level, tag uint32, hd elementHead, off int64) error {
	if err := s.charge(cutLength, off); err != nil {
		return err
	}
	start := len(s.header)
	var whole bool
	if s.header, whole = s.src.appendTo(s.header, cutLength); whole {
		rest := int64(hd.length) - cutLength
		whole = s.src.skip(rest, nil) == rest
	}
	if !whole {
		s.header = s.header[:start]
		return s.cut(s.src, off, "the value of ("+tagPath(tag)+")")
	}
	s.warnHere(WarnValueCut, tag, off)
	s.entries = append(s.entries, entry{
		tag: tag, off: uint32(start), len: cutLength, span: 1, vr: hd.vr, big: l.big,
	})
	return nil
}

// fragments passes over an encapsulated value: a Basic Offset Table and fragments (PS3.5 §A.4).
func (s *scanner) fragments(l *level, tag uint32, v vr, off int64) error {
	p := &s.pixel
	frames := len(s.stack) == 1 && tag == tagPixelData && !p.encapsulated
	if frames {
		p.encapsulated = true
	}
	if err := s.charge(entryCost, off); err != nil {
		return err
	}
	var sum hash.Hash
	if s.hashBulk {
		sum = sha256.New()
	}
	odd := false
	for n := 0; ; n++ {
		at := s.src.off()
		h := s.src.peek(9)
		if odd && len(h) >= 5 && !fragmentTag(tagAt(h, l.big)) && fragmentTag(tagAt(h[1:], l.big)) {
			s.warnHere(WarnFragmentPadding, tag, at)
			s.src.pos++
			at++
			if frames && len(p.sizes) > 0 && !p.dropped {
				p.padded = append(p.padded, len(p.sizes))
			}
			h = s.src.peek(8)
		}
		if len(h) < 8 {
			return s.cut(s.src, at, "fragments")
		}
		it, length := tagAt(h, l.big), u32(h[4:], l.big)
		if it == tagSequenceEnd {
			s.src.pos += 8
			return s.addBulk(tag, Bulk{VR: bulkVR(v), Offset: off, Length: at - off}, sum, off)
		}
		if it != tagItem {
			return reject.At(reject.Malformed, op, at, "(%04X,%04X) where a fragment should start", it>>16, it&0xFFFF)
		}
		if length == undefinedLength {
			return reject.At(reject.Malformed, op, at, "fragment of undefined length")
		}
		if at+8+int64(length) > l.limit {
			return reject.At(reject.Malformed, op, at, "a fragment is longer than what it lies in")
		}
		if odd = length&1 == 1; odd {
			s.warnHere(WarnOddLength, tag, at)
		}
		s.src.pos += 8
		switch {
		case n == 0 && frames && int64(length)/4 <= int64(s.limits.Fragments):
			table, whole := s.src.appendTo(nil, int(length))
			if !whole {
				return s.cut(s.src, at, "the Basic Offset Table")
			}
			p.basic, p.firstItem = table, s.src.off()
			continue
		case n == 0:
			p.basicTooLong = frames
			if s.src.skip(int64(length), nil) < int64(length) {
				return s.cut(s.src, at, "the Basic Offset Table")
			}
			p.firstItem = s.src.off()
			continue
		case frames:
			p.add(length, s.src.peek(min(int(length), codestreamHead)), s.limits.Fragments)
			if err := s.grow(); err != nil {
				return err
			}
		}
		if s.src.skip(int64(length), sum) < int64(length) {
			if frames && !p.dropped {
				p.sizes = p.sizes[:len(p.sizes)-1]
			}
			return s.cut(s.src, at, "a fragment")
		}
	}
}

func fragmentTag(tag uint32) bool { return tag == tagItem || tag == tagSequenceEnd }
