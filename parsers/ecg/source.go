package ecg

import (
	"fmt"
	"io"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// File is a file's bytes.
type File struct {
	Name string // base name, "" when unknown; never a path
	At   io.ReaderAt
	Size int64 // bytes
}

// Source is what a decoder reads: the file itself, and files that came with it in one archive or request
// (WFDB's signal files and annotations, ISHNE's .ann). Nothing else is ever opened.
type Source struct {
	File
	Parts []File
}

// Part returns a companion by base name, case forgiven when no name fits exactly. A name that has a
// path in it is no companion's.
func (s Source) Part(name string) (File, bool) {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return File{}, false
	}
	for _, f := range s.Parts {
		if f.Name == name {
			return f, true
		}
	}
	for _, f := range s.Parts {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return File{}, false
}

// Reader returns a reader from the file's first byte.
func (f File) Reader() *io.SectionReader { return io.NewSectionReader(f.At, 0, f.Size) }

// Head returns the first n bytes, or fewer of a shorter file.
func (f File) Head(n int) ([]byte, error) { return f.Bytes(0, min(int64(n), f.Size)) }

// Bytes returns n bytes from offset. The caller has checked n against a limit; a range beyond the file is
// reject.Truncated.
func (f File) Bytes(offset, n int64) ([]byte, error) {
	if offset < 0 || n < 0 || n > f.Size-offset {
		return nil, reject.At(reject.Truncated, "ecg", offset, "%d bytes reach beyond %d", n, f.Size)
	}
	b := make([]byte, n)
	if got, err := f.At.ReadAt(b, offset); int64(got) < n {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("ecg: read: %w", err)
	}
	return b, nil
}

// Decoder turns a file of one format into a Recording. It keeps src for groups that stream: their samples
// can be read as long as the caller leaves src open. The error is a *reject.Error that says why these bytes
// are not such a recording, or src's own, wrapped. Decoders do not call Complete or Validate; package
// formats does.
type Decoder func(src Source, lim Limits) (*Recording, error)

// Limits bounds what decoders trust. The zero value of a field means that of DefaultLimits.
type Limits struct {
	Leads       int   // of a group, and groups × leads in all
	Groups      int   // of a recording
	Samples     int64 // that one file may unfold into memory, over all leads (4 bytes each)
	Annotations int   // that are kept, and as many measurements
	Statements  int
	Text        int // bytes of one text of header, statement or comment
	XMLBytes    int64
	XMLDepth    int
	XMLText     int   // bytes of one text node or attribute
	HeaderBytes int64 // of a binary header read into memory
}

// DefaultLimits are design limits. Lower ones refuse real files: 12 leads of 10 minutes at 1000 Hz in XML are
// 7.2 M samples; Holter annotations reach 150,000 beats a day. Higher ones let one hostile file hold
// hundreds of megabytes.
var DefaultLimits = Limits{
	Leads: 256, Groups: 64, Samples: 8 << 20, Annotations: 400_000, Statements: 1000, Text: 64 << 10,
	XMLBytes: 64 << 20, XMLDepth: 100, XMLText: 8 << 20, HeaderBytes: 16 << 20,
}

// Rates that an ECG can have, Hz. Below the first no wave can be told, above the second no recorder goes.
const (
	MinRateHz = 10
	MaxRateHz = 40000
)

// Fill returns l with defaults in place of zeros. Decoders call it first.
func (l Limits) Fill() Limits {
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
	set(&l.Leads, d.Leads)
	set(&l.Groups, d.Groups)
	set(&l.Annotations, d.Annotations)
	set(&l.Statements, d.Statements)
	set(&l.Text, d.Text)
	set(&l.XMLDepth, d.XMLDepth)
	set(&l.XMLText, d.XMLText)
	set64(&l.Samples, d.Samples)
	set64(&l.XMLBytes, d.XMLBytes)
	set64(&l.HeaderBytes, d.HeaderBytes)
	return l
}

// RateOK reports whether hz is a rate that an ECG can have.
func RateOK(hz Rat) bool { return hz.Cmp(Int(MinRateHz)) >= 0 && hz.Cmp(Int(MaxRateHz)) <= 0 }

// op is the name under which package ecg itself refuses.
const op = "ecg.Validate"

// Validate checks what every decoder must have seen to: groups, leads, rates and extents within lim and
// consistent. It answers with a *reject.Error for a recording that must not go on.
func (r *Recording) Validate(lim Limits) error {
	lim = lim.Fill()
	if len(r.Groups) > lim.Groups {
		return reject.New(reject.TooManyElements, op, "%d groups", len(r.Groups))
	}
	leads := 0
	for n, g := range r.Groups {
		leads += len(g.Leads)
		if len(g.Leads) > lim.Leads || leads > 4*lim.Leads {
			return reject.New(reject.TooManyElements, op, "%d leads in %d groups", leads, n+1)
		}
		if err := g.validate(); err != nil {
			return reject.New(reject.Malformed, op, "group %d: %w", n, err)
		}
	}
	if r.Format == sniff.Unknown || r.Format == "" {
		return reject.New(reject.Internal, op, "a decoder left the format empty")
	}
	return nil
}

func (g *Group) validate() error {
	if g.Rate.Sign() <= 0 || g.Rate.Cmp(Int(MaxRateHz)) > 0 {
		return fmt.Errorf("%s Hz", g.Rate)
	}
	if g.Kind != OtherSignals && !RateOK(g.Rate) {
		return fmt.Errorf("an ECG at %s Hz", g.Rate)
	}
	if g.Length < 0 {
		return fmt.Errorf("%d samples", g.Length)
	}
	for i := range g.Leads {
		l := &g.Leads[i]
		if l.Start < 0 || l.Length < 0 || l.Start > g.Length || l.Length > g.Length-l.Start {
			return fmt.Errorf("lead %d has samples %d to %d of %d", i, l.Start, l.Start+l.Length, g.Length)
		}
		if l.Scale.IsZero() {
			return fmt.Errorf("lead %d has scale 0", i)
		}
		if l.Voltage() && l.Scale.Abs().Cmp(Int(1_000_000)) > 0 {
			return fmt.Errorf("lead %d has steps of %s µV", i, l.Scale)
		}
	}
	return nil
}
