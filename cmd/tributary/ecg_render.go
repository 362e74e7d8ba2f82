package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/ecgout/draw"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
)

// ecgRenderCmd draws a recording.
type ecgRenderCmd struct {
	File      string        `arg:"" help:"Recording, of any format that is read." type:"existingfile"`
	Out       string        `help:"File to write; its ending tells the format. '-' is standard output." short:"o" placeholder:"FILE"`
	To        string        `help:"Format: svg, pdf, png or jpg (default: by --out, or svg)." placeholder:"FORMAT"`
	Layout    string        `help:"auto, 3x4+1, 3x4+3, 3x4, 6x2, 12x1, cabrera, strips or median." default:"auto"`
	Cabrera   bool          `help:"Limb leads in Cabrera's order, with −aVR, in any layout."`
	Speed     float64       `help:"Paper speed, mm/s: 12.5, 25 or 50." default:"25"`
	Gain      float64       `help:"Gain, mm/mV: 2.5, 5, 10, 20 or 40." default:"10"`
	Rhythm    []string      `help:"Leads of the rhythm strips." placeholder:"LEAD"`
	Filter    []string      `help:"Display filters, off unless named: baseline, lp40, lp100, lp150, notch50, notch60." placeholder:"FILTER"`
	Lang      string        `help:"Language of the drawing: en or zh." default:"en"`
	Width     int           `help:"Width of a picture in pixels (default: 10 a millimetre)." placeholder:"PX"`
	Thumbnail bool          `help:"A small picture without banner, --width pixels wide (default 360)."`
	NoBanner  bool          `help:"Leave out patient, measurements and statements."`
	Content   bool          `help:"Cut the page to what is on it instead of A4."`
	Start     time.Duration `help:"Begin this long after the first sample." default:"0s"`
	Length    time.Duration `help:"Draw this much (default: what fits the page)." placeholder:"TIME"`
	Pages     int           `help:"Pages that follow each other, in a PDF." default:"1"`
}

// Run writes the drawing.
func (c *ecgRenderCmd) Run(ctx context.Context, std streams) (err error) {
	format, err := c.format()
	if err != nil {
		return err
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	if c.Pages < 1 || c.Pages > 200 || c.Pages > 1 && format != "pdf" {
		return usagef("--pages is 1 to 200, and more than one page needs a PDF")
	}
	if (format == "png" || format == "jpg" || format == "pdf") && (c.Out == "" || c.Out == "-") && terminal(std.out) {
		return usagef("the file is binary: name one to write with --out, or send it on through a pipe")
	}
	rec, done, err := openRecording(c.File)
	if err != nil {
		return advise(err)
	}
	defer done()
	if err := c.haveRhythm(rec); err != nil {
		return err
	}
	sheets, err := plan(ctx, rec, o, c.Pages)
	if errors.Is(err, draw.ErrNothing) {
		return fmt.Errorf("%s: %w\n  `tributary ecg show` tells what it holds", c.File, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Out == "" || c.Out == "-" {
		b := bufio.NewWriter(std.out)
		return errors.Join(c.write(b, format, sheets), b.Flush())
	}
	return writeFile(c.Out, func(w io.Writer) error { return c.write(w, format, sheets) })
}

// haveRhythm refuses rhythm leads that the recording does not have: another lead under that wish would mislead.
func (c *ecgRenderCmd) haveRhythm(rec *ecg.Recording) error {
	for _, name := range c.Rhythm {
		var have []string
		for _, g := range rec.Groups {
			for i := range g.Leads {
				if g.Kind != ecg.OtherSignals && !slices.Contains(have, g.Leads[i].Name) {
					have = append(have, g.Leads[i].Name)
				}
			}
		}
		if len(have) > 0 && !slices.Contains(have, name) {
			return usagef("--rhythm: the recording has no lead %q: it has %s", name, strings.Join(have, ", "))
		}
	}
	return nil
}

// plan draws pages until there are enough or the recording ends.
func plan(ctx context.Context, rec *ecg.Recording, o draw.Options, pages int) ([]*draw.Sheet, error) {
	var sheets []*draw.Sheet
	for len(sheets) < pages {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := draw.Plan(rec, o)
		if err != nil {
			return nil, err
		}
		sheets = append(sheets, s)
		if o.Start = s.Next; o.Start == 0 {
			break
		}
	}
	return sheets, nil
}

func (c *ecgRenderCmd) format() (string, error) {
	format := strings.ToLower(c.To)
	if format == "" && c.Out != "-" {
		format = strings.ToLower(strings.TrimPrefix(filepath.Ext(c.Out), "."))
	}
	switch format {
	case "":
		return "svg", nil
	case "jpeg":
		return "jpg", nil
	case "svg", "pdf", "png", "jpg":
		return format, nil
	}
	return "", usagef("no picture format %q: have svg, pdf, png, jpg", format)
}

func (c *ecgRenderCmd) options() (o draw.Options, err error) {
	o = draw.Options{
		Cabrera: c.Cabrera, Speed: c.Speed, Gain: c.Gain, RhythmLeads: c.Rhythm, Start: c.Start, Length: c.Length,
		Language: draw.Language(strings.ToLower(c.Lang)), Content: c.Content, NoBanner: c.NoBanner, Fallback: newSystemFonts(),
	}
	if o.Layout, err = draw.ParseLayout(c.Layout); err != nil {
		return o, usageError{err}
	}
	if o.Filters, err = draw.ParseFilters(strings.Join(c.Filter, ",")); err != nil {
		return o, usageError{err}
	}
	if c.Thumbnail {
		if c.Width == 0 {
			c.Width = 360
		}
		o.Thumbnail = c.Width
	}
	if err := o.Validate(); err != nil {
		return o, usageError{err}
	}
	return o, nil
}

func (c *ecgRenderCmd) write(w io.Writer, format string, sheets []*draw.Sheet) error {
	s := sheets[0]
	width := c.Width
	if width == 0 {
		width = int(s.WidthMM() * 10)
	}
	switch format {
	case "pdf":
		return draw.WritePDF(w, sheets...)
	case "png":
		return s.WritePNG(w, width)
	case "jpg":
		return s.WriteJPEG(w, width, 90)
	}
	return s.WriteSVG(w)
}

// writeFile writes a file that is whole or not there.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		var inner *os.PathError
		if errors.As(err, &inner) {
			err = inner.Err // without the temporary file's name
		}
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	b := bufio.NewWriter(f)
	if err := errors.Join(write(b), b.Flush(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// openRecording decodes a file, with the files beside it that share its name: a WFDB header's signals, an
// ISHNE's annotations. done closes them all.
func openRecording(path string) (rec *ecg.Recording, done func(), err error) {
	var open []*os.File
	done = func() {
		for _, f := range open {
			_ = f.Close() // only read from
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	file := func(path string) (ecg.File, error) {
		f, err := os.Open(path)
		if err != nil {
			return ecg.File{}, err
		}
		open = append(open, f)
		info, err := f.Stat()
		if err != nil {
			return ecg.File{}, err
		}
		return ecg.File{Name: filepath.Base(path), At: f, Size: info.Size()}, nil
	}
	var src ecg.Source
	if src.File, err = file(path); err != nil {
		return nil, done, err
	}
	for _, other := range companions(path) {
		if part, err := file(other); err == nil {
			src.Parts = append(src.Parts, part)
		}
	}
	if rec, err = formats.Decode(src, ecg.Limits{}); err != nil {
		return nil, done, fmt.Errorf("%s: %w", path, err)
	}
	return rec, done, nil
}
