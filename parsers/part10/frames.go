package part10

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// pixelData is what passed of the top level's PixelData.
type pixelData struct {
	encapsulated bool
	basic        []byte // Basic Offset Table
	basicTooLong bool
	firstItem    int64    // of the first fragment's item, what offset tables count from
	offsets      []byte   // Extended Offset Table (7FE0,0001)
	lengths      []byte   // Extended Offset Table Lengths (7FE0,0002)
	sizes        []uint32 // of the fragments; a quarter of what ranges would take while they grow
	padded       []int    // fragments behind a pad byte that belongs to none
	starts       []int    // fragments that start a codestream
	dropped      bool     // more fragments than are recorded

	fragments []Range // from sizes, once all have passed
}

// codestreamHead is how much of a fragment tells whether a codestream starts there, bytes.
const codestreamHead = 16

func (p *pixelData) add(size uint32, head []byte, limit int) {
	if len(p.sizes) >= limit {
		p.dropped = true
		return
	}
	if startsCodestream(head) {
		p.starts = append(p.starts, len(p.sizes))
	}
	p.sizes = append(p.sizes, size)
}

// ranges returns where the fragments' payloads lie: one behind the other, each behind its item's head.
func (p *pixelData) ranges() []Range {
	if len(p.sizes) == 0 {
		return nil
	}
	all := make([]Range, len(p.sizes))
	off, padded := p.firstItem, p.padded
	for i, n := range p.sizes {
		if len(padded) > 0 && padded[0] == i {
			off++
			padded = padded[1:]
		}
		all[i] = Range{Offset: off + 8, Length: int64(n)}
		off += 8 + int64(n)
	}
	return all
}

// startsCodestream knows the first bytes of what the standard's encapsulated syntaxes carry.
func startsCodestream(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	switch be := binary.BigEndian.Uint32(b); {
	case be>>8 == 0xFFD8FF: // JPEG, JPEG-LS: SOI and another marker
		return true
	case be == 0xFF4FFF51: // JPEG 2000, HTJ2K: SOC, SIZ
		return true
	case be>>16 == 0xFF0A: // JPEG XL codestream
		return true
	case be == 0x0000000C && len(b) >= 8: // boxes of JP2 and JPEG XL
		t := string(b[4:8])
		return t == "jP  " || t == "JXL "
	}
	// RLE header: number of segments, the first of which lies behind the header (PS3.5 §G.5).
	return len(b) >= 8 && binary.LittleEndian.Uint32(b)-1 < 15 && binary.LittleEndian.Uint32(b[4:]) == 64
}

// frameTable fills Object.Frames and says in a warning when frames cannot be told apart.
func (s *scanner) frameTable() {
	if !s.sawPixel {
		return
	}
	t := &s.obj.Frames
	t.Inflated = s.inflated
	p := &s.pixel
	native := s.nativePixels()
	switch {
	case p.encapsulated:
		t.Kind = Encapsulated
		s.encapsulatedFrames(t)
	case native != nil:
		t.Kind = Native
		t.Offset = native.Offset
		s.nativeFrames(t, native)
	default:
		return // cut off, or empty: the verdict or the warning says so
	}
	if t.Problem != "" {
		s.warn(WarnFrames, "7FE00010", 0)
	}
}

// nativePixels returns the top level's pixel value.
func (s *scanner) nativePixels() *Bulk {
	for i := range s.obj.Bulk {
		switch b := &s.obj.Bulk[i]; b.Path {
		case "7FE00010", "7FE00008", "7FE00009":
			return b
		}
	}
	return nil
}

// numberOfFrames returns Number of Frames (0028,0008), 1 where it is absent (PS3.3 §C.7.6.6).
func (s *scanner) numberOfFrames() (int64, string) {
	switch f := &s.facts; {
	case !f.hasFrames:
		return 1, ""
	case f.frames < 1:
		return 0, "Number of Frames is not a positive number"
	default:
		return f.frames, ""
	}
}

func (s *scanner) nativeFrames(t *FrameTable, value *Bulk) {
	f := &s.facts
	frames, problem := s.numberOfFrames()
	allocated := f.bitsAllocated
	switch value.Path {
	case "7FE00008":
		allocated = 32
	case "7FE00009":
		allocated = 64
	}
	switch {
	case problem != "":
		t.Problem = problem
		return
	case f.rows == 0 || f.columns == 0:
		t.Problem = "Rows or Columns is missing or zero"
		return
	case allocated != 1 && (allocated == 0 || allocated%8 != 0 || allocated > 64):
		t.Problem = "Bits Allocated is neither 1 nor a multiple of 8 up to 64"
		return
	}
	samples := max(f.samples, 1)
	pixels := uint64(f.rows) * uint64(f.columns)
	perPixel := uint64(samples) * uint64(allocated)
	hi, frameBits := bits.Mul64(pixels, perPixel)
	if hi != 0 || frameBits > math.MaxInt64 {
		t.Problem = "a frame's size overflows"
		return
	}
	// The value's length is below 4 GiB, so its bits are far from overflow.
	have := uint64(value.Length) * 8
	if samples == 3 && f.subsampled && !fits(frameBits, frames, have) {
		// Two pixels share one pair of chrominance samples (PS3.3 §C.7.6.3.1.2); some writers say so
		// and store all the samples nevertheless, so the length decides.
		frameBits = frameBits / 3 * 2
	}
	t.FrameBits = int64(frameBits)
	if !fits(frameBits, frames, have) {
		t.Problem = "PixelData is shorter than Rows × Columns × Number of Frames"
		t.Count = int(min(have/frameBits, uint64(frames)))
		return
	}
	t.Count = int(frames)
}

