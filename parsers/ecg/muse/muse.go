package muse

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/muse.Decode"

type decoder struct {
	xml     *xmltext.Reader
	lim     ecg.Limits
	rec     *ecg.Recording
	samples int64 // so far, all leads

	test                   *xmltext.Node
	diagnosis, original    *xmltext.Node
	measured, measuredOrig *xmltext.Node
	qrs                    *xmltext.Node
}

// Decode reads a RestingECG document. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	x, err := xmltext.New(src.File, lim)
	if err != nil {
		return nil, err
	}
	root, err := x.Next()
	if err == io.EOF || err == nil && root.Name != "RestingECG" {
		return nil, reject.New(reject.UnsupportedFormat, op, "the root is no RestingECG")
	}
	if err != nil {
		return nil, err
	}
	d := &decoder{xml: x, lim: lim, rec: &ecg.Recording{Format: sniff.MUSE, Device: ecg.Device{Maker: "GE"}}}
	if err := x.Children(d.block); err != nil {
		return nil, err
	}
	if err := d.close(); err != nil {
		return nil, err
	}
	return d.rec, nil
}

// block reads one child of the root.
func (d *decoder) block(start xmltext.Token) (err error) {
	keep := map[string]**xmltext.Node{
		"TestDemographics": &d.test, "Diagnosis": &d.diagnosis, "OriginalDiagnosis": &d.original,
		"RestingECGMeasurements": &d.measured, "OriginalRestingECGMeasurements": &d.measuredOrig, "QRSTimesTypes": &d.qrs,
	}[start.Name]
	if keep != nil {
		*keep, err = d.xml.Tree(start)
		return err
	}
	switch start.Name {
	case "Waveform":
		return d.waveform()
	case "MuseInfo", "PatientDemographics", "Order":
		n, err := d.xml.Tree(start)
		if err != nil {
			return err
		}
		switch start.Name {
		case "MuseInfo":
			d.rec.FormatVersion = d.text(n, "MuseVersion")
		case "PatientDemographics":
			d.patient(n)
		default:
			d.rec.Context.AccessionNumber = d.text(n, "AccessionNumber")
			d.rec.Context.OrderNumber = first(d.text(n, "HISOrderNumber"), d.text(n, "RequisitionNumber"))
		}
		return nil
	case "PaceSpikes", "PharmaData":
		d.rec.Warn(ecg.WarnUnsupportedPart, start.Name)
	}
	return d.xml.Skip()
}

// close fills in what needs several blocks, in whatever order they came.
func (d *decoder) close() error {
	d.testDemographics()
	if err := d.statements(); err != nil {
		return err
	}
	d.measurements()
	d.beats()
	d.xml.Warn(d.rec)
	if len(d.rec.Groups) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	return nil
}

