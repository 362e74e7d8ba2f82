package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tributary-dicom/tributary/ecgout/csvout"
	"github.com/tributary-dicom/tributary/ecgout/dicomecg"
	"github.com/tributary-dicom/tributary/ecgout/edfplus"
	"github.com/tributary-dicom/tributary/ecgout/jsonout"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// ecgCmd works on recordings in files, without a node.
type ecgCmd struct {
	Show    ecgShowCmd    `cmd:"" help:"Say what recordings hold: patient, leads, measurements, reading."`
	Convert ecgConvertCmd `cmd:"" help:"Write a recording as DICOM, EDF+, CSV or JSON."`
	Render  ecgRenderCmd  `cmd:"" help:"Draw a recording as it looks on paper: SVG, PDF, PNG or JPEG."`
}

type ecgShowCmd struct {
	Files   []string `arg:"" help:"Recordings, of any format that is read." type:"existingfile" name:"file"`
	JSON    bool     `help:"Print JSON: an object for each file." name:"json"`
	Samples bool     `help:"With --json: the samples too, as stored."`
}

// Run shows every file that can be read, and fails when one could not.
func (c *ecgShowCmd) Run(ctx context.Context, std streams) error {
	if c.Samples && !c.JSON {
		return usagef("--samples needs --json")
	}
	failed := 0
	for i, path := range c.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i > 0 && !c.JSON {
			fmt.Fprintln(std.out)
		}
		if err := c.show(std.out, path); err != nil {
			failed++
			fmt.Fprintln(std.err, "tributary:", advise(err))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d files could not be read", failed, len(c.Files))
	}
	return nil
}

