package eli

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

const op = "ecg/eli.Decode"

type decoder struct {
	xml     *xmltext.Reader
	lim     ecg.Limits
	rec     *ecg.Recording
	samples int64 // so far, all leads
	root    xmltext.Token
	cycle   xmltext.Token // TYPICAL_CYCLE
	filters ecg.Filters
	tracks  []*track // by kind and rate, in the order of the file
}

// track is a group that is being gathered.
type track struct {
	group  *ecg.Group
	counts [][]int32
	bare   []int // leads without a scale of their own
	lifted []ecg.Rat
}

// Decode reads an ELI document. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	x, err := xmltext.New(src.File, lim)
	if err != nil {
		return nil, err
	}
	root, err := x.Next()
	if err == io.EOF || err == nil && root.Name != "ECG" {
		return nil, reject.New(reject.UnsupportedFormat, op, "the root is no ECG")
	}
	if err != nil {
		return nil, err
	}
	d := &decoder{xml: x, lim: lim, root: root, rec: &ecg.Recording{Format: sniff.ELI, Device: ecg.Device{Maker: "Mortara"}}}
	if err := x.Children(d.block); err != nil {
		return nil, err
	}
	return d.rec, d.close()
}

// block reads one child of the root.
func (d *decoder) block(start xmltext.Token) error {
	switch start.Name {
	case "CHANNEL":
		return d.channel(start, ecg.Rhythm)
	case "TYPICAL_CYCLE":
		d.cycle = start
		return d.xml.Children(func(t xmltext.Token) error {
			if t.Name == "TYPICAL_CYCLE_CHANNEL" || t.Name == "CHANNEL" {
				return d.channel(t, ecg.Median)
			}
			return d.xml.Skip()
		})
	case "SOURCE":
		d.source(start)
		return d.xml.Skip()
	case "SUBJECT", "PATIENT":
		for _, a := range start.Attr {
			d.field(a.Name, a.Value)
		}
		return d.demographics()
	case "DEMOGRAPHIC_FIELDS":
		return d.demographics()
	case "DEMOGRAPHIC_FIELD":
		d.field(start.Get("LABEL"), start.Get("VALUE"))
		return d.xml.Skip()
	case "DIAGNOSIS", "INTERPRETATION", "AUTOMATIC_INTERPRETATION", "DIAGNOSIS_STATEMENT", "STATEMENT", "CONCLUSION", "STATEMENTS":
		n, err := d.xml.Tree(start)
		if err != nil {
			return err
		}
		s := ecg.Statement{}
		if strings.Contains(start.Name, "INTERPRETATION") {
			s = ecg.Statement{Author: ecg.Machine, Status: ecg.Unconfirmed}
		}
		return d.statements(n, s)
	}
	return d.xml.Skip()
}

func (d *decoder) demographics() error {
	return d.xml.Children(func(t xmltext.Token) error {
		if t.Name == "DEMOGRAPHIC_FIELD" {
			d.field(t.Get("LABEL"), t.Get("VALUE"))
			return d.xml.Skip()
		}
		text, err := d.xml.Text()
		if err == nil {
			d.field(t.Name, first(t.Get("VALUE"), text))
		}
		return err
	})
}

// field reads one pair of label and value of the patient. "Name:" on these carts stands beside "First:", and is the
// family's.
func (d *decoder) field(name, value string) {
	f := label.Of(name)
	value = strings.Trim(d.cut(value), `'"`)
	switch {
	case f == label.Birth:
		p := &d.rec.Patient
		if t := label.DateMonthFirst(value); t.Valid() {
			p.BirthRaw, p.BirthDate = value, t.Time.Format("2006-01-02")
		} else if strings.Trim(value, "0/-. ") != "" {
			p.BirthRaw = value
			d.rec.Warn(ecg.WarnTime, "date of birth")
		}
	case f == label.Name && d.rec.Patient.Name != "" && strings.HasPrefix(d.rec.Patient.Name, "^"), f == label.Name && strings.EqualFold(strings.Trim(name, ": "), "Name"):
		label.Set(&d.rec.Patient, label.Family, value)
	default:
		label.Set(&d.rec.Patient, f, value)
	}
}

