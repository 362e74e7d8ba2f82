package schiller

import (
	"io"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/label"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/schiller.Decode"

type decoder struct {
	xml     *xmltext.Reader
	lim     ecg.Limits
	rec     *ecg.Recording
	samples int64 // so far, all leads
	isIt    bool  // examdescript or eventdata was seen

	date, clock string
}

// Decode reads a Schiller document. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	x, err := xmltext.New(src.File, lim)
	if err != nil {
		return nil, err
	}
	d := &decoder{xml: x, lim: lim, rec: &ecg.Recording{Format: sniff.Schiller, Device: ecg.Device{Maker: "Schiller"}}}
	root, err := x.Next()
	if err == io.EOF {
		return nil, reject.New(reject.UnsupportedFormat, op, "no root element")
	}
	if err != nil {
		return nil, err
	}
	d.isIt = root.Name == "examdescript" || root.Name == "eventdata"
	if err := x.Children(d.block); err != nil {
		return nil, err
	}
	if !d.isIt {
		return nil, reject.New(reject.UnsupportedFormat, op, "neither examdescript nor eventdata")
	}
	d.close()
	return d.rec, nil
}

// block reads an element outside the waveforms: containers by their children, others as fields.
func (d *decoder) block(start xmltext.Token) error {
	switch start.Name {
	case "wavedata":
		return d.wavedata()
	case "examdescript":
		d.isIt = true
		n, err := d.xml.Tree(start)
		if err != nil {
			return err
		}
		return d.fields(n)
	case "eventdata":
		d.isIt = true
		return d.xml.Children(d.block)
	case "event":
		return d.xml.Children(d.block)
	case "patdata", "patient", "interpretation", "diagnosis", "device", "deviceinfo":
		n, err := d.xml.Tree(start)
		if err != nil {
			return err
		}
		return d.fields(n)
	}
	return d.xml.Skip()
}

// fields reads the leaves of a block by their names.
func (d *decoder) fields(n *xmltext.Node) error {
	for _, c := range n.Children {
		if len(c.Children) > 0 {
			if err := d.fields(c); err != nil {
				return err
			}
			continue
		}
		value := d.cut(first(c.Text, c.Get("value")))
		if value == "" || vague[strings.ToLower(c.Name)] && !strings.Contains(strings.ToLower(n.Name), "pat") {
			continue
		}
		if err := d.field(strings.ToLower(c.Name), value); err != nil {
			return err
		}
	}
	return nil
}

// vague are names that outside a patient's block may be anybody's or anything's.
var vague = map[string]bool{"id": true, "name": true, "first": true, "last": true, "no": true}

func (d *decoder) field(name, value string) error {
	switch f := label.Of(name); {
	case f == label.Statement:
		if len(d.rec.Statements) >= d.lim.Statements {
			return reject.New(reject.TooManyElements, op, "more than %d statements", d.lim.Statements)
		}
		d.rec.Statements = append(d.rec.Statements, ecg.Statement{Text: value})
	case f == label.Acquired, name == "date":
		d.date = first(d.date, value)
	case f != label.None:
		label.Set(&d.rec.Patient, f, value)
	case name == "time":
		d.clock = first(d.clock, value)
	case name == "devicename", name == "model", name == "devicetype":
		d.rec.Device.Model = first(d.rec.Device.Model, value)
	case name == "serialnumber", name == "serialno", name == "deviceserial":
		d.rec.Device.Serial = first(d.rec.Device.Serial, value)
	case name == "swversion", name == "softwareversion":
		d.rec.Device.Software = first(d.rec.Device.Software, value)
	}
	return nil
}

func (d *decoder) close() {
	if d.date != "" {
		t := label.Date(d.date)
		if !t.Valid() || t.DateOnly && d.clock != "" {
			if with := label.Date(d.date + " " + d.clock); with.Valid() {
				t = with
			}
		}
		if d.rec.Acquired = t; !t.Valid() {
			d.rec.Warn(ecg.WarnTime, "examdescript")
		}
	}
	d.xml.Warn(d.rec)
	if len(d.rec.Groups) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
}

