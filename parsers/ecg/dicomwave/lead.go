package dicomwave

import (
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// units are UCUM codes by what devices write (CID 3082); voltages are handled apart.
var units = map[string]string{"mmhg": "mm[Hg]", "mm[hg]": "mm[Hg]", "kpa": "kPa", "cel": "Cel", "%": "%", "ohm": "Ohm", "l/min": "L/min"}

// readLead reads the definition of channel n; def is empty for a channel without.
func readLead(def dataset, layout layout, rate ecg.Rat, n int, warn func(ecg.WarningCode)) ecg.Lead {
	l := ecg.Lead{Bits: int(def.count("003A021A"))}
	if l.Bits <= 0 || l.Bits > 8*layout.bytes {
		l.Bits = 8 * layout.bytes
	}
	source := def.code("003A0208")
	label := source.meaning
	if label == "" {
		label = def.text("003A0203")
	}
	l.NativeCode, l.NativeScheme = source.value, source.scheme
	if id, ok := ecg.LeadByCode(source.scheme, source.value); ok {
		l.SetLabel(label)
		l.Set(id)
	} else if !l.SetLabel(label) {
		if l.Name == "" {
			l.Name = "channel " + strconv.Itoa(n+1)
		}
		warn(ecg.WarnLeadUnknown)
	}
	for _, m := range def.items("003A0209", 8) {
		if meaning := m.text("00080104"); meaning != "" && l.Placement == "" {
			l.Placement = meaning
		}
	}
	readScale(&l, def, warn)
	if layout.offset != 0 {
		l.Baseline = l.Baseline.Add(l.Scale.Mul(ecg.Int(layout.offset)))
	}
	if skew, ok := def.number("003A0214"); ok {
		l.Skew = skew.Mul(ecg.Int(1000)) // seconds
	} else if skew, ok := def.number("003A0215"); ok {
		l.Skew, _ = skew.Mul(ecg.Int(1000)).Quo(rate) // samples
	}
	l.Filters.HighPassHz, _ = def.number("003A0220")
	l.Filters.LowPassHz, _ = def.number("003A0221")
	if notch, ok := def.number("003A0222"); ok {
		l.Filters.NotchHz, l.Filters.NotchOff = notch, notch.IsZero()
	}
	l.Quality = strings.Join(def.strings("003A0205"), " ")
	if l.Quality == "OK" {
		l.Quality = ""
	}
	l.Derived = strings.Contains(strings.ToLower(l.Placement), "derived") || strings.HasPrefix(l.Code, "MDC_ECG_LEAD_d")
	if l.Derived {
		l.DerivedBy = "device"
	}
	return l
}

// readScale reads Channel Sensitivity (003A,0210), its units, correction factor and baseline.
func readScale(l *ecg.Lead, def dataset, warn func(ecg.WarningCode)) {
	unit := def.code("003A0211")
	sensitivity, ok := def.number("003A0210")
	if !ok || sensitivity.IsZero() {
		// The samples are what they are; no value of theirs is known.
		warn(ecg.WarnScaleAbsent)
		l.Scale = ecg.Int(1)
		return
	}
	if factor, ok := def.number("003A0212"); ok && !factor.IsZero() {
		sensitivity = sensitivity.Mul(factor)
	}
	baseline, _ := def.number("003A0213")
	l.Unit, l.Scale, l.Baseline = unit.value, sensitivity, baseline
	factor, voltage := ecg.VoltageScale(unit.value)
	if !voltage {
		factor, voltage = ecg.VoltageScale(unit.meaning)
	}
	switch known, ok := units[strings.ToLower(unit.value)]; {
	case voltage:
		l.Unit, l.Scale, l.Baseline = ecg.Microvolt, sensitivity.Mul(factor), baseline.Mul(factor)
	case ok:
		l.Unit = known
	default:
		warn(ecg.WarnUnitUnknown)
	}
}
