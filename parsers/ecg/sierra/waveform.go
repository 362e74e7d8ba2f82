package sierra

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

var (
	twelve = []string{"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"}
	eight  = []string{"I", "II", "V1", "V2", "V3", "V4", "V5", "V6"}
)

// parsed decodes parsedwaveforms: the rhythm.
func (d *decoder) parsed() error {
	const where = "group 0"
	start := d.rhythm.start
	raw, err := d.bytes(start.Get("dataencoding"), d.rhythm.text)
	d.rhythm.text = ""
	if err != nil {
		return reject.New(reject.Malformed, op, "%s: %w", where, err)
	}
	g := &ecg.Group{Kind: ecg.Rhythm, Label: "parsedwaveforms"}
	if g.Rate, err = d.rate(where, first(start.Get("samplespersecond"), d.signal.TextAt("samplingrate"))); err != nil {
		return err
	}
	method := first(start.Get("compression"), start.Get("compressmethod"))
	if strings.EqualFold(start.Get("compressflag"), "False") || strings.EqualFold(method, "Uncompressed") || strings.EqualFold(method, "None") {
		method = ""
	}
	stated := d.labels(start)
	var leads [][]int32
	switch {
	case strings.EqualFold(method, "XLI"):
		leads, err = xli(raw, d.lim.Samples-d.samples, d.lim.Leads)
		if err == nil && len(leads) >= len(twelve) {
			err = d.limbs(leads, stated)
		}
	case method == "":
		leads, err = plain(raw, len(stated), d.lim.Samples-d.samples)
	default:
		err = errXLI
	}
	switch {
	case err == errMuch:
		return reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
	case err != nil:
		return reject.New(reject.Malformed, op, "%s, compression %.20q: %w", where, method, err)
	case len(leads) == 0:
		d.rec.Warn(ecg.WarnMissingSamples, where)
		return nil
	}
	scale := d.scale(where, first(start.Get("resolution"), d.signal.TextAt("resolution"), d.signal.TextAt("signalresolution")))
	for len(leads) > len(stated) && unused(leads[len(leads)-1], scale) {
		leads = leads[:len(leads)-1]
	}
	names := stated
	if len(leads) != len(stated) {
		d.rec.Warn(ecg.WarnHeaderDiffers, where+" leads")
		if len(leads) == len(eight) {
			names = eight
		}
	}
	if offset := first(start.Get("signaloffset"), d.signal.TextAt("signaloffset")); strings.Trim(offset, "0.") != "" {
		d.rec.Warn(ecg.WarnUnsupportedPart, where+" signaloffset") // no file has one, nothing says its sign
	}
	filters := d.filters(start)
	for i, samples := range leads {
		d.samples += int64(len(samples))
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: scale, Bits: 16, Filters: filters}
		d.label(&l, names, i, where)
		g.Leads = append(g.Leads, l)
	}
	if err := d.stated(g.Rate, start.Get("durationperchannel"), leads, where); err != nil {
		return err
	}
	if !d.whole {
		if at := pulse(leads, g.Rate, scale); at > 0 {
			for i := range leads {
				leads[i] = leads[i][:at]
			}
			d.rec.Warn(ecg.WarnCalibration, where+" from sample "+strconv.Itoa(at)+", cut")
		}
	}
	g.Memory(leads, nil)
	d.rec.Groups = append(d.rec.Groups, g)
	return nil
}

// bytes decodes the contents of a waveform.
func (d *decoder) bytes(encoding, text string) ([]byte, error) {
	if strings.EqualFold(encoding, "Plain") {
		counts, _, err := xmltext.Counts(text, d.lim.Samples-d.samples)
		if err != nil {
			return nil, err
		}
		out := make([]byte, 0, 2*len(counts))
		for _, c := range counts {
			if c != int32(int16(c)) {
				return nil, xmltext.ErrCount
			}
			out = binary.LittleEndian.AppendUint16(out, uint16(int16(c)))
		}
		return out, nil
	}
	return xmltext.Base64(text)
}