func (d *decoder) cut(s string) string {
	if len(s) > d.lim.Text {
		d.rec.Warn(ecg.WarnValueCut, "")
		s = strings.ToValidUTF8(s[:d.lim.Text], "")
	}
	return strings.Join(strings.Fields(s), " ")
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// wavedata reads a group.
func (d *decoder) wavedata() error {
	if len(d.rec.Groups) >= d.lim.Groups {
		return reject.New(reject.TooManyElements, op, "more than %d groups", d.lim.Groups)
	}
	where := "group " + strconv.Itoa(len(d.rec.Groups))
	g := &ecg.Group{}
	var counts [][]int32
	var missing [][]bool
	var resolution *xmltext.Node
	sparse := false
	err := d.xml.Children(func(t xmltext.Token) (err error) {
		switch t.Name {
		case "type":
			g.Label, err = d.xml.Text()
			g.Label = d.cut(g.Label)
			return err
		case "resolution":
			resolution, err = d.xml.Tree(t)
			return err
		case "channel":
			l, samples, miss, err := d.channel(where)
			if err != nil {
				return err
			}
			if len(g.Leads) >= d.lim.Leads {
				return reject.New(reject.TooManyElements, op, "more than %d leads", d.lim.Leads)
			}
			if have, _ := g.Lead(l.Name); have != nil {
				d.rec.Warn(ecg.WarnLeadDuplicate, where+" lead "+strconv.Itoa(len(g.Leads)))
			}
			sparse = sparse || miss != nil
			g.Leads, counts, missing = append(g.Leads, l), append(counts, samples), append(missing, miss)
			return nil
		}
		return d.xml.Skip()
	})
	if err != nil {
		return err
	}
	switch kind := strings.ToUpper(g.Label); {
	case kind == "ECG_RHYTHMS", kind == "ECG_RHYTHM":
		g.Kind = ecg.Rhythm
	case strings.Contains(kind, "AVERAGE"), strings.Contains(kind, "MEDIAN"), strings.Contains(kind, "REFERENCE"):
		g.Kind = ecg.Median
	default:
		d.rec.Warn(ecg.WarnUnsupportedPart, where+" type") // loops, trends: not to be taken for a rhythm
		return nil
	}
	if len(g.Leads) == 0 {
		return nil
	}
	if g.Rate, err = d.rate(resolution.At("samplerate"), where); err != nil {
		return err
	}
	d.scale(g, resolution.At("yres"), where)
	if !sparse {
		missing = nil
	} else {
		d.rec.Warn(ecg.WarnMissingSamples, where)
	}
	for i := range counts {
		if len(counts[i]) != len(counts[0]) {
			d.rec.Warn(ecg.WarnLengthDiffers, where)
		}
	}
	g.Memory(counts, missing)
	d.rec.Groups = append(d.rec.Groups, g)
	return nil
}

// rate reads a sampling rate; exponent 1 is the only one known.
func (d *decoder) rate(n *xmltext.Node, where string) (ecg.Rat, error) {
	hz, err := ecg.ParseRat(n.TextAt("value"))
	if e := n.TextAt("exponent"); err != nil || !ecg.RateOK(hz) || e != "" && e != "1" {
		return hz, reject.New(reject.Malformed, op, "%s has a sampling rate of %.20q, exponent %.8q", where, n.TextAt("value"), e)
	}
	return hz, nil
}

// scale sets the leads' unit and step.
func (d *decoder) scale(g *ecg.Group, n *xmltext.Node, where string) {
	step, err := ecg.ParseRat(n.TextAt("unitperbit"))
	if err != nil || step.Sign() <= 0 {
		step = ecg.Int(1)
		d.rec.Warn(ecg.WarnScaleAbsent, where)
	}
	unit := first(n.TextAt("units"), n.TextAt("unit"))
	factor, ok := ecg.VoltageScale(unit)
	if ok && err == nil {
		step, unit = step.Mul(factor), ecg.Microvolt
	} else if !ok {
		d.rec.Warn(ecg.WarnUnitUnknown, where)
		unit = d.cut(unit)
	}
	for i := range g.Leads {
		g.Leads[i].Scale, g.Leads[i].Unit = step, unit
	}
}

// channel reads a lead.
func (d *decoder) channel(where string) (l ecg.Lead, counts []int32, missing []bool, err error) {
	var name, kind, data string
	err = d.xml.Children(func(t xmltext.Token) (err error) {
		switch t.Name {
		case "name":
			name, err = d.xml.Text()
		case "datastype", "datatype":
			kind, err = d.xml.Text()
		case "data":
			data, err = d.xml.Text()
		default:
			err = d.xml.Skip()
		}
		return err
	})
	if err != nil {
		return l, nil, nil, err
	}
	if kind != "" && !strings.Contains(strings.ToUpper(kind), "SEPARATE") {
		return l, nil, nil, reject.New(reject.Malformed, op, "%s has data of type %.20q", where, kind)
	}
	name = d.cut(name)
	known := l.SetLabel("lead " + name)
	if l.Label = name; !known {
		l.Name = name
		d.rec.Warn(ecg.WarnLeadUnknown, where)
	}
	counts, missing, err = xmltext.Counts(data, d.lim.Samples-d.samples)
	if err == xmltext.ErrTooMany {
		return l, nil, nil, reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
	}
	if err != nil {
		return l, nil, nil, reject.New(reject.Malformed, op, "%s: %w", where, err)
	}
	d.samples += int64(len(counts))
	return l, counts, missing, nil
}
