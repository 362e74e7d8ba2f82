package ecg

import (
	"fmt"
	"io"
)

// Memory serves samples that a format had to read into memory (XML, base64, compressed beats): counts and
// missing are [lead][sample] from each lead's own Start on. missing may be nil, and so may any of its leads;
// leads may differ in length. It sets each lead's Length, where that is 0, and the group's.
func (g *Group) Memory(counts [][]int32, missing [][]bool) {
	for i := range g.Leads {
		l := &g.Leads[i]
		l.Length = int64(len(counts[i]))
		g.Length = max(g.Length, l.Start+l.Length)
	}
	g.SetSource(func() (SampleReader, error) {
		return &memoryReader{group: g, counts: counts, missing: missing}, nil
	})
}

type memoryReader struct {
	group   *Group
	counts  [][]int32
	missing [][]bool
	at      int64
}

func (r *memoryReader) Next(b *Block) error {
	n := min(r.group.Length-r.at, BlockSamples)
	if n <= 0 {
		b.Resize(r.at, len(r.counts), 0)
		return io.EOF
	}
	b.Resize(r.at, len(r.counts), int(n))
	for i, samples := range r.counts {
		l := &r.group.Leads[i]
		from := max(0, l.Start-r.at)                   // in the block
		to := min(n, l.Start+int64(len(samples))-r.at) // in the block
		for j := int64(0); j < min(from, n); j++ {     // before the lead begins
			b.Miss(i, int(j))
		}
		for j := max(0, to); j < n; j++ { // after it ended
			b.Miss(i, int(j))
		}
		if from >= to {
			continue
		}
		first := r.at + from - l.Start // in samples
		copy(b.Counts[i][from:to], samples[first:])
		if r.missing != nil && r.missing[i] != nil {
			for j := from; j < to; j++ {
				if k := first + j - from; k < int64(len(r.missing[i])) && r.missing[i][k] {
					b.Miss(i, int(j))
				}
			}
		}
	}
	r.at += n
	return nil
}

// Frames describes samples stored as a run of equal frames: a sample of every channel (DICOM, ISHNE,
// Contec), a data record (EDF), a sequence (MFER), a WFDB frame. A group made of it streams.
type Frames struct {
	At         io.ReaderAt
	Offset     int64 // of the first frame, bytes
	FrameBytes int64
	Samples    int   // of each lead in a frame
	Count      int64 // frames

	// Decode puts a frame's samples into b.Counts[lead][at : at+Samples] and marks missing ones with
	// b.Miss. It must not keep frame.
	Decode func(frame []byte, b *Block, at int)
}

// maxFrameBytes bounds one frame: an EDF record of 256 signals at 40 kHz for a second is 20 MB, and what
// is larger is no recording.
const maxFrameBytes = 32 << 20

// Check reports whether the description is one that can be read: positive sizes, and frames that lie within
// size bytes.
func (f *Frames) Check(size int64) error {
	switch {
	case f.Offset < 0 || f.FrameBytes <= 0 || f.FrameBytes > maxFrameBytes || f.Samples <= 0 || f.Count < 0 || int64(f.Samples) > f.FrameBytes*8:
		return fmt.Errorf("frames of %d bytes with %d samples", f.FrameBytes, f.Samples)
	case f.Offset > size || f.Count > (size-f.Offset)/f.FrameBytes:
		return fmt.Errorf("%d frames of %d bytes from byte %d reach beyond %d bytes", f.Count, f.FrameBytes, f.Offset, size)
	}
	return nil
}

// Stream makes the group read its samples from frames, and sets its Length and that of leads that have none.
// The frames must have passed Check.
func (g *Group) Stream(f Frames) {
	length := f.Count * int64(f.Samples)
	for i := range g.Leads {
		if l := &g.Leads[i]; l.Length == 0 {
			l.Length = length - l.Start
		}
	}
	g.Length = length
	leads := len(g.Leads)
	g.SetSource(func() (SampleReader, error) { return &frameReader{group: g, leads: leads, f: f}, nil })
}

// frameReader reads some frames at a time. A frame of more than BlockSamples samples is decoded whole and
// handed out in blocks.
type frameReader struct {
	group *Group
	leads int // stored ones: Complete adds to the group's
	f     Frames
	next  int64 // frame
	buf   []byte
	big   Block // a long frame
	used  int   // samples of big that were handed out
}

func (r *frameReader) Next(b *Block) error {
	leads := r.leads
	if r.used < r.big.Len {
		r.slice(b)
		return nil
	}
	if r.next >= r.f.Count {
		b.Resize(r.next*int64(r.f.Samples), leads, 0)
		return io.EOF
	}
	frames := min(max(1, int64(BlockSamples/r.f.Samples)), max(1, (256<<10)/r.f.FrameBytes), r.f.Count-r.next)
	need := frames * r.f.FrameBytes
	if int64(cap(r.buf)) < need {
		r.buf = make([]byte, need)
	}
	buf := r.buf[:need]
	if n, err := r.f.At.ReadAt(buf, r.f.Offset+r.next*r.f.FrameBytes); n < len(buf) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("ecg: read samples: %w", err)
	}
	into := b
	if r.f.Samples > BlockSamples {
		into = &r.big
	}
	into.Resize(r.next*int64(r.f.Samples), leads, int(frames)*r.f.Samples)
	for i := range frames {
		r.f.Decode(buf[i*r.f.FrameBytes:(i+1)*r.f.FrameBytes], into, int(i)*r.f.Samples)
	}
	r.next += frames
	r.group.trim(into)
	if into == &r.big {
		r.used = 0
		r.slice(b)
	}
	return nil
}

func (r *frameReader) slice(b *Block) {
	n := min(r.big.Len-r.used, BlockSamples)
	b.Resize(r.big.Start+int64(r.used), len(r.big.Counts), n)
	for i := range r.big.Counts {
		copy(b.Counts[i], r.big.Counts[i][r.used:])
		if m := r.big.Missing[i]; m != nil {
			b.Missing[i] = append([]bool(nil), m[r.used:r.used+n]...)
		}
	}
	r.used += n
}

// trim marks what lies outside a lead's own extent as missing.
func (g *Group) trim(b *Block) {
	end := b.Start + int64(b.Len)
	for i := range b.Counts {
		l := &g.Leads[i]
		if l.Start <= b.Start && l.Start+l.Length >= end {
			continue
		}
		for j := range b.Len {
			if at := b.Start + int64(j); at < l.Start || at >= l.Start+l.Length {
				b.Miss(i, j)
			}
		}
	}
}