// labels returns the names of the leads as stated: 1.03 has them in the report's layout only, which names the
// stored leads when it begins with the twelve in their order.
func (d *decoder) labels(start xmltext.Token) []string {
	if names := strings.Fields(start.Get("leadlabels")); len(names) > 0 && len(names) <= d.lim.Leads {
		return names
	}
	if names := strings.Fields(d.display); len(names) > len(twelve) && len(names) <= d.lim.Leads && slices.Equal(names[:len(twelve)], twelve) {
		return names
	}
	return twelve
}

func (d *decoder) label(l *ecg.Lead, names []string, i int, where string) {
	name := "channel " + strconv.Itoa(i+1)
	if i < len(names) {
		name = names[i]
	}
	if slices.Index(names, name) < i && i < len(names) {
		d.rec.Warn(ecg.WarnLeadDuplicate, where+" lead "+strconv.Itoa(i))
	}
	// "lead" in front: here C1 is no electrode of an EEG.
	known := l.SetLabel("lead " + name)
	if l.Label = name; !known {
		l.Name = name
		d.rec.Warn(ecg.WarnLeadUnknown, where)
	}
}

// limbs rebuilds the limb leads.
func (d *decoder) limbs(leads [][]int32, names []string) error {
	for i := range 6 {
		if i >= len(names) || !strings.EqualFold(names[i], twelve[i]) {
			d.rec.Warn(ecg.WarnUnsupportedPart, "group 0 order of leads")
			return errXLI // residues of what, nobody knows
		}
		if len(leads[i]) != len(leads[0]) {
			return errXLI
		}
	}
	rebuild(leads[:6])
	return nil
}

// plain reads 16-bit samples without compression. No schema says whether leads follow one another or take
// turns; III = II − I does.
func plain(raw []byte, leads int, limit int64) ([][]int32, error) {
	n := len(raw) / 2
	if int64(n) > limit {
		return nil, errMuch
	}
	if leads < 6 || n%leads != 0 {
		return nil, errXLI
	}
	per := n / leads
	arrange := func(index func(lead, i int) int) ([][]int32, bool) {
		out := make([][]int32, leads)
		off := 0
		for k := range out {
			out[k] = make([]int32, per)
			for i := range per {
				out[k][i] = int32(int16(binary.LittleEndian.Uint16(raw[2*index(k, i):])))
			}
		}
		for i := range per {
			if d := out[1][i] - out[0][i] - out[2][i]; d > 2 || d < -2 {
				off++
			}
		}
		return out, off*20 <= per
	}
	follow, ok := arrange(func(lead, i int) int { return lead*per + i })
	turns, also := arrange(func(lead, i int) int { return i*leads + lead })
	switch {
	case ok == also:
		return nil, errXLI
	case ok:
		return follow, nil
	}
	return turns, nil
}

func (d *decoder) rate(where, text string) (ecg.Rat, error) {
	r, err := ecg.ParseRat(text)
	if err != nil || !ecg.RateOK(r) {
		return r, reject.New(reject.Malformed, op, "%s has a sampling rate of %.20q Hz", where, text)
	}
	return r, nil
}

// scale returns µV per count: 5 for all carts known, where it is not stated.
func (d *decoder) scale(where, text string) ecg.Rat {
	r, ok := d.number(where+" resolution", text)
	if !ok || r.Sign() <= 0 {
		d.rec.Warn(ecg.WarnScaleAbsent, where)
		return ecg.Int(5)
	}
	return r
}

// stated compares the stated duration with the samples. One beyond all limits is no mistake of a cart.
func (d *decoder) stated(rate ecg.Rat, duration string, leads [][]int32, where string) error {
	ms, ok := d.number(where+" duration", duration)
	if !ok {
		return nil
	}
	n, _ := ms.Mul(rate).Mul(ecg.Frac(1, 1000)).Round()
	if n < 0 || n > 4*d.lim.Samples {
		return reject.New(reject.Malformed, op, "%s states a length of %s ms", where, ms)
	}
	for _, samples := range leads {
		switch {
		case int64(len(samples)) < n:
			d.rec.Warn(ecg.WarnTruncated, where)
		case int64(len(samples)) > n:
			d.rec.Warn(ecg.WarnLengthDiffers, where)
		}
	}
	return nil
}

