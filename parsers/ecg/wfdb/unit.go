package wfdb

import (
	"sort"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// signalFile is one file with the samples of some signals, interleaved by frame.
type signalFile struct {
	ecg.File
	format  int
	offset  int64
	members []int // signals, in the order of the header
	order   []int // which member each sample of a frame is of
	flac    flacInfo
	frames  int64 // that the file has
}

// unit is what one header describes: a record without segments, or one segment.
type unit struct {
	*header
	files  []*signalFile
	absent []bool // [signal]: its file did not come
	length int64  // frames, after skew
	skew   int    // the largest, frames
}

// openUnit finds the signal files of a header.
func openUnit(h *header, src ecg.Source, rec *ecg.Recording) (*unit, error) {
	u := &unit{header: h, absent: make([]bool, len(h.signals)), length: h.frames}
	byName := map[string]*signalFile{}
	for i := range h.signals {
		s := &h.signals[i]
		if s.elsewhere {
			u.absent[i] = true
			continue
		}
		f := byName[s.file]
		if f == nil {
			part, ok := src.Part(s.file)
			if !ok {
				u.absent[i] = true
				rec.Warn(ecg.WarnCompanionMissing, "signal file")
				continue
			}
			f = &signalFile{File: part, format: s.format, offset: s.offset}
			byName[s.file] = f
			u.files = append(u.files, f)
		}
		if f.format != s.format {
			return nil, reject.New(reject.Malformed, op, "formats %d and %d in one signal file", f.format, s.format)
		}
		if s.format == 0 {
			u.absent[i] = true
			continue
		}
		for range s.perFrame {
			f.order = append(f.order, len(f.members))
		}
		f.members = append(f.members, i)
		u.skew = max(u.skew, s.skew)
	}
	u.files = withSamples(u.files)
	if err := u.extent(rec); err != nil {
		return nil, err
	}
	return u, nil
}

// withSamples leaves out files of format 0.
func withSamples(files []*signalFile) []*signalFile {
	out := files[:0]
	for _, f := range files {
		if len(f.members) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// extent finds how many frames there are.
func (u *unit) extent(rec *ecg.Recording) error {
	shortest := int64(-1)
	perFrame := 0
	for _, f := range u.files {
		perFrame += len(f.order)
		if err := u.framesOf(f); err != nil {
			return err
		}
		if shortest < 0 || f.frames < shortest {
			shortest = f.frames
		}
	}
	if u.skew*perFrame > maxHeldBack {
		return reject.New(reject.TooManyElements, op, "a skew of %d frames", u.skew)
	}
	switch {
	case len(u.files) == 0:
		u.length = max(0, u.length)
		return nil
	case u.length < 0:
		u.length = shortest
	case u.length > shortest:
		rec.Warn(ecg.WarnTruncated, "")
		u.length = shortest
	}
	u.length = max(0, u.length-int64(u.skew))
	return nil
}

func (u *unit) framesOf(f *signalFile) error {
	if !isFLAC(f.format) {
		f.frames = samplesIn(f.format, max(0, f.Size-f.offset)) / int64(len(f.order))
		return nil
	}
	info, err := readFLACInfo(f.At, f.Size)
	if err != nil {
		return err
	}
	each := u.signals[f.members[0]].perFrame
	for _, m := range f.members {
		if u.signals[m].perFrame != each {
			return reject.New(reject.Malformed, op, "signals of different rates in one FLAC file")
		}
	}
	if info.channels != len(f.members) || info.bits != f.format-500 {
		return reject.New(reject.Malformed, op, "FLAC of %d channels of %d bits for %d signals of format %d", info.channels, info.bits, len(f.members), f.format)
	}
	samples := info.samples
	if samples == 0 && u.frames > 0 {
		samples = u.frames * int64(each)
	}
	if samples > f.Size*maxUnfold {
		return reject.New(reject.InflateBomb, op, "a FLAC file of %d bytes for %d samples", f.Size, samples)
	}
	f.flac, f.frames = info, samples/int64(each)
	return nil
}

// open makes the source of a file's samples, from the first.
func (u *unit) open(f *signalFile) sampleSource {
	p := packed{at: f.At, size: f.Size, offset: f.offset, format: f.format}
	switch {
	case isFLAC(f.format):
		return newFLAC(f.At, f.Size, f.flac, len(f.order)/len(f.members))
	case f.format == 8:
		s := &summed{packed: p, order: f.order, last: make([]int32, len(f.members))}
		for i, m := range f.members {
			s.last[i] = u.signals[m].initial
		}
		return s
	}
	return &p
}

// pick is a signal that a group wants, and which of the group's leads it is.
type pick struct {
	signal, lead int
	mul          int32 // counts are brought to the group's step: (count − base)·mul
	base         int32
	rational     *ecg.Scaler // where no whole number will do
	missing      int32
	misses       bool
}

// unitReader reads a unit's frames for one group.
type unitReader struct {
	files []fileReader
}

type fileReader struct {
	source sampleSource
	width  int // samples of a frame
	skew   int // frames that are held back for skewed signals
	picks  []filePick
	buf    []int32
	from   int   // frame in buf that comes next
	have   int   // frames in buf
	left   int64 // frames that the source has yet to give
}

type filePick struct {
	pick
	place int // of its first sample in a frame
	each  int // samples of a frame
	skew  int // frames
}

// reader opens the files that hold the picks.
func (u *unit) reader(picks []pick) *unitReader {
	r := &unitReader{}
	for _, f := range u.files {
		fr := fileReader{width: len(f.order)}
		place := 0
		for _, m := range f.members {
			s := &u.signals[m]
			for _, p := range picks {
				if p.signal == m {
					fr.picks = append(fr.picks, filePick{p, place, s.perFrame, s.skew})
				}
			}
			place += s.perFrame
		}
		if len(fr.picks) == 0 {
			continue
		}
		fr.source, fr.skew, fr.left = u.open(f), u.skew, u.length+int64(u.skew)
		r.files = append(r.files, fr)
	}
	return r
}

// read puts n frames into b from sample at of each lead on.
func (r *unitReader) read(n int, b *ecg.Block, at int) error {
	for i := range r.files {
		if err := r.files[i].readFrames(n, b, at); err != nil {
			return err
		}
	}
	return nil
}

func (f *fileReader) readFrames(n int, b *ecg.Block, at int) error {
	if err := f.more(n + f.skew); err != nil {
		return err
	}
	for _, p := range f.picks {
		out := b.Counts[p.lead][at:]
		if p.each == 1 && p.mul == 1 && p.rational == nil { // nearly all
			from := (f.from+p.skew)*f.width + p.place
			for k := range out[:n] {
				v := f.buf[from]
				from += f.width
				out[k] = v
				if p.misses && v == p.missing {
					b.Miss(p.lead, at+k)
				}
			}
			continue
		}
		k := 0
		for frame := range n {
			from := (f.from+frame+p.skew)*f.width + p.place
			for _, v := range f.buf[from : from+p.each] {
				if p.misses && v == p.missing {
					b.Miss(p.lead, at+k)
				}
				out[k] = p.bring(v)
				k++
			}
		}
	}
	f.from += n
	return nil
}

// more sees to it that n frames wait in buf. It reads as many as are held back at least, so that moving those
// costs no more than reading.
func (f *fileReader) more(n int) error {
	waiting := f.have - f.from
	if waiting >= n {
		return nil
	}
	add := int(min(f.left, int64(max(n-waiting, f.skew, maxChunk/4/f.width))))
	need := (waiting + add) * f.width
	old := f.buf[f.from*f.width : f.have*f.width]
	if cap(f.buf) < need {
		f.buf = make([]int32, need)
	}
	f.buf = f.buf[:need]
	copy(f.buf, old)
	f.from, f.have = 0, waiting+add
	f.left -= int64(add)
	return f.source.read(f.buf[waiting*f.width:])
}

// bring turns a count into the group's step.
func (p *pick) bring(v int32) int32 {
	switch {
	case p.rational != nil:
		v, _ = p.rational.Round(v)
		return v
	case p.mul != 1:
		return (v - p.base) * p.mul
	}
	return v
}

// maxHeldBack bounds the samples of a file that skew holds back.
const maxHeldBack = 1 << 20

// maxVerified bounds the samples of which checksums are compared when a record is opened.
const maxVerified = 4 << 20

// verify compares the checksums: the sums of all samples, in 16 bits.
func (u *unit) verify(rec *ecg.Recording, budget *int64) error {
	for _, f := range u.files {
		frames := u.length + int64(u.skew)
		samples := frames * int64(len(f.order))
		summed := sort.Search(len(f.members), func(i int) bool { return u.signals[f.members[i]].summed }) < len(f.members)
		if !summed || samples > *budget || u.frames >= 0 && frames != u.frames {
			continue
		}
		*budget -= samples
		sums := make([]uint16, len(f.members))
		source := u.open(f)
		per := max(1, maxChunk/int64(len(f.order)))
		buf := make([]int32, per*int64(len(f.order)))
		for done := int64(0); done < frames; done += per {
			part := buf[:min(per, frames-done)*int64(len(f.order))]
			if err := source.read(part); err != nil {
				return err
			}
			place := 0
			for _, v := range part {
				sums[f.order[place]] += uint16(v)
				if place++; place == len(f.order) {
					place = 0
				}
			}
		}
		for i, m := range f.members {
			if s := &u.signals[m]; s.summed && uint16(s.checksum) != sums[i] {
				rec.Warn(ecg.WarnChecksum, s.where)
			}
		}
	}
	return nil
}