func (c *ecgShowCmd) show(w io.Writer, path string) error {
	rec, done, err := openRecording(path)
	if err != nil {
		return err
	}
	defer done()
	if c.JSON {
		err = jsonout.Write(w, rec, jsonout.Options{Hashes: true, Samples: c.Samples})
	} else {
		err = showRecording(w, filepath.Base(path), rec)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// advise adds what to do to the refusals that users meet.
func advise(err error) error {
	switch reject.CodeOf(err) {
	case reject.UnsupportedFormat:
		var names []string
		for _, f := range formats.Formats() {
			names = append(names, string(f))
		}
		slices.Sort(names)
		return fmt.Errorf("%w\n  formats that are read: %s\n  of a WFDB record name the header (.hea), with its signals beside it", err, strings.Join(names, ", "))
	case reject.Truncated:
		return fmt.Errorf("%w\n  the file ends early: copy or export it again", err)
	case reject.Empty:
		return fmt.Errorf("%w\n  the file is empty: copy or export it again", err)
	case reject.TooLarge, reject.TooManyElements, reject.HeaderTooLarge:
		return fmt.Errorf("%w\n  it is beyond a limit; with --to edf or --to csv and --group a part of it can be had", err)
	}
	return err
}

// Formats of `ecg convert`, by the endings of files.
var convertEndings = map[string]string{".dcm": "dicom", ".dicom": "dicom", ".edf": "edf", ".csv": "csv", ".json": "json"}

type ecgConvertCmd struct {
	File       string `arg:"" help:"Recording, of any format that is read; with --to dicom also a report in PDF." type:"existingfile"`
	Out        string `help:"File to write; '-' is standard output." short:"o" placeholder:"FILE" default:"-"`
	To         string `help:"dicom, edf, csv or json (default: by the ending of --out)." placeholder:"FORMAT"`
	Charset    string `help:"Text of a DICOM object: utf8 or gb18030." default:"utf8"`
	Tenant     string `help:"Tenant under which UIDs are derived, as a node does." default:"default"`
	StoredOnly bool   `help:"Leave out the limb leads that are computed (DICOM)."`
	Group      int    `help:"Group to write, from 0, as EDF+ or CSV (default: the rhythm)." default:"-1"`
}

// Run writes the file, and says on standard error what the format cannot hold.
func (c *ecgConvertCmd) Run(ctx context.Context, std streams) error {
	to := strings.ToLower(c.To)
	if to == "" {
		to = convertEndings[strings.ToLower(filepath.Ext(c.Out))]
	}
	convert := map[string]func(io.Writer) ([]ecg.Warning, error){"dicom": c.dicom, "edf": c.edf, "csv": c.csv, "json": c.json}[to]
	switch {
	case convert == nil && c.To == "":
		return usagef("name the format with --to: dicom, edf, csv or json")
	case convert == nil:
		return usagef("no format %q: have dicom, edf, csv, json", c.To)
	case c.charset() == "":
		return usagef("no character set %q: have utf8, gb18030", c.Charset)
	case c.Out == "-" && (to == "dicom" || to == "edf") && terminal(std.out):
		return usagef("the file is binary: name one to write with --out, or send it on through a pipe")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var warnings []ecg.Warning
	write := func(w io.Writer) (err error) {
		warnings, err = convert(w)
		return err
	}
	var err error
	if c.Out == "-" {
		err = write(std.out)
	} else {
		err = writeFile(c.Out, write)
	}
	if err != nil {
		return advise(err)
	}
	for _, w := range warnings {
		fmt.Fprintln(std.err, strings.TrimRight("note: "+explain(w.Code)+" "+w.Where, ": "))
	}
	return nil
}

// explain says in words what a conversion could not carry over.
func explain(code ecg.WarningCode) string {
	words := map[ecg.WarningCode]string{
		dicomecg.WarnRounded:     "a number does not fit the format's characters exactly and was rounded:",
		dicomecg.WarnDerivedLeft: "computed limb leads do not fit and were left out:",
		dicomecg.WarnGroupLeft:   "not all groups could be written:",
		dicomecg.WarnNoTime:      "the recording has no date; the object says so",
		ecg.WarnValueCut:         "text was cut to the length that the format allows:",
		ecg.WarnAnnotationsCut:   "there are more annotations than the format holds:",
		edfplus.WarnSamples:      "samples beyond 16 bits were divided and rounded:",
		edfplus.WarnPadded:       "the last data record was filled up",
		edfplus.WarnNotASCII:     "text that is not ASCII went from the header into an annotation",
	}
	if s, ok := words[code]; ok {
		return s
	}
	return string(code)
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (c *ecgConvertCmd) charset() dicomecg.Charset {
	switch strings.ToLower(strings.ReplaceAll(c.Charset, "-", "")) {
	case "utf8":
		return dicomecg.UTF8
	case "gb18030", "gbk":
		return dicomecg.GB18030
	}
	return ""
}

func (c *ecgConvertCmd) dicom(w io.Writer) ([]ecg.Warning, error) {
	opt := dicomecg.Options{Tenant: c.Tenant, Charset: c.charset(), StoredOnly: c.StoredOnly}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return nil, err
	}
	opt.SourceSHA256 = hex.EncodeToString(sum.Sum(nil))
	head := make([]byte, min(size, sniff.HeadBytes))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	rec, done, err := openRecording(c.File)
	defer done()
	if sniff.Detect(head) == sniff.PDF {
		if err != nil { // nothing on the page tells whose it is
			rec = nil
		}
		p, err := dicomecg.NewPDF(size, "", rec, opt)
		if err != nil {
			return nil, err
		}
		return p.Warnings, p.WriteTo(w, io.NewSectionReader(f, 0, size))
	}
	if err != nil {
		return nil, err
	}
	p, err := dicomecg.NewPlan(rec, opt)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	_, err = p.WriteTo(w)
	return p.Warnings, err
}

func (c *ecgConvertCmd) edf(w io.Writer) ([]ecg.Warning, error) {
	rec, done, err := openRecording(c.File)
	if err != nil {
		return nil, err
	}
	defer done()
	switch {
	case len(rec.Groups) == 0:
		return nil, fmt.Errorf("%s has no samples", c.File)
	case c.Group >= len(rec.Groups):
		return nil, usagef("%s has %d groups, counted from 0", c.File, len(rec.Groups))
	}
	p, err := edfplus.NewPlan(rec, c.Group)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	_, err = p.WriteTo(w)
	return p.Warnings, err
}

func (c *ecgConvertCmd) csv(w io.Writer) ([]ecg.Warning, error) {
	rec, done, err := openRecording(c.File)
	if err != nil {
		return nil, err
	}
	defer done()
	g := rec.Rhythm()
	switch {
	case len(rec.Groups) == 0:
		return nil, fmt.Errorf("%s has no samples", c.File)
	case c.Group >= len(rec.Groups):
		return nil, usagef("%s has %d groups, counted from 0", c.File, len(rec.Groups))
	case c.Group >= 0:
		g = rec.Groups[c.Group]
	case g == nil:
		g = rec.Groups[0]
	}
	exact, err := csvout.Write(w, g)
	if err == nil && !exact {
		return []ecg.Warning{{Code: dicomecg.WarnRounded, Where: "to six decimals"}}, nil
	}
	return nil, err
}

func (c *ecgConvertCmd) json(w io.Writer) ([]ecg.Warning, error) {
	rec, done, err := openRecording(c.File)
	if err != nil {
		return nil, err
	}
	defer done()
	return nil, jsonout.Write(w, rec, jsonout.Options{Hashes: true, Samples: true})
}
