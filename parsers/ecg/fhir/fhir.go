package fhir

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/fhir.Decode"

// maxJSON is how many bytes of JSON are read, which are in memory at once: some five million samples. XML has its
// own bounds.
const maxJSON = 32 << 20

type decoder struct {
	lim     ecg.Limits
	rec     *ecg.Recording
	samples int64 // so far, all leads
	tracks  []*track
}

// track is a group that is being gathered.
type track struct {
	group   *ecg.Group
	counts  [][]int32
	missing [][]bool
	sparse  bool
}

// Decode reads an Observation or a Bundle with one. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	d := &decoder{lim: lim, rec: &ecg.Recording{Format: sniff.FHIR}}
	head, err := src.Head(512)
	if err != nil {
		return nil, err
	}
	var r *resource
	if h := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF")), " \t\r\n"); len(h) > 0 && h[0] == '{' {
		r, err = d.json(src)
	} else {
		r, err = d.xml(src)
	}
	if err != nil {
		return nil, err
	}
	if err := d.resource(r); err != nil {
		return nil, err
	}
	return d.rec, nil
}

func (d *decoder) json(src ecg.Source) (*resource, error) {
	if most := min(maxJSON, d.lim.XMLBytes); src.Size > most {
		return nil, reject.New(reject.TooLarge, op, "JSON of %d bytes", src.Size)
	}
	b, err := src.Bytes(0, src.Size)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimRight(bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF")), " \t\r\n\x00")
	if err := d.guard(b); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 }) {
		text, note := charset.Parse("ISO_IR 192").Decode(b, "LT")
		if note&charset.Repaired != 0 {
			d.rec.Warn(ecg.WarnTextRepaired, "")
		}
		if note&charset.Replaced != 0 {
			d.rec.Warn(ecg.WarnTextReplaced, "")
		}
		if note != 0 {
			b = []byte(text)
		}
	}
	r, ok, err := fromJSON(b)
	if err != nil {
		return nil, reject.New(reject.Malformed, op, "not JSON") // the library's error quotes the text
	}
	if !ok {
		d.rec.Warn(ecg.WarnLayout, "an element of another form")
	}
	return r, nil
}

// maxValues bounds what a document has of numbers, texts and members; samples are one text.
const maxValues = 50_000

// guard looks for what would cost more to read than the document is worth: depth, long texts, and many values.
func (d *decoder) guard(b []byte) error {
	depth, text, values := 0, -1, 0
	for i := 0; i < len(b); i++ {
		if text >= 0 {
			switch b[i] {
			case '\\':
				i++
			case '"':
				text = -1
			}
			if text >= 0 && i-text > d.lim.XMLText {
				return reject.At(reject.TooLarge, op, int64(i), "text of more than %d bytes", d.lim.XMLText)
			}
			continue
		}
		switch b[i] {
		case '"':
			text = i
		case '{', '[':
			values++
			if depth++; depth > d.lim.XMLDepth {
				return reject.At(reject.TooDeep, op, int64(i), "nested more than %d deep", d.lim.XMLDepth)
			}
		case '}', ']':
			depth--
		case ',':
			values++
		}
		if values > maxValues {
			return reject.At(reject.TooManyElements, op, int64(i), "more than %d values", maxValues)
		}
	}
	if depth > 0 || text >= 0 {
		return reject.At(reject.Truncated, op, int64(len(b)), "the document ends early")
	}
	return nil
}

func (d *decoder) xml(src ecg.Source) (*resource, error) {
	x, err := xmltext.New(src.File, d.lim)
	if err != nil {
		return nil, err
	}
	root, err := x.Next()
	if err == io.EOF {
		return nil, reject.New(reject.UnsupportedFormat, op, "no root element")
	}
	if err != nil {
		return nil, err
	}
	n, err := x.Tree(root)
	if err != nil {
		return nil, err
	}
	x.Warn(d.rec)
	return fromXML(n), nil
}

