package cardiosoft

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/cardiosoft.Decode"

type decoder struct {
	xml     *xmltext.Reader
	lim     ecg.Limits
	rec     *ecg.Recording
	samples int64 // so far, all leads
	rhythm  []*ecg.Group
	median  []*ecg.Group
	filters ecg.Filters
}

// Decode reads a CardiologyXML document. It is an ecg.Decoder. Groups are the rhythm first, then median beats.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	x, err := xmltext.New(src.File, lim)
	if err != nil {
		return nil, err
	}
	root, err := x.Next()
	if err == io.EOF || err == nil && root.Name != "CardiologyXML" {
		return nil, reject.New(reject.UnsupportedFormat, op, "the root is no CardiologyXML")
	}
	if err != nil {
		return nil, err
	}
	d := &decoder{xml: x, lim: lim, rec: &ecg.Recording{Format: sniff.CardioSoft, Device: ecg.Device{Maker: "GE"}}}
	if err := x.Children(d.block); err != nil {
		return nil, err
	}
	d.rec.Groups = append(d.rhythm, d.median...)
	for _, g := range d.rec.Groups {
		for i := range g.Leads {
			g.Leads[i].Filters = d.filters
		}
	}
	d.place()
	d.xml.Warn(d.rec)
	if len(d.rec.Groups) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	return d.rec, nil
}

// block reads one child of the root.
func (d *decoder) block(start xmltext.Token) error {
	switch start.Name {
	case "StripData":
		return d.waveform(ecg.Rhythm, start.Name)
	case "FullDisclosure":
		return d.waveform(ecg.FullDisclosure, start.Name)
	case "RestingECGMeasurements":
		return d.measurements()
	case "ObservationDateTime", "UID", "ClinicalInfo", "PatientVisit", "PatientInfo", "FilterSetting", "Interpretation":
		n, err := d.xml.Tree(start)
		if err != nil {
			return err
		}
		return d.header(n)
	case "VectorLoops":
		return d.xml.Skip() // made from the leads
	case "ExerciseMeasurements", "TrendData":
		d.rec.Warn(ecg.WarnUnsupportedPart, start.Name)
	}
	return d.xml.Skip()
}

func (d *decoder) waveform(kind ecg.Kind, label string) error {
	if len(d.rhythm)+len(d.median) >= d.lim.Groups {
		return reject.New(reject.TooManyElements, op, "more than %d groups", d.lim.Groups)
	}
	g := &ecg.Group{Kind: kind, Label: label}
	var counts [][]int32
	var missing [][]bool
	var rate, resolution, length, leads string
	step := ""
	err := d.xml.Children(func(start xmltext.Token) (err error) {
		switch start.Name {
		case "SampleRate":
			rate, err = d.xml.Text()
		case "Resolution":
			step = start.Get("units")
			resolution, err = d.xml.Text()
		case "ChannelSampleCountTotal":
			length, err = d.xml.Text()
		case "NumberOfLeads":
			leads, err = d.xml.Text()
		case "WaveformData", "WaveFormData":
			if len(g.Leads) >= d.lim.Leads {
				return reject.New(reject.TooManyElements, op, "more than %d leads", d.lim.Leads)
			}
			var text string
			if text, err = d.xml.Text(); err != nil {
				return err
			}
			c, m, err := xmltext.Counts(strings.TrimRight(text, " \t\r\n,"), d.lim.Samples-d.samples)
			if errors.Is(err, xmltext.ErrTooMany) {
				return reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
			}
			if err != nil {
				return reject.New(reject.Malformed, op, "%s lead %d: %w", label, len(g.Leads), err)
			}
			d.samples += int64(len(c))
			var l ecg.Lead
			if !l.SetLabel(start.Get("lead")) {
				d.rec.Warn(ecg.WarnLeadUnknown, label)
			}
			if have, _ := g.Lead(l.Name); have != nil {
				d.rec.Warn(ecg.WarnLeadDuplicate, label)
			}
			if m != nil {
				d.rec.Warn(ecg.WarnMissingSamples, label)
			}
			g.Leads, counts, missing = append(g.Leads, l), append(counts, c), append(missing, m)
		case "ArrhythmiaResults":
			n, err := d.xml.Tree(start)
			if err != nil {
				return err
			}
			d.beats(n)
		default:
			return d.xml.Skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(g.Leads) == 0 {
		return nil // exercise files announce blocks that they leave empty
	}
	if g.Rate, err = ecg.ParseRat(rate); err != nil || !ecg.RateOK(g.Rate) {
		return reject.New(reject.Malformed, op, "%s has a sampling rate of %.20q", label, rate)
	}
	scale, err := ecg.ParseRat(resolution)
	if err != nil || scale.Sign() == 0 {
		scale = ecg.Int(5) // of every file known
		d.rec.Warn(ecg.WarnScaleAbsent, label)
	}
	if step != "" && !strings.EqualFold(step, "uVperLsb") {
		d.rec.Warn(ecg.WarnUnitUnknown, label)
	}
	for i := range g.Leads {
		g.Leads[i].Unit, g.Leads[i].Scale = ecg.Microvolt, scale
		if length != "" && length != strconv.Itoa(len(counts[i])) {
			d.rec.Warn(ecg.WarnLengthDiffers, label)
		}
	}
	if leads != "" && leads != strconv.Itoa(len(g.Leads)) {
		d.rec.Warn(ecg.WarnHeaderDiffers, label+" NumberOfLeads")
	}
	g.Memory(counts, missing)
	if kind == ecg.Median {
		d.median = append(d.median, g)
	} else {
		d.rhythm = append(d.rhythm, g)
	}
	return nil
}

// beats reads pairs of Time and BeatClass, one after the other; times are ms of the strip.
func (d *decoder) beats(n *xmltext.Node) {
	var at ecg.Rat
	known := false
	for _, c := range n.Children {
		switch c.Name {
		case "Time":
			at, known = d.number("ArrhythmiaResults", c.Text)
		case "BeatClass":
			if !known {
				continue
			}
			if len(d.rec.Annotations) >= d.lim.Annotations {
				d.rec.Warn(ecg.WarnAnnotationsCut, "ArrhythmiaResults")
				return
			}
			d.rec.Annotations = append(d.rec.Annotations, ecg.Annotation{Kind: ecg.Beat, Group: len(d.rhythm), Onset: at, Code: d.cut(c.Text)})
			known = false
		}
	}
}

// place points annotations of strips without leads at none, and fiducial points at the median.
func (d *decoder) place() {
	for i := range d.rec.Annotations {
		if d.rec.Annotations[i].Group >= len(d.rhythm) {
			d.rec.Annotations[i].Group = -1
		}
	}
	for i := range d.rec.Measurements {
		switch m := &d.rec.Measurements[i]; m.Kind {
		case ecg.POnset, ecg.POffset, ecg.QRSOnset, ecg.QRSOffset, ecg.TOffset:
			if len(d.median) > 0 {
				m.Group = len(d.rhythm)
			}
		}
	}
}
