// Package records reads samples that lie in equal records, each with a run of every channel (EDF's data record,
// MFER's sequence), block by block whatever the record's size, and with gaps between runs of records.
package records

import (
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Channel is one lead's place in a record.
type Channel struct {
	Offset int64 // bytes from the record's start
	Bytes  int64 // of one sample

	// Decode reads len(into) samples from raw; miss marks the i-th of them as missing. It keeps nothing.
	Decode func(raw []byte, into []int32, miss func(i int))
}

// Run is records that follow one another in file and time.
type Run struct {
	Offset  int64 // of the first record, bytes
	Records int64
	Start   int64 // of its first sample on the group's time line, in samples
}

// Layout is how the leads of one group are stored. Runs are in the order of time and do not overlap; what is
// between them is missing.
type Layout struct {
	At          io.ReaderAt
	RecordBytes int64
	Samples     int64 // of each lead in a record
	Channels    []Channel
	Runs        []Run
}

// maxRead bounds what is read at once, in bytes: whole records up to that, beyond it channel by channel.
const maxRead = 256 << 10

// Check reports whether the layout can be read from size bytes.
func (l *Layout) Check(size int64) error {
	if l.RecordBytes <= 0 || l.Samples <= 0 || l.Samples > l.RecordBytes || len(l.Channels) == 0 {
		return fmt.Errorf("records of %d bytes with %d samples of %d leads", l.RecordBytes, l.Samples, len(l.Channels))
	}
	for _, c := range l.Channels {
		if c.Offset < 0 || c.Bytes < 1 || c.Bytes > 8 || c.Offset > l.RecordBytes || l.Samples > (l.RecordBytes-c.Offset)/c.Bytes {
			return errors.New("a lead reaches beyond its record")
		}
	}
	at := int64(0)
	for _, r := range l.Runs {
		if r.Offset < 0 || r.Offset > size || r.Records < 0 || r.Records > (size-r.Offset)/l.RecordBytes {
			return fmt.Errorf("%d records of %d bytes from byte %d reach beyond %d bytes", r.Records, l.RecordBytes, r.Offset, size)
		}
		if r.Start < at {
			return errors.New("runs overlap")
		}
		at = r.Start + r.Records*l.Samples
	}
	return nil
}

// Length is the time line's length in samples.
func (l *Layout) Length() int64 {
	if len(l.Runs) == 0 {
		return 0
	}
	last := l.Runs[len(l.Runs)-1]
	return last.Start + last.Records*l.Samples
}

// Stream makes g read from the layout, which has passed Check, and sets its Length and that of its leads.
func (l Layout) Stream(g *ecg.Group) {
	g.Length = l.Length()
	for i := range g.Leads {
		g.Leads[i].Length = g.Length
	}
	g.SetSource(func() (ecg.SampleReader, error) { return newReader(&l), nil })
}

func newReader(l *Layout) *reader {
	r := &reader{l: l, length: l.Length()}
	r.miss = func(i int) { r.into.Miss(r.lead, r.base+i) }
	return r
}

type reader struct {
	l      *Layout
	length int64
	at     int64 // sample
	buf    []byte

	// Where miss marks: made once, since records may have one sample.
	into       *ecg.Block
	lead, base int
	miss       func(i int)
}

// Next implements ecg.SampleReader.
func (r *reader) Next(b *ecg.Block) error {
	leads := len(r.l.Channels)
	if r.at >= r.length {
		b.Resize(r.at, leads, 0)
		return io.EOF
	}
	i := sort.Search(len(r.l.Runs), func(i int) bool { return r.l.Runs[i].Start > r.at }) - 1
	if i < 0 || r.at >= r.l.Runs[i].Start+r.l.Runs[i].Records*r.l.Samples {
		r.gap(b, r.l.Runs[i+1].Start-r.at)
		return nil
	}
	run := r.l.Runs[i]
	in := r.at - run.Start
	record, from := in/r.l.Samples, in%r.l.Samples
	offset := run.Offset + record*r.l.RecordBytes
	if from == 0 && r.l.Samples <= ecg.BlockSamples {
		n := min(ecg.BlockSamples/r.l.Samples, max(1, maxRead/r.l.RecordBytes), run.Records-record)
		return r.whole(b, offset, n)
	}
	return r.part(b, offset, from, min(r.l.Samples-from, ecg.BlockSamples))
}

// gap gives up to n missing samples.
func (r *reader) gap(b *ecg.Block, n int64) {
	n = min(n, ecg.BlockSamples)
	b.Resize(r.at, len(r.l.Channels), int(n))
	for c := range r.l.Channels {
		for j := range int(n) {
			b.Miss(c, j)
		}
	}
	r.at += n
}

// whole gives n records.
func (r *reader) whole(b *ecg.Block, offset, n int64) error {
	b.Resize(r.at, len(r.l.Channels), int(n*r.l.Samples))
	if r.l.RecordBytes > maxRead {
		return r.columns(b, offset, 0, r.l.Samples)
	}
	raw, err := r.read(offset, n*r.l.RecordBytes)
	if err != nil {
		return err
	}
	for c, ch := range r.l.Channels {
		for k := range n {
			at := int(k * r.l.Samples)
			from := k*r.l.RecordBytes + ch.Offset
			r.into, r.lead, r.base = b, c, at
			ch.Decode(raw[from:from+r.l.Samples*ch.Bytes], b.Counts[c][at:at+int(r.l.Samples)], r.miss)
		}
	}
	r.at += n * r.l.Samples
	return nil
}

// part gives n samples of one record.
func (r *reader) part(b *ecg.Block, offset, from, n int64) error {
	b.Resize(r.at, len(r.l.Channels), int(n))
	return r.columns(b, offset, from, n)
}

// columns reads n samples of each lead from a sample of one record on.
func (r *reader) columns(b *ecg.Block, offset, from, n int64) error {
	for c, ch := range r.l.Channels {
		raw, err := r.read(offset+ch.Offset+from*ch.Bytes, n*ch.Bytes)
		if err != nil {
			return err
		}
		r.into, r.lead, r.base = b, c, 0
		ch.Decode(raw, b.Counts[c], r.miss)
	}
	r.at += n
	return nil
}

func (r *reader) read(offset, n int64) ([]byte, error) {
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	raw := r.buf[:n]
	if got, err := r.l.At.ReadAt(raw, offset); int64(got) < n {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("ecg: read samples: %w", err)
	}
	return raw, nil
}