// resource reads an Observation, or finds it in a Bundle.
func (d *decoder) resource(r *resource) error {
	beside := r.Contained
	switch r.ResourceType {
	case "Observation":
	case "Bundle":
		var found []*resource
		for _, e := range r.Entry {
			if e.Resource == nil {
				continue
			}
			if e.Resource.waves() {
				found = append(found, e.Resource)
				beside = append(beside, e.Resource.Contained...)
			} else {
				beside = append(beside, *e.Resource)
			}
		}
		if len(found) != 1 {
			return reject.New(reject.NotParsed, op, "a Bundle with %d Observations that have SampledData", len(found))
		}
		r = found[0]
	case "":
		return reject.New(reject.Malformed, op, "no resourceType")
	default:
		return reject.New(reject.NotParsed, op, "a %.40q", r.ResourceType)
	}
	return d.observation(r, beside)
}

// waves reports whether r is an Observation with a waveform.
func (r *resource) waves() bool {
	return r.ResourceType == "Observation" && (r.ValueSampledData != nil || slices.ContainsFunc(r.Component, func(c component) bool { return c.ValueSampledData != nil }))
}

func (d *decoder) observation(r *resource, beside []resource) error {
	d.rec.DocumentID = d.cut(r.ID)
	if len(r.Identifier) > 0 {
		d.rec.DocumentID = first(d.cut(r.Identifier[0].Value), d.rec.DocumentID)
	}
	d.patient(r.Subject)
	for i := range beside {
		d.beside(&beside[i])
	}
	d.rec.Device.Model = first(d.rec.Device.Model, d.cut(r.Device.Display))
	if len(r.Performer) > 0 {
		d.rec.Context.Operator = d.cut(r.Performer[0].Display)
	}
	if raw := d.cut(first(r.EffectiveDateTime, r.EffectiveInstant, r.EffectivePeriod.Start)); raw != "" {
		if d.rec.Acquired = ecg.ParseTime(raw); !d.rec.Acquired.Valid() {
			d.rec.Warn(ecg.WarnTime, "effective")
		}
	}
	if r.ValueSampledData != nil {
		if err := d.sampled(r.Code, r.ValueSampledData); err != nil {
			return err
		}
	}
	for i := range r.Component {
		c := &r.Component[i]
		switch {
		case c.ValueSampledData != nil:
			if err := d.sampled(c.Code, c.ValueSampledData); err != nil {
				return err
			}
		case c.ValueQuantity != nil && len(d.rec.Measurements) < d.lim.Annotations:
			d.measure(c)
		case c.ValueString != "":
			if err := d.statement(c.ValueString, ""); err != nil {
				return err
			}
		}
	}
	for _, c := range r.Interpretation {
		code, display := "", ""
		if len(c.Coding) > 0 {
			code, display = c.Coding[0].Code, c.Coding[0].Display
		}
		if err := d.statement(first(c.Text, display), code); err != nil {
			return err
		}
	}
	for _, n := range r.Note {
		if note := d.cut(n.Text); note != "" && len(d.rec.Patient.Remarks) < d.lim.Statements {
			d.rec.Patient.Remarks = append(d.rec.Patient.Remarks, note)
		}
	}
	for _, t := range d.tracks {
		if !t.sparse {
			t.missing = nil
		}
		t.group.Memory(t.counts, t.missing)
		d.rec.Groups = append(d.rec.Groups, t.group)
	}
	if len(d.rec.Groups) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	return nil
}

// statement keeps a line. An Observation's status of final says that it is complete, not that anybody read the ECG.
func (d *decoder) statement(text, code string) error {
	if text = d.cut(text); text == "" {
		return nil
	}
	if len(d.rec.Statements) >= d.lim.Statements {
		return reject.New(reject.TooManyElements, op, "more than %d statements", d.lim.Statements)
	}
	d.rec.Statements = append(d.rec.Statements, ecg.Statement{Text: text, Code: d.cut(code)})
	return nil
}

func (d *decoder) patient(who reference) {
	p := &d.rec.Patient
	if v := d.cut(who.Identifier.Value); v != "" {
		p.ID = v
		p.IDs = append(p.IDs, ecg.Identifier{Issuer: d.cut(who.Identifier.System), Value: v})
	}
	if id, ok := strings.CutPrefix(who.Reference, "Patient/"); ok && p.ID == "" && !strings.Contains(id, "/") {
		p.ID = d.cut(id) // the sender's number of its record of the patient
	}
	p.Name = d.cut(who.Display)
}