// text is a child's text, cut to what a header needs.
func (d *decoder) text(n *xmltext.Node, path ...string) string {
	s := n.TextAt(path...)
	if len(s) > d.lim.Text {
		d.rec.Warn(ecg.WarnValueCut, path[len(path)-1])
		s = strings.ToValidUTF8(s[:d.lim.Text], "")
	}
	return s
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (d *decoder) number(where, text string) (ecg.Rat, bool) {
	if text == "" {
		return ecg.Rat{}, false
	}
	r, err := ecg.ParseRat(text)
	if err != nil {
		d.rec.Warn(ecg.WarnNumber, where)
		return ecg.Rat{}, false
	}
	return r, true
}

// waveform reads a Waveform lead by lead, so that only one lead's base64 is held.
func (d *decoder) waveform() error {
	if len(d.rec.Groups) >= d.lim.Groups {
		return reject.New(reject.TooManyElements, op, "more than %d waveforms", d.lim.Groups)
	}
	where := "group " + strconv.Itoa(len(d.rec.Groups))
	g := &ecg.Group{Kind: ecg.Rhythm}
	head := map[string]string{}
	var counts [][]int32
	err := d.xml.Children(func(start xmltext.Token) error {
		if start.Name != "LeadData" {
			text, err := d.xml.Text()
			if len(head) < 64 && len(text) <= d.lim.Text {
				head[start.Name] = text
			}
			return err
		}
		if len(g.Leads) >= d.lim.Leads {
			return reject.New(reject.TooManyElements, op, "more than %d leads", d.lim.Leads)
		}
		n, err := d.xml.Tree(start)
		if err != nil {
			return err
		}
		lead, samples, err := d.lead(n, where)
		if err != nil {
			return err
		}
		if have, _ := g.Lead(lead.Name); have != nil {
			d.rec.Warn(ecg.WarnLeadDuplicate, where+" lead "+strconv.Itoa(len(g.Leads)))
		}
		g.Leads = append(g.Leads, lead)
		counts = append(counts, samples)
		return nil
	})
	if err != nil {
		return err
	}
	g.Label = head["WaveformType"]
	if strings.EqualFold(g.Label, "Median") {
		g.Kind = ecg.Median
	}
	base, ok := d.number(where+" SampleBase", head["SampleBase"])
	if !ok {
		return reject.New(reject.Malformed, op, "%s has no sampling rate", where)
	}
	exponent, err := strconv.Atoi(first(head["SampleExponent"], "0"))
	if err != nil || exponent < -9 || exponent > 9 {
		return reject.New(reject.Malformed, op, "%s has no sampling rate", where)
	}
	if g.Rate = base.Pow10(exponent); !ecg.RateOK(g.Rate) {
		return reject.New(reject.Malformed, op, "%s has a sampling rate of %s Hz", where, g.Rate)
	}
	filters := d.filters(head, where)
	for i := range g.Leads {
		g.Leads[i].Filters = filters
	}
	if n := head["NumberofLeads"]; n != "" && n != strconv.Itoa(len(g.Leads)) {
		d.rec.Warn(ecg.WarnHeaderDiffers, where+" NumberofLeads")
	}
	if t := head["WaveformStartTime"]; t != "" && strings.Trim(t, "0.") != "" {
		// Its unit is not known, and no file has it.
		d.rec.Warn(ecg.WarnUnsupportedPart, where+" WaveformStartTime")
	}
	g.Memory(counts, nil)
	d.rec.Groups = append(d.rec.Groups, g)
	return nil
}

func (d *decoder) filters(head map[string]string, where string) ecg.Filters {
	var f ecg.Filters
	if r, ok := d.number(where+" HighPassFilter", head["HighPassFilter"]); ok {
		f.HighPassHz = r.Mul(ecg.Frac(1, 100))
	}
	f.LowPassHz, _ = d.number(where+" LowPassFilter", head["LowPassFilter"])
	switch ac := head["ACFilter"]; strings.ToUpper(ac) {
	case "":
	case "NONE", "OFF", "0":
		f.NotchOff = true
	default:
		f.NotchHz, _ = d.number(where+" ACFilter", ac)
	}
	return f
}

// lead reads one LeadData.
func (d *decoder) lead(n *xmltext.Node, group string) (ecg.Lead, []int32, error) {
	var l ecg.Lead
	if !l.SetLabel(d.text(n, "LeadID")) {
		d.rec.Warn(ecg.WarnLeadUnknown, group)
	}
	where := group + " lead " + l.Name
	if l.Code == "" {
		where = group
	}
	factor, ok := ecg.VoltageScale(first(d.text(n, "LeadAmplitudeUnits"), "MICROVOLTS"))
	if !ok {
		d.rec.Warn(ecg.WarnUnitUnknown, where)
		factor = ecg.Int(1)
	}
	l.Unit = ecg.Microvolt
	if l.Scale, ok = d.number(where+" LeadAmplitudeUnitsPerBit", d.text(n, "LeadAmplitudeUnitsPerBit")); ok && l.Scale.Sign() != 0 {
		l.Scale = l.Scale.Mul(factor)
	} else {
		l.Scale = ecg.MustRat("4.88") // of every MUSE file known
		d.rec.Warn(ecg.WarnScaleAbsent, where)
	}
	size := 2
	if s := d.text(n, "LeadSampleSize"); s != "" && s != "2" {
		var err error
		if size, err = strconv.Atoi(s); err != nil || size != 1 && size != 4 {
			return l, nil, reject.New(reject.Malformed, op, "%s has samples of %.8q bytes", where, s)
		}
	}
	l.Bits = 8 * size
	if strings.EqualFold(d.text(n, "LeadOff"), "TRUE") {
		l.Quality = "lead off"
	}
	for _, name := range []string{"LeadTimeOffset", "LeadOffsetFirstSample", "FirstSampleBaseline"} {
		if v := d.text(n, name); strings.Trim(v, "0.") != "" {
			d.rec.Warn(ecg.WarnUnsupportedPart, where+" "+name) // no file has them, nothing says their unit
		}
	}
	raw, err := xmltext.Base64(n.TextAt("WaveFormData"))
	if err != nil {
		return l, nil, reject.New(reject.Malformed, op, "%s: %w", where, err)
	}
	samples := int64(len(raw) / size)
	if d.samples += samples; d.samples > d.lim.Samples {
		return l, nil, reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
	}
	if err := d.stated(n, where, int64(len(raw)), samples); err != nil {
		return l, nil, err
	}
	d.checksum(n, where, raw)
	counts := make([]int32, samples)
	for i := range counts {
		switch size {
		case 1:
			counts[i] = int32(int8(raw[i]))
		case 2:
			counts[i] = int32(int16(binary.LittleEndian.Uint16(raw[2*i:])))
		default:
			counts[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	}
	return l, counts, nil
}

// stated compares the stated lengths with the bytes, which count. A statement beyond all limits is no
// mistake of a cart.
func (d *decoder) stated(n *xmltext.Node, where string, bytes, samples int64) error {
	for _, s := range []struct {
		name string
		have int64
	}{{"LeadByteCountTotal", bytes}, {"LeadSampleCountTotal", samples}} {
		text := d.text(n, s.name)
		if text == "" {
			continue
		}
		stated, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			d.rec.Warn(ecg.WarnNumber, where+" "+s.name)
		case stated < 0 || stated > 4*d.lim.Samples:
			return reject.New(reject.Malformed, op, "%s states a length of %d", where, stated)
		case stated > s.have:
			d.rec.Warn(ecg.WarnTruncated, where)
		case stated < s.have:
			d.rec.Warn(ecg.WarnLengthDiffers, where)
		}
	}
	return nil
}

func (d *decoder) checksum(n *xmltext.Node, where string, raw []byte) {
	text := d.text(n, "LeadDataCRC32")
	stated, err := strconv.ParseInt(text, 10, 64)
	switch {
	case text == "" || text == "0" && len(raw) > 0:
		d.rec.Warn(ecg.WarnChecksumAbsent, where)
	case err != nil || uint32(stated) != crc32.ChecksumIEEE(raw):
		d.rec.Warn(ecg.WarnChecksum, where)
	}
}