func (d *decoder) filters(start xmltext.Token) ecg.Filters {
	var f ecg.Filters
	low, high, _ := strings.Cut(d.signal.TextAt("signalbandwidth"), "-")
	f.HighPassHz, _ = d.number("filter", first(start.Get("hipass"), d.signal.TextAt("hipass"), low))
	f.LowPassHz, _ = d.number("filter", first(start.Get("lowpass"), d.signal.TextAt("lowpass"), high))
	switch notch := first(start.Get("notchfiltered"), d.signal.TextAt("notchfiltered")); strings.ToLower(notch) {
	case "true":
		f.NotchHz, _ = d.number("filter", first(strings.TrimSpace(start.Get("notchfilterfreqs")), d.text(d.signal, "notchfilterfreqs"), d.text(d.signal, "acsetting")))
	case "false":
		f.NotchOff = true
	}
	return f
}

// pulse finds the calibration pulse at the end of all leads: 0, 1 mV for 0.2 s, 0. It returns where what is no
// ECG begins, or 0.
func pulse(leads [][]int32, rate, scale ecg.Rat) int {
	height, ok := ecg.Int(1000).Quo(scale)
	one, whole := height.Int64()
	perSecond, exact := rate.Round()
	n := len(leads[0])
	if !ok || !whole || !exact || one <= 0 || one > 1<<20 || len(leads) < len(eight) {
		return 0
	}
	for _, l := range leads {
		if len(l) != n {
			return 0
		}
	}
	second := int(perSecond)
	run := func(end int, v int32, most int) int {
		at := end
		for at > 0 && end-at < most {
			for _, l := range leads {
				if l[at-1] != v {
					return at
				}
			}
			at--
		}
		return at
	}
	flat := run(n, 0, second/5)
	top := run(flat, int32(one), second)
	before := run(top, 0, second/5) // HeartStart leaves a gap as well, of 72 ms
	if width := flat - top; flat == n || width < second*3/20 || width > second/4 || top-before < second/20 {
		return 0
	}
	return before
}

// unused reports whether a channel has nothing but zeros and a calibration pulse: carts store sixteen chunks for
// twelve leads.
func unused(samples []int32, scale ecg.Rat) bool {
	height, _ := ecg.Int(1000).Quo(scale)
	one, _ := height.Int64()
	for _, v := range samples {
		if v != 0 && int64(v) != one {
			return false
		}
	}
	return true
}

// repbeats decodes the representative beats.
func (d *decoder) repbeats() error {
	if len(d.rec.Groups) >= d.lim.Groups {
		return reject.New(reject.TooManyElements, op, "more than %d groups", d.lim.Groups)
	}
	index := len(d.rec.Groups)
	where := "group " + strconv.Itoa(index)
	g := &ecg.Group{Kind: ecg.Median, Label: "repbeats"}
	all := d.beats.All("repbeat")
	if len(all) == 0 {
		return nil
	}
	if len(all) > d.lim.Leads {
		return reject.New(reject.TooManyElements, op, "more than %d leads", d.lim.Leads)
	}
	if d.beats.Get("compression") != "" {
		d.rec.Warn(ecg.WarnUnsupportedPart, where+" compression")
		return nil
	}
	var err error
	if g.Rate, err = d.rate(where, first(d.beats.Get("samplespersec"), d.beats.Get("samplespersecond"), d.signal.TextAt("samplingrate"))); err != nil {
		return err
	}
	scale := d.scale(where, d.beats.Get("resolution"))
	var names []string
	for _, b := range all {
		names = append(names, b.Get("leadname"))
	}
	counts, missing := make([][]int32, len(all)), make([][]bool, len(all))
	for i, b := range all {
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: scale, Bits: 16}
		d.label(&l, names, i, where)
		w := b
		if inner := b.At("waveform"); inner != nil {
			w = inner
		}
		raw, err := d.bytes(d.beats.Get("dataencoding"), w.Text)
		if err != nil {
			return reject.New(reject.Malformed, op, "%s lead %d: %w", where, i, err)
		}
		if d.samples += int64(len(raw) / 2); d.samples > d.lim.Samples {
			return reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
		}
		counts[i], missing[i] = padded(raw)
		if err := d.stated(g.Rate, w.Get("duration"), counts[i:i+1], where); err != nil {
			return err
		}
		if missing[i] != nil {
			d.rec.Warn(ecg.WarnMissingSamples, where)
		}
		g.Leads = append(g.Leads, l)
		for _, m := range beatMeasures {
			if text := first(d.text(b, m.name), d.cut(b.Get(m.name))); text != "" {
				d.measure(ecg.Measurement{Name: m.name, Raw: text, Lead: l.Name, Group: index}, meaning{m.kind, "ms", ""})
			}
		}
	}
	g.Memory(counts, missing)
	d.rec.Groups = append(d.rec.Groups, g)
	return nil
}

