package zoncare

import (
	"encoding/binary"
	"io"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/label"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/zoncare.Decode"

var order = []string{"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"}

type decoder struct {
	xml *xmltext.Reader
	lim ecg.Limits
	rec *ecg.Recording

	data                  []byte
	hasData               bool
	leads, sample, second string
}

// Decode reads a zqecg document. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	x, err := xmltext.New(src.File, lim)
	if err != nil {
		return nil, err
	}
	root, err := x.Next()
	if err == io.EOF || err == nil && root.Name != "zqecg" {
		return nil, reject.New(reject.UnsupportedFormat, op, "the root is no zqecg")
	}
	if err != nil {
		return nil, err
	}
	d := &decoder{xml: x, lim: lim, rec: &ecg.Recording{Format: sniff.Zoncare, Device: ecg.Device{Maker: "Zoncare"}}}
	if err := d.fields(root); err != nil {
		return nil, err
	}
	if err := x.Children(d.block); err != nil {
		return nil, err
	}
	if err := d.waveform(); err != nil {
		return nil, err
	}
	x.Warn(d.rec)
	if len(d.rec.Groups) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	return d.rec, nil
}

// block reads an element: the waveform's, a field, or what has more of them inside.
func (d *decoder) block(start xmltext.Token) error {
	keep := map[string]*string{"lead": &d.leads, "sample": &d.sample, "second": &d.second}[strings.ToLower(start.Name)]
	if keep != nil {
		text, err := d.xml.Text()
		*keep = first(*keep, d.cut(first(text, start.Get("value"))))
		return err
	}
	if strings.EqualFold(start.Name, "data") && !d.hasData {
		text, err := d.xml.Text()
		if err != nil {
			return err
		}
		if d.data, err = xmltext.Base64(text); err != nil {
			return reject.New(reject.Malformed, op, "data: %w", err)
		}
		d.hasData = true
		return nil
	}
	if err := d.fields(start); err != nil {
		return err
	}
	inside, parent := false, ""
	if path := d.xml.Path(); len(path) > 1 {
		parent = path[len(path)-2]
	}
	var text strings.Builder
	depth := d.xml.Depth()
	for {
		t, err := d.xml.Next()
		switch {
		case err == io.EOF: // Next refuses a document that ends inside an element
			return reject.New(reject.Truncated, op, "the document ends early")
		case err != nil:
			return err
		case t.Kind == xmltext.Start:
			inside = true
			if err := d.block(t); err != nil {
				return err
			}
		case t.Kind == xmltext.Text && text.Len() < d.lim.Text:
			text.WriteString(t.Text)
		case t.Kind == xmltext.End && d.xml.Depth() < depth:
			if inside {
				return nil
			}
			name := first(start.Get("name"), start.Get("label"), start.Name)
			if strings.EqualFold(name, "id") && !strings.Contains(strings.ToLower(parent), "pat") {
				return nil // of a recording as well as of a person
			}
			return d.field(name, first(text.String(), start.Get("value")))
		}
	}
}

// fields reads an element's attributes.
func (d *decoder) fields(t xmltext.Token) error {
	for _, a := range t.Attr {
		if a.Name == "name" || a.Name == "label" || a.Name == "value" || a.Name == "id" {
			continue
		}
		if err := d.field(a.Name, a.Value); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) field(name, value string) error {
	value = d.cut(value)
	if value == "" {
		return nil
	}
	switch f := label.Of(name); f {
	case label.None:
	case label.Acquired:
		if d.rec.Acquired.IsZero() {
			if d.rec.Acquired = label.Date(value); !d.rec.Acquired.Valid() {
				d.rec.Warn(ecg.WarnTime, "acquisition")
			}
		}
	case label.Statement:
		if len(d.rec.Statements) >= d.lim.Statements {
			return reject.New(reject.TooManyElements, op, "more than %d statements", d.lim.Statements)
		}
		d.rec.Statements = append(d.rec.Statements, ecg.Statement{Text: value})
	case label.Department:
		d.rec.Context.Department = first(d.rec.Context.Department, value)
	case label.Bed:
		d.rec.Context.Location = first(d.rec.Context.Location, value)
	case label.Institution:
		d.rec.Context.Institution = first(d.rec.Context.Institution, value)
	case label.Physician:
		d.rec.Context.ReferringPhysician = first(d.rec.Context.ReferringPhysician, value)
	default:
		label.Set(&d.rec.Patient, f, value)
	}
	return nil
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

// waveform takes the channels apart.
func (d *decoder) waveform() error {
	if !d.hasData {
		return nil
	}
	leads, err := strconv.Atoi(d.leads)
	if err != nil || leads < 1 || leads > d.lim.Leads {
		return reject.New(reject.Malformed, op, "%.20q leads", d.leads)
	}
	g := &ecg.Group{Kind: ecg.Rhythm, Label: "data"}
	if g.Rate, err = ecg.ParseRat(d.sample); err != nil || !ecg.RateOK(g.Rate) {
		return reject.New(reject.Malformed, op, "a sampling rate of %.20q Hz", d.sample)
	}
	all := len(d.data) / 2
	if int64(all) > d.lim.Samples {
		return reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
	}
	stated := int64(-1)
	if s, err := ecg.ParseRat(d.second); err == nil {
		if stated, _ = s.Mul(g.Rate).Round(); stated < 0 || stated > 4*d.lim.Samples {
			return reject.New(reject.Malformed, op, "a length of %s s", s)
		}
	}
	channels := d.channels(leads, stated)
	n := all / channels
	switch {
	case len(d.data)%(2*channels) != 0:
		d.rec.Warn(ecg.WarnTrailingBytes, "data")
	case stated >= 0 && int64(n) < stated:
		d.rec.Warn(ecg.WarnTruncated, "data")
	case stated >= 0 && int64(n) > stated:
		d.rec.Warn(ecg.WarnLengthDiffers, "data")
	}
	counts := make([][]int32, leads)
	for k := range counts {
		counts[k] = make([]int32, n)
		for i := range counts[k] {
			counts[k][i] = d.at(i*channels + k)
		}
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.Int(1), Bits: 16}
		if k < len(order) && leads >= len(order) {
			l.SetLabel(order[k])
			l.Label = ""
		} else {
			l.Name = "channel " + strconv.Itoa(k+1)
			d.rec.Warn(ecg.WarnLeadUnknown, l.Name)
		}
		g.Leads = append(g.Leads, l)
	}
	d.rec.Warn(ecg.WarnScaleAbsent, "group 0")
	g.Memory(counts, nil)
	d.rec.Groups = []*ecg.Group{g}
	return nil
}

func (d *decoder) at(i int) int32 { return int32(int16(binary.LittleEndian.Uint16(d.data[2*i:]))) }

// channels returns how many channels take turns: one more than leads, as all files known, unless that channel is
// not empty, and the length says that there is none.
func (d *decoder) channels(leads int, stated int64) int {
	all := len(d.data) / 2
	for i := range all / (leads + 1) {
		if d.at(i*(leads+1)+leads) != 0 {
			if int64(all) == stated*int64(leads) {
				return leads
			}
			d.rec.Warn(ecg.WarnLayout, "last channel")
			break
		}
	}
	return leads + 1
}
