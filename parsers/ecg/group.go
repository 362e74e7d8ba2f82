package ecg

import (
	"errors"
	"io"
)

// Kind is what a group of leads shows. Viewers that took a median beat for the rhythm have drawn the wrong
// ECG, so groups are never merged.
type Kind string

// Kinds of group.
const (
	Rhythm         Kind = "rhythm"          // seconds to minutes, as recorded
	Median         Kind = "median"          // one representative, averaged or reference beat
	FullDisclosure Kind = "full-disclosure" // hours to days
	OtherSignals   Kind = "other"           // no ECG lead among them: pressures, respiration, markers
)

// Group is leads with one rate on one time line. Leads of different rates are in different groups; leads
// that start later or end earlier than others are in one, with their own Start and Length.
type Group struct {
	Kind        Kind
	Label       string // as the file calls it: "MEDIAN BEAT", "StripData"
	Rate        Rat    // samples a second, Hz
	StartOffset Rat    // ms after Recording.Acquired; 0 also for a median, which has no place in time
	Length      int64  // samples of the time line: the end of the lead that ends last
	Leads       []Lead

	source Opener
}

// Opener opens a new reader from the group's first sample. It may be called many times, one after the
// other or at once.
type Opener func() (SampleReader, error)

// SetSource says where the samples come from: Memory, Frames or a format's own.
func (g *Group) SetSource(open Opener) { g.source = open }

// DurationMillis returns the time line's length in ms.
func (g *Group) DurationMillis() Rat {
	d, _ := Int(g.Length).Mul(Int(1000)).Quo(g.Rate)
	return d
}

// Lead returns the first lead of a canonical name, and its index; nil and -1 when there is none.
func (g *Group) Lead(name string) (*Lead, int) {
	for i := range g.Leads {
		if g.Leads[i].Name == name {
			return &g.Leads[i], i
		}
	}
	return nil, -1
}

// ErrNoSamples is what Samples returns for a group without a source: a description without waveform.
var ErrNoSamples = errors.New("ecg: the group has no samples")

// Samples opens the group's samples from the start. Memory stays within a block or two whatever the length,
// unless the format had to be read into memory anyway.
func (g *Group) Samples() (SampleReader, error) {
	if g.source == nil {
		return nil, ErrNoSamples
	}
	return g.source()
}

// BlockSamples is how many samples of each lead a reader gives at most in one block.
const BlockSamples = 4096

// Block is a run of a group's time line: [lead][sample], as many samples in each lead.
type Block struct {
	Start  int64     // of the first sample on the time line, 0-based
	Len    int       // samples of each lead
	Counts [][]int32 // as stored, before scaling; 0 where Missing and nothing is stored

	// Missing tells samples that are not there: outside the lead's Start and Length, or stored as
	// missing. Missing[i] is nil for a lead that misses none in this block.
	Missing [][]bool
}

// SampleReader gives a group's samples in order.
type SampleReader interface {
	// Next fills b with the next 1 to BlockSamples samples of every lead, reusing b's memory, and returns
	// io.EOF, with nothing in b, after the last. An error of the file under it says nothing about
	// the samples that came before.
	Next(b *Block) error
}

// Resize makes b a block of n samples of leads leads at start, with zero counts and nothing missing.
// Readers call it first.
func (b *Block) Resize(start int64, leads, n int) {
	b.Start, b.Len = start, n
	if cap(b.Counts) < leads {
		b.Counts = make([][]int32, leads)
		b.Missing = make([][]bool, leads)
	}
	b.Counts, b.Missing = b.Counts[:leads], b.Missing[:leads]
	for i := range b.Counts {
		if cap(b.Counts[i]) < n {
			b.Counts[i] = make([]int32, n, max(n, min(BlockSamples, 2*n)))
		}
		b.Counts[i] = b.Counts[i][:n]
		clear(b.Counts[i])
		b.Missing[i] = nil
	}
}

// Miss marks sample i of a lead as missing.
func (b *Block) Miss(lead, i int) {
	if b.Missing[lead] == nil {
		b.Missing[lead] = make([]bool, b.Len)
	}
	b.Missing[lead][i] = true
}

// IsMissing reports whether sample i of a lead is missing.
func (b *Block) IsMissing(lead, i int) bool { return b.Missing[lead] != nil && b.Missing[lead][i] }

// ReadAll reads a whole group: counts and missing are [lead][sample] over the time line, missing[i] nil for
// a lead that misses none. It refuses more than limit samples in all, so it is for groups known to be short.
func (g *Group) ReadAll(limit int64) (counts [][]int32, missing [][]bool, err error) {
	if g.Length*int64(max(1, len(g.Leads))) > limit {
		return nil, nil, errors.New("ecg: the group is too long to read at once")
	}
	r, err := g.Samples()
	if err != nil {
		return nil, nil, err
	}
	counts, missing = make([][]int32, len(g.Leads)), make([][]bool, len(g.Leads))
	for i := range counts {
		counts[i] = make([]int32, 0, g.Length)
	}
	var b Block
	for {
		if err := r.Next(&b); err == io.EOF {
			return counts, missing, nil
		} else if err != nil {
			return nil, nil, err
		}
		for i := range counts {
			counts[i] = append(counts[i], b.Counts[i]...)
			if b.Missing[i] != nil {
				if missing[i] == nil {
					missing[i] = make([]bool, g.Length)
				}
				copy(missing[i][b.Start:], b.Missing[i])
			}
		}
	}
}