// padded reads 16-bit samples; 7FFFH at the end is padding up to a common length.
func padded(raw []byte) ([]int32, []bool) {
	counts := make([]int32, len(raw)/2)
	for i := range counts {
		counts[i] = int32(int16(binary.LittleEndian.Uint16(raw[2*i:])))
	}
	var missing []bool
	for i := len(counts) - 1; i >= 0 && counts[i] == 0x7FFF; i-- {
		if missing == nil {
			missing = make([]bool, len(counts))
		}
		missing[i] = true
	}
	return counts, missing
}

// single decodes leadwaveforms: an element for each lead, which may begin at different times.
func (d *decoder) single() error {
	index := len(d.rec.Groups)
	where := "group " + strconv.Itoa(index)
	all := d.lead.All("leadwaveform")
	if len(all) > d.lim.Leads {
		return reject.New(reject.TooManyElements, op, "more than %d leads", d.lim.Leads)
	}
	if len(all) == 0 || d.lead.Get("compression") != "" {
		d.rec.Warn(ecg.WarnUnsupportedPart, "leadwaveforms")
		return nil
	}
	start := xmltext.Token{Attr: d.lead.Attr}
	g := &ecg.Group{Kind: ecg.Rhythm, Label: "leadwaveforms"}
	var err error
	if g.Rate, err = d.rate(where, first(d.lead.Get("samplespersecond"), d.signal.TextAt("samplingrate"))); err != nil {
		return err
	}
	scale, filters := d.scale(where, first(d.lead.Get("resolution"), d.signal.TextAt("resolution"))), d.filters(start)
	var names []string
	for _, w := range all {
		names = append(names, w.Get("leadname"))
	}
	counts := make([][]int32, len(all))
	for i, w := range all {
		raw, err := d.bytes(d.lead.Get("dataencoding"), w.Text)
		if err != nil {
			return reject.New(reject.Malformed, op, "%s lead %d: %w", where, i, err)
		}
		if d.samples += int64(len(raw) / 2); d.samples > d.lim.Samples {
			return reject.New(reject.TooLarge, op, "more than %d samples", d.lim.Samples)
		}
		counts[i], _ = padded(raw)
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: scale, Bits: 16, Filters: filters}
		d.label(&l, names, i, where)
		if ms, ok := d.number(where+" starttime", w.Get("starttime")); ok {
			at, fits := ms.Mul(g.Rate).Mul(ecg.Frac(1, 1000)).Round()
			if !fits || at < 0 || at > 4*d.lim.Samples {
				return reject.New(reject.Malformed, op, "%s has a lead that begins at %s ms", where, ms)
			}
			l.Start = at
		}
		if err := d.stated(g.Rate, w.Get("duration"), counts[i:i+1], where); err != nil {
			return err
		}
		g.Leads = append(g.Leads, l)
	}
	g.Memory(counts, nil)
	d.rec.Groups = append(d.rec.Groups, g)
	return nil
}