// beside reads a Patient or Device that came with the observation.
func (d *decoder) beside(r *resource) {
	switch r.ResourceType {
	case "Patient":
		p := &d.rec.Patient
		for i, id := range r.Identifier {
			v := d.cut(id.Value)
			if v == "" || len(p.IDs) >= 32 {
				continue
			}
			p.IDs = append(p.IDs, ecg.Identifier{Issuer: d.cut(id.System), Value: v})
			if i == 0 {
				p.ID = v
			}
		}
		for _, n := range r.Name {
			family, given := d.cut(n.Family), d.cut(strings.Join(n.Given, "^"))
			if full := first(strings.TrimRight(family+"^"+given, "^"), d.cut(n.Text)); full != "" {
				p.Name = full
				break
			}
		}
		p.Sex = map[string]string{"male": "M", "female": "F", "other": "O"}[r.Gender]
		if p.BirthRaw = d.cut(r.BirthDate); p.BirthRaw != "" {
			if t := ecg.ParseTime(p.BirthRaw); t.Valid() {
				p.BirthDate = t.Time.Format("2006-01-02")
			}
		}
	case "Device":
		dev := &d.rec.Device
		dev.Maker, dev.Serial = d.cut(string(r.Manufacturer)), d.cut(r.SerialNumber)
		dev.Model = d.cut(first(r.ModelNumber, r.Model))
		for _, n := range append(r.Name, r.DeviceName...) {
			dev.Model = first(dev.Model, d.cut(first(n.Name, n.Text)))
		}
	}
}

func (d *decoder) measure(c *component) {
	m := ecg.Measurement{Raw: d.cut(string(c.ValueQuantity.Value)), Unit: d.cut(first(c.ValueQuantity.Code, c.ValueQuantity.Unit)), Group: -1}
	if len(c.Code.Coding) > 0 {
		m.Name = d.cut(first(c.Code.Coding[0].Display, c.Code.Coding[0].Code))
		m.Kind = loinc[c.Code.Coding[0].Code]
	}
	m.Name = first(m.Name, d.cut(c.Code.Text))
	v, err := ecg.ParseRat(m.Raw)
	m.Value, m.Valid = v, err == nil
	d.rec.Measurements = append(d.rec.Measurements, m)
}

// loinc are codes of measurements of the ECG.
var loinc = map[string]ecg.MeasurementKind{
	"8867-4": ecg.VentricularRate, "76282-3": ecg.VentricularRate, "8625-6": ecg.PRInterval, "8633-0": ecg.QRSDuration, "8634-8": ecg.QTInterval,
	"8636-3": ecg.QTcInterval, "8626-4": ecg.PAxis, "8632-2": ecg.QRSAxis, "8638-9": ecg.TAxis, "8637-1": ecg.RRInterval,
}

func (d *decoder) cut(s string) string {
	if len(s) > d.lim.Text {
		d.rec.Warn(ecg.WarnValueCut, "")
		s = strings.ToValidUTF8(s[:d.lim.Text], "")
	}
	return strings.Join(strings.Fields(s), " ")
}

func (d *decoder) number(where string, n json.Number) (ecg.Rat, bool) {
	if n == "" {
		return ecg.Rat{}, false
	}
	r, err := ecg.ParseRat(string(n))
	if err != nil {
		d.rec.Warn(ecg.WarnNumber, where)
		return ecg.Rat{}, false
	}
	return r, true
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// track returns the group of a rate; leads beyond its bounds are refused.
func (d *decoder) track(rate ecg.Rat, leads int) (*track, error) {
	for _, t := range d.tracks {
		if t.group.Rate.Equal(rate) {
			if len(t.group.Leads)+leads > d.lim.Leads {
				return nil, reject.New(reject.TooManyElements, op, "more than %d leads", d.lim.Leads)
			}
			return t, nil
		}
	}
	if len(d.tracks) >= d.lim.Groups || leads > d.lim.Leads {
		return nil, reject.New(reject.TooManyElements, op, "more than %d sampling rates", d.lim.Groups)
	}
	t := &track{group: &ecg.Group{Kind: ecg.OtherSignals, Rate: rate, Label: "rate " + strconv.Itoa(len(d.tracks)+1)}}
	d.tracks = append(d.tracks, t)
	return t, nil
}