func (d *decoder) source(t xmltext.Token) {
	dev := &d.rec.Device
	dev.Maker = first(d.cut(t.Get("MANUFACTURER")), dev.Maker)
	dev.Model, dev.Serial = d.cut(t.Get("MODEL")), d.cut(t.Get("ACQUIRING_DEVICE_SERIAL_NUMBER"))
	dev.Software = d.cut(first(t.Get("SOFTWARE_VERSION"), t.Get("ACQUIRING_DEVICE_SOFTWARE_VERSION")))
	d.filters.HighPassHz, _ = d.number("HIGH_PASS_FILTER", t.Get("HIGH_PASS_FILTER"))
	d.filters.LowPassHz, _ = d.number("LOW_PASS_FILTER", t.Get("LOW_PASS_FILTER"))
	if notch := t.Get("NOTCH_FILTER"); notch != "" {
		if hz, err := ecg.ParseRat(notch); err == nil {
			d.filters.NotchHz, d.filters.NotchOff = hz, hz.IsZero()
		}
	}
}

// statements keeps every text in a block.
func (d *decoder) statements(n *xmltext.Node, s ecg.Statement) error {
	if text := d.cut(first(n.Get("TEXT"), n.Get("DESCRIPTION"), n.Text)); text != "" {
		if len(d.rec.Statements) >= d.lim.Statements {
			return reject.New(reject.TooManyElements, op, "more than %d statements", d.lim.Statements)
		}
		s.Text, s.Code = text, d.cut(n.Get("CODE"))
		d.rec.Statements = append(d.rec.Statements, s)
	}
	for _, c := range n.Children {
		if err := d.statements(c, s); err != nil {
			return err
		}
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

func (d *decoder) number(where, text string) (ecg.Rat, bool) {
	if strings.TrimSpace(text) == "" {
		return ecg.Rat{}, false
	}
	r, err := ecg.ParseRat(text)
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

// attr is an attribute of a channel, or of the typical cycle around it.
func (d *decoder) attr(t xmltext.Token, kind ecg.Kind, name string) string {
	if v := t.Get(name); v != "" || kind == ecg.Rhythm {
		return v
	}
	return d.cycle.Get(name)
}

// channel reads a lead.
func (d *decoder) channel(t xmltext.Token, kind ecg.Kind) error {
	text, err := d.xml.Text()
	if err != nil {
		return err
	}
	where := string(kind) + " lead " + strconv.Itoa(d.leads())
	rate, err := ecg.ParseRat(first(d.attr(t, kind, "SAMPLE_FREQ"), d.root.Get("SAMPLE_FREQ"), d.rhythmRate(kind)))
	if err != nil || !ecg.RateOK(rate) {
		return reject.New(reject.Malformed, op, "%s has a sampling rate of %.20q Hz", where, t.Get("SAMPLE_FREQ"))
	}
	counts, bits, err := d.decode(t, kind, first(t.Get("DATA"), text), where)
	if err != nil {
		return err
	}
	if d.samples += int64(len(counts)); d.samples > d.lim.Samples {
		return reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
	}
	l := ecg.Lead{Bits: bits, Filters: d.filters}
	name := d.cut(first(t.Get("NAME"), t.Get("LEAD")))
	known := l.SetLabel("lead " + name)
	if l.Label = name; !known {
		l.Name = name
		d.rec.Warn(ecg.WarnLeadUnknown, where)
	}
	tr, err := d.track(kind, rate)
	if err != nil {
		return err
	}
	if have, _ := tr.group.Lead(l.Name); have != nil {
		d.rec.Warn(ecg.WarnLeadDuplicate, where)
	}
	if len(tr.group.Leads) >= d.lim.Leads {
		return reject.New(reject.TooManyElements, op, "more than %d leads", d.lim.Leads)
	}
	offset, _ := d.number(where+" OFFSET", d.attr(t, kind, "OFFSET"))
	tr.lifted = append(tr.lifted, offset)
	if units, ok := d.number(where+" UNITS_PER_MV", d.attr(t, kind, "UNITS_PER_MV")); ok && units.Sign() > 0 {
		scale(&l, units, offset)
	} else {
		tr.bare = append(tr.bare, len(tr.group.Leads)) // the typical cycle may have it, and come later
	}
	if n := d.attr(t, kind, "DURATION"); n != "" {
		stated, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
		switch {
		case err != nil:
			d.rec.Warn(ecg.WarnNumber, where+" DURATION")
		case stated < 0 || stated > 4*d.lim.Samples:
			return reject.New(reject.Malformed, op, "%s states a length of %d", where, stated)
		case stated > int64(len(counts)):
			d.rec.Warn(ecg.WarnTruncated, where)
		case stated < int64(len(counts)):
			d.rec.Warn(ecg.WarnLengthDiffers, where)
		}
	}
	tr.group.Leads, tr.counts = append(tr.group.Leads, l), append(tr.counts, counts)
	return nil
}

// scale sets step and baseline: (sample + offset) / units in mV.
func scale(l *ecg.Lead, units, offset ecg.Rat) {
	l.Unit = ecg.Microvolt
	l.Scale, _ = ecg.Int(1000).Quo(units)
	l.Baseline = offset.Mul(l.Scale)
}

func (d *decoder) leads() int {
	n := 0
	for _, t := range d.tracks {
		n += len(t.group.Leads)
	}
	return n
}

// rhythmRate is the rate of the rhythm, for a typical cycle that states none.
func (d *decoder) rhythmRate(kind ecg.Kind) string {
	if kind == ecg.Median && len(d.tracks) > 0 {
		return d.tracks[0].group.Rate.String()
	}
	return ""
}

// track returns the group of a kind and rate.
func (d *decoder) track(kind ecg.Kind, rate ecg.Rat) (*track, error) {
	for _, t := range d.tracks {
		if t.group.Kind == kind && t.group.Rate.Equal(rate) {
			return t, nil
		}
	}
	if len(d.tracks) >= d.lim.Groups {
		return nil, reject.New(reject.TooManyElements, op, "more than %d sampling rates", d.lim.Groups)
	}
	t := &track{group: &ecg.Group{Kind: kind, Rate: rate, Label: map[ecg.Kind]string{ecg.Rhythm: "CHANNEL", ecg.Median: "TYPICAL_CYCLE"}[kind]}}
	d.tracks = append(d.tracks, t)
	return t, nil
}

// decode reads a channel's samples.
func (d *decoder) decode(t xmltext.Token, kind ecg.Kind, data, where string) (counts []int32, bits int, err error) {
	bits = 16
	if s := strings.TrimSpace(d.attr(t, kind, "BITS")); s != "" {
		if bits, err = strconv.Atoi(s); err != nil || bits != 8 && bits != 16 && bits != 32 {
			return nil, 0, reject.New(reject.Malformed, op, "%s has samples of %.8q bits", where, s)
		}
	}
	unsigned := strings.EqualFold(d.attr(t, kind, "FORMAT"), "UNSIGNED")
	if e := d.attr(t, kind, "ENCODING"); e != "" && !strings.EqualFold(e, "BASE64") {
		return nil, 0, reject.New(reject.Malformed, op, "%s has encoding %.20q", where, e)
	}
	raw, err := xmltext.Base64(data)
	if err != nil {
		return nil, 0, reject.New(reject.Malformed, op, "%s: %w", where, err)
	}
	size := bits / 8
	counts = make([]int32, len(raw)/size)
	for i := range counts {
		switch {
		case size == 1 && unsigned:
			counts[i] = int32(raw[i])
		case size == 1:
			counts[i] = int32(int8(raw[i]))
		case size == 2 && unsigned:
			counts[i] = int32(binary.LittleEndian.Uint16(raw[2*i:]))
		case size == 2:
			counts[i] = int32(int16(binary.LittleEndian.Uint16(raw[2*i:])))
		default:
			counts[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	}
	return counts, bits, nil
}

// numbers are attributes of the root and of TYPICAL_CYCLE.
var numbers = []struct {
	name string
	kind ecg.MeasurementKind
	unit string
}{
	{"VENT_RATE", ecg.VentricularRate, "/min"},
	{"VENTRICULAR_RATE", ecg.VentricularRate, "/min"},
	{"ATRIAL_RATE", ecg.AtrialRate, "/min"},
	{"NUM_QRS", ecg.QRSCount, "1"},
	{"P_DURATION", ecg.PDuration, "ms"},
	{"PR_INT", ecg.PRInterval, "ms"},
	{"PR_INTERVAL", ecg.PRInterval, "ms"},
	{"PR_DURATION", ecg.PRInterval, "ms"},
	{"QRS_DURATION", ecg.QRSDuration, "ms"},
	{"QT_INT", ecg.QTInterval, "ms"},
	{"QT_INTERVAL", ecg.QTInterval, "ms"},
	{"QT_DURATION", ecg.QTInterval, "ms"},
	{"QTC_INT", ecg.QTcInterval, "ms"},
	{"QTC_INTERVAL", ecg.QTcInterval, "ms"},
	{"QTC_DURATION", ecg.QTcInterval, "ms"},
	{"QT_CORRECTED", ecg.QTcInterval, "ms"},
	{"RR_INT", ecg.RRInterval, "ms"},
	{"RR_INTERVAL", ecg.RRInterval, "ms"},
	{"AVERAGE_RR", ecg.RRInterval, "ms"},
	{"P_AXIS", ecg.PAxis, "deg"},
	{"QRS_AXIS", ecg.QRSAxis, "deg"},
	{"T_AXIS", ecg.TAxis, "deg"},
	{"P_ONSET", "", ""},
	{"P_OFFSET", "", ""},
	{"Q_ONSET", "", ""},
	{"Q_OFFSET", "", ""},
	{"QRS_ONSET", "", ""},
	{"QRS_OFFSET", "", ""},
	{"T_OFFSET", "", ""},
	{"R_PEAK", "", ""},
}

// close fills in what needs the whole document.
func (d *decoder) close() error {
	for _, kind := range []ecg.Kind{ecg.Rhythm, ecg.Median} {
		for _, t := range d.tracks {
			if t.group.Kind == kind {
				d.finish(t)
			}
		}
	}
	seen := map[string]bool{}
	for _, t := range []xmltext.Token{d.root, d.cycle} {
		for _, n := range numbers {
			text := d.cut(t.Get(n.name))
			if text == "" || seen[n.name] {
				continue
			}
			seen[n.name] = true
			v, err := ecg.ParseRat(text)
			d.rec.Measurements = append(d.rec.Measurements, ecg.Measurement{Kind: n.kind, Name: n.name, Raw: text, Value: v, Valid: err == nil, Unit: n.unit, Group: -1})
		}
	}
	if raw := d.cut(d.root.Get("ACQUISITION_TIME")); strings.Trim(raw, "0/: ") != "" {
		if d.rec.Acquired = label.DateMonthFirst(raw); !d.rec.Acquired.Valid() {
			d.rec.Warn(ecg.WarnTime, "ACQUISITION_TIME")
		}
	}
	d.rec.DocumentID = d.cut(first(d.root.Get("UID"), d.root.Get("ID")))
	d.rec.FormatVersion = d.cut(d.root.Get("VERSION"))
	d.xml.Warn(d.rec)
	if len(d.rec.Groups) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	return nil
}

// finish gives leads without a scale that of the typical cycle or of the root, and hands over the samples.
func (d *decoder) finish(t *track) {
	for _, i := range t.bare {
		l := &t.group.Leads[i]
		if units, ok := d.number("UNITS_PER_MV", first(d.cycle.Get("UNITS_PER_MV"), d.root.Get("UNITS_PER_MV"))); ok && units.Sign() > 0 {
			scale(l, units, t.lifted[i])
			continue
		}
		l.Scale, l.Baseline = ecg.Int(1), t.lifted[i]
		d.rec.Warn(ecg.WarnScaleAbsent, "group "+strconv.Itoa(len(d.rec.Groups))+" lead "+strconv.Itoa(i))
	}
	for i := range t.group.Leads {
		t.group.Leads[i].Filters = d.filters // SOURCE may come last
	}
	t.group.Memory(t.counts, nil)
	d.rec.Groups = append(d.rec.Groups, t.group)
}
