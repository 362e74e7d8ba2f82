package dicomwave

import (
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

// layout is how one sample of every channel is stored.
type layout struct {
	channels int
	bytes    int // of a sample
	unsigned bool
	offset   int64 // added to counts to get what is stored
	big      bool
	words    bool // 16-bit words are swapped
	padding  int32
	padded   bool
}

func (l layout) frameBytes() int { return l.channels * l.bytes }

// errSampleKind: μ-law and A-law are for sound, and 64 bits for nothing that beats.
var errSampleKind = errors.New("samples of a kind that is not read")

// layoutOf reads Waveform Bits Allocated (5400,1004), Sample Interpretation (5400,1006) and Padding Value
// (5400,100A).
func layoutOf(item dataset, channels int, big bool) (layout, error) {
	l := layout{channels: channels, big: big}
	bits, kind := item.count("54001004"), item.text("54001006")
	want := map[string]int64{"SB": 8, "UB": 8, "SS": 16, "US": 16, "SL": 32, "UL": 32}[kind]
	switch {
	case want == 0 && kind != "":
		return l, errSampleKind
	case want == 0:
		want = bits
	case bits != 0 && bits != want:
		return l, fmt.Errorf("samples of kind %s in %d bits", kind, bits)
	}
	if want != 8 && want != 16 && want != 32 {
		return l, fmt.Errorf("samples of %d bits", want)
	}
	l.bytes, l.unsigned = int(want/8), kind == "UB" || kind == "US" || kind == "UL"
	if kind == "UL" {
		l.offset = math.MaxInt32 + 1
	}
	// A value of OW is at least a word: of two bytes, the first holds a sample of one.
	if p := item.binary("5400100A"); len(p) >= l.bytes {
		l.padding, l.padded = l.sample(p), true
	}
	if l.padding == 0 && !l.unsigned {
		l.padded = false // written by programs that have none: every crossing of the baseline would be a gap
	}
	return l, nil
}

// sample reads one little-endian sample.
func (l layout) sample(b []byte) int32 {
	switch {
	case l.bytes == 1 && l.unsigned:
		return int32(b[0])
	case l.bytes == 1:
		return int32(int8(b[0]))
	case l.bytes == 2 && l.unsigned:
		return int32(binary.LittleEndian.Uint16(b))
	case l.bytes == 2:
		return int32(int16(binary.LittleEndian.Uint16(b)))
	}
	return int32(binary.LittleEndian.Uint32(b) - uint32(l.offset))
}

// decode is ecg.Frames.Decode.
func (l layout) decode(frame []byte, b *ecg.Block, at int) {
	if l.words {
		for i := 0; i+1 < len(frame); i += 2 {
			frame[i], frame[i+1] = frame[i+1], frame[i]
		}
	}
	for c := range l.channels {
		v := l.sample(frame[c*l.bytes:])
		b.Counts[c][at] = v
		if l.padded && v == l.padding {
			b.Miss(c, at)
		}
	}
}

// swapped reads length bytes from offset on with each pair of bytes swapped.
type swapped struct {
	at             io.ReaderAt
	offset, length int64
}

// ReadAt implements io.ReaderAt.
func (s swapped) ReadAt(p []byte, off int64) (int, error) {
	from := off - (off-s.offset)&1
	end := min(off+int64(len(p))+1, s.offset+s.length)
	pairs := make([]byte, max(0, end-from))
	n, err := s.at.ReadAt(pairs, from)
	pairs = pairs[:n]
	for i := 0; i+1 < len(pairs); i += 2 {
		pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
	}
	got := 0
	if skip := off - from; int64(len(pairs)) > skip {
		got = copy(p, pairs[skip:])
	}
	if got == len(p) {
		return got, nil
	}
	if err == nil {
		err = io.EOF
	}
	return got, err
}

// inflatedFile gives the inflated data set as a file. It reads forwards; a read behind its place starts anew,
// which readers of samples do once each. Scan has been over it, so its size is within limits.
func inflatedFile(src ecg.File, start int64, bulk []part10.Bulk) ecg.File {
	size := int64(0)
	for _, b := range bulk {
		size = max(size, b.Offset+b.Length)
	}
	return ecg.File{At: &inflating{src: src, start: start}, Size: size}
}

type inflating struct {
	src   ecg.File
	start int64

	mu  sync.Mutex
	z   io.Reader
	pos int64
	// What was read last: readers of two groups that take turns would otherwise inflate all for each.
	window []byte
	from   int64
}

// ReadAt implements io.ReaderAt.
func (f *inflating) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= f.from && off+int64(len(p)) <= f.from+int64(len(f.window)) {
		return copy(p, f.window[off-f.from:]), nil
	}
	if f.z == nil || off < f.pos {
		f.z, f.pos = flate.NewReader(io.NewSectionReader(f.src.At, f.start, f.src.Size-f.start)), 0
	}
	skipped, err := io.CopyN(io.Discard, f.z, off-f.pos)
	f.pos += skipped
	if err != nil {
		f.z = nil
		return 0, err
	}
	n, err := io.ReadFull(f.z, p)
	f.pos += int64(n)
	f.window, f.from = append(f.window[:0], p[:n]...), off
	if err != nil {
		f.z = nil
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
	}
	return n, err
}