func fits(frameBits uint64, frames int64, have uint64) bool {
	hi, need := bits.Mul64(frameBits, uint64(frames))
	return hi == 0 && need <= have
}

// encapsulatedFrames tells which fragments make up each frame: by the Extended or the Basic Offset Table,
// or by the fragments themselves.
func (s *scanner) encapsulatedFrames(t *FrameTable) {
	p := &s.pixel
	p.fragments = p.ranges()
	t.Fragments = p.fragments
	if p.dropped {
		t.Problem = "more fragments than can be recorded"
		return
	}
	if len(p.fragments) == 0 {
		t.Problem = "no fragments"
		return
	}
	if s.syntax.Video { // one stream, whatever Number of Frames counts in it (PS3.5 §8.2.5)
		t.Source, t.First, t.Count = FromFragments, []int{0}, 1
		return
	}
	frames, problem := s.numberOfFrames()
	if problem != "" {
		t.Problem = problem
		return
	}
	switch {
	case len(p.offsets) > 0:
		t.Source = FromExtendedOffsetTable
		t.First, t.Problem = p.byTable(p.offsets, 8, frames)
		if t.Problem == "" {
			t.Problem = p.checkLengths(t.First)
		}
	case p.basicTooLong:
		t.Source = FromBasicOffsetTable
		t.Problem = "Basic Offset Table is longer than any that can be recorded"
	case len(p.basic) > 0 && int64(len(p.basic)) != 4*frames && p.byFragments(t, frames):
		// The table counts other frames than Number of Frames does, and the fragments leave no doubt.
	case len(p.basic) > 0:
		t.Source = FromBasicOffsetTable
		t.First, t.Problem = p.byTable(p.basic, 4, frames)
	default:
		if !p.byFragments(t, frames) {
			t.Source = FromFragments
			t.Problem = "fragments do not tell where frames start"
		}
	}
	if t.Problem != "" {
		t.First = nil
		return
	}
	t.Count = len(t.First)
}

// byTable finds the fragment at each offset of an offset table with entries of size bytes.
func (p *pixelData) byTable(table []byte, size int, frames int64) ([]int, string) {
	if len(table)%size != 0 || int64(len(table)/size) != frames {
		return nil, "offset table does not have one entry for each frame"
	}
	first := make([]int, 0, len(table)/size)
	f := 0
	for i := 0; i < len(table); i += size {
		off := uint64(binary.LittleEndian.Uint32(table[i:]))
		if size == 8 {
			off = binary.LittleEndian.Uint64(table[i:])
		}
		for f < len(p.fragments) && uint64(p.fragments[f].Offset-8-p.firstItem) < off {
			f++
		}
		if f == len(p.fragments) || uint64(p.fragments[f].Offset-8-p.firstItem) != off {
			return nil, "offset table points to where no fragment starts"
		}
		if n := len(first); n == 0 && f != 0 || n > 0 && f <= first[n-1] {
			return nil, "offset table is not in ascending order from the first fragment"
		}
		first = append(first, f)
	}
	return first, ""
}

// checkLengths compares Extended Offset Table Lengths with the frames' fragments.
func (p *pixelData) checkLengths(first []int) string {
	if len(p.lengths) != 8*len(first) {
		return "Extended Offset Table Lengths does not have one entry for each frame"
	}
	for i, f := range first {
		end := len(p.fragments)
		if i+1 < len(first) {
			end = first[i+1]
		}
		var n int64
		for _, r := range p.fragments[f:end] {
			n += r.Length
		}
		if binary.LittleEndian.Uint64(p.lengths[8*i:]) > uint64(n) {
			return "Extended Offset Table Lengths is longer than the fragments"
		}
	}
	return ""
}

// byFragments tells frames without a table: all fragments are a single frame's, or each one is a frame,
// or codestreams start as often as there are frames.
func (p *pixelData) byFragments(t *FrameTable, frames int64) bool {
	switch {
	case frames == 1:
		t.First = []int{0}
	case int64(len(p.fragments)) == frames:
		t.First = make([]int, frames)
		for i := range t.First {
			t.First[i] = i
		}
	case int64(len(p.starts)) == frames && p.starts[0] == 0:
		t.First = p.starts
	default:
		return false
	}
	t.Source = FromFragments
	return true
}
