package dicomecg

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// private is the coding scheme of concepts that no public scheme has a code for (PS3.16 §8.2).
const private = "99TRIBUTARY"

// leadMeanings are the code meanings of CID 3001 where they are not "Lead " and the lead's name.
var leadMeanings = map[ecg.LeadID]string{
	19: "Chest lead per V5 and V5R placement", 20: "Chest-manubrium lead per V5 placement",
	21: "Left Arm Lead", 22: "Right Arm Lead", 23: "Left Leg Lead", 147: "Right Leg Lead",
	24: "Frank Lead I", 25: "Frank Lead E", 26: "Frank Lead C", 27: "Frank Lead A", 28: "Frank Lead M", 29: "Frank Lead F", 30: "Frank Lead H",
	31: "Derived Lead I", 32: "Derived Lead II", 33: "Derived Lead V1", 34: "Derived Lead V2", 35: "Derived Lead V3", 36: "Derived Lead V4",
	37: "Derived Lead V5", 38: "Derived Lead V6", 111: "Derived Lead III", 112: "Derived Lead aVR", 113: "Derived Lead aVL", 114: "Derived Lead aVF",
	62: "aVR, augmented voltage, right", 63: "aVL, augmented voltage, left", 64: "aVF, augmented voltage, foot", 65: "-aVR",
	70: "Lead D (Nehb - Dorsal)", 71: "Lead A (Nehb - Anterior)", 72: "Lead J (Nehb - Inferior)",
	73: "Defibrillator lead: anterior-lateral", 74: "External pacing lead: anterior-posterior",
	75: "Auxiliary unipolar lead 1", 76: "Auxiliary unipolar lead 2", 77: "Auxiliary unipolar lead 3", 78: "Auxiliary unipolar lead 4",
	86: "Chest lead", 87: "Precordial lead",
	88: "Lead VR, nonaugmented voltage, vector of RA", 89: "Lead VL, nonaugmented voltage, vector of LA", 90: "Lead VF, nonaugmented voltage, vector of LL",
	91: "Modified chest lead (left arm indifferent)", 92: "Modified chest lead per V1 placement", 93: "Modified chest lead per V2 placement",
	94: "Modified chest lead per V3 placement", 95: "Modified chest lead per V4 placement", 96: "Modified chest lead per V5 placement",
	97: "Modified chest lead per V6 placement", 98: "Chest lead (symmetric placement)", 99: "Chest lead per V1 and V1R placement",
	100: "Chest lead per V2 and V2R placement", 101: "Chest lead per V3 and V3R placement", 102: "Chest lead per V4 and V4R placement",
	103: "Chest lead per V6 and V6R placement", 104: "Chest lead per V7 and V8R placement", 105: "Chest-manubrium lead",
	106: "Chest-manubrium lead per V1 placement", 107: "Chest-manubrium lead per V2 placement", 108: "Chest-manubrium lead per V3 placement",
	109: "Chest-manubrium lead per V4 placement", 110: "Chest-manubrium lead per V6 placement", 121: "Chest-manubrium lead per V7 placement",
	123: "negative: right infraclavicular fossa", 124: "negative: low right scapula Lead", 126: "Modified limb lead",
	127: "Auxiliary bipolar lead 1", 128: "Auxiliary bipolar lead 2", 129: "Auxiliary bipolar lead 3", 130: "Auxiliary bipolar lead 4",
	131: "EASI Lead ES", 132: "EASI Lead AS", 133: "EASI Lead AI", 134: "EASI upper sternum lead",
}

// leadCode returns the Channel Source of a lead (CID 3001), and a private code for a channel that is no lead
// we know.
func leadCode(l *ecg.Lead) code {
	if id, ok := ecg.LeadByCode("MDC", l.Code); ok {
		meaning := leadMeanings[id]
		if meaning == "" {
			meaning = "Lead " + id.Name()
		}
		return code{id.MDCValue(), "MDC", meaning}
	}
	name := strings.TrimSpace(l.Name)
	if name == "" {
		name = "Unnamed channel"
	}
	return privateCode(name)
}

// privateCode names a concept that only the file has: by its name, or a hash of a name that is no code.
func privateCode(name string) code {
	value := name
	plain := len(value) <= 16
	for _, c := range []byte(value) {
		plain = plain && c > ' ' && c < 0x7F && c != '\\'
	}
	if !plain || value == "" {
		sum := sha256.Sum256([]byte(name))
		value = "N" + strings.ToUpper(hex.EncodeToString(sum[:6]))
	}
	return code{value, private, name}
}

// leadOrder puts the twelve leads where readers of ECGs look for them; others follow as they come.
var leadOrder = map[string]int{
	"I": 1, "II": 2, "III": 3, "aVR": 4, "aVL": 5, "aVF": 6, "V1": 7, "V2": 8, "V3": 9, "V4": 10, "V5": 11, "V6": 12,
}

// globalConcepts are CID 3228, 3229 and 3227 and the rates of TID 3713, with the words by which viewers
// know them.
var globalConcepts = map[ecg.MeasurementKind]code{
	ecg.VentricularRate: {"2:16016", "MDC", "Ventricular Heart Rate"},
	ecg.AtrialRate:      {"2:16020", "MDC", "Atrial Heart Rate"},
	ecg.RRInterval:      {"2:16168", "MDC", "RR Interval"},
	ecg.PPInterval:      {"2:16140", "MDC", "PP Interval"},
	ecg.PRInterval:      {"2:15872", "MDC", "PR Interval"},
	ecg.PDuration:       {"2:16184", "MDC", "P Duration"},
	ecg.QRSDuration:     {"2:16156", "MDC", "QRS Duration"},
	ecg.QTInterval:      {"2:16160", "MDC", "QT Interval"},
	ecg.QTcInterval:     {"2:15876", "MDC", "QTc Interval"},
	ecg.PAxis:           {"2:16128", "MDC", "P Axis"},
	ecg.QRSAxis:         {"2:16132", "MDC", "QRS Axis"},
	ecg.TAxis:           {"2:16136", "MDC", "T Axis"},
	ecg.QTDispersion:    {"QT-DISPERSION", private, "QT Dispersion"},
	ecg.QRSCount:        {"QRS-COUNT", private, "QRS Count"},
	ecg.POnset:          {"P-ONSET", private, "P Onset"},
	ecg.POffset:         {"P-OFFSET", private, "P Offset"},
	ecg.QRSOnset:        {"QRS-ONSET", private, "QRS Onset"},
	ecg.QRSOffset:       {"QRS-OFFSET", private, "QRS Offset"},
	ecg.TOnset:          {"T-ONSET", private, "T Onset"},
	ecg.TOffset:         {"T-OFFSET", private, "T Offset"},
}

// correctedQT are the formulas of a QTc (CID 3227, which has codes for two of them).
var correctedQT = map[string]code{
	ecg.Bazett:     {"2:15880", "MDC", "QTc Interval using Bazett formula"},
	ecg.Fridericia: {"2:15892", "MDC", "QTc Interval using Fridericia formula"},
	ecg.Framingham: {"QTC-FRAMINGHAM", private, "QTc Interval using Framingham formula"},
	ecg.Hodges:     {"QTC-HODGES", private, "QTc Interval using Hodges formula"},
}

// leadConcepts are CID 3687 and 3688.
var leadConcepts = map[ecg.MeasurementKind]code{
	ecg.RRInterval:    {"2:33024", "MDC", "RR time period, per lead"},
	ecg.PPInterval:    {"2:32768", "MDC", "PP time period, per lead"},
	ecg.PRInterval:    {"2:7168", "MDC", "PR interval per lead"},
	ecg.PDuration:     {"2:6656", "MDC", "P duration, per lead"},
	ecg.QRSDuration:   {"2:7936", "MDC", "QRS duration, per lead"},
	ecg.QTInterval:    {"2:8192", "MDC", "QT duration, per lead"},
	ecg.QTcInterval:   {"2:33792", "MDC", "QTc interval per lead"},
	ecg.PAmplitude:    {"2:1280", "MDC", "P maximum amplitude, per lead"},
	ecg.QAmplitude:    {"2:1792", "MDC", "Q amplitude, per lead"},
	ecg.RAmplitude:    {"2:2048", "MDC", "R amplitude, per lead"},
	ecg.SAmplitude:    {"2:2304", "MDC", "S amplitude, per lead"},
	ecg.TAmplitude:    {"2:2560", "MDC", "T maximum amplitude, per lead"},
	ecg.JAmplitude:    {"2:1024", "MDC", "J point Amplitude, per lead"},
	ecg.STAmplitude:   {"2:768", "MDC", "ST amplitude, per lead"},
	ecg.QDuration:     {"2:7680", "MDC", "Q duration, per lead"},
	ecg.RDuration:     {"2:11264", "MDC", "R1 duration, per lead"},
	ecg.SDuration:     {"2:12032", "MDC", "S1 duration, per lead"},
	ecg.IntrinsicTime: {"2:11008", "MDC", "Ventricular activation time, per lead"},
}

// concept returns the Concept Name of a measurement.
func concept(m ecg.Measurement) code {
	if m.Lead != "" {
		if c, ok := leadConcepts[m.Kind]; ok {
			return c
		}
	}
	if m.Kind == ecg.QTcInterval {
		if c, ok := correctedQT[m.Formula]; ok {
			return c
		}
	}
	if c, ok := globalConcepts[m.Kind]; ok {
		return c
	}
	name := m.Name
	if name == "" {
		name = string(m.Kind)
	}
	if strings.TrimSpace(name) == "" {
		name = "Measurement"
	}
	return privateCode(name)
}

// units are UCUM codes (CID 3082 and 82) with their meanings.
var units = map[string]string{
	"ms": "millisecond", "s": "second", "deg": "degree", "uV": "microvolt", "mV": "millivolt", "1": "no units", "mm[Hg]": "millimeter of mercury",
	"kPa": "kilopascal", "Cel": "degrees Celsius", "%": "percent", "Ohm": "ohm", "Hz": "hertz", "/min": "per minute",
}

// unitCode returns the code of a unit: the rate of a heart as DICOM writes it, UCUM, or as it stands.
func unitCode(unit string, kind ecg.MeasurementKind) code {
	if kind == ecg.VentricularRate || kind == ecg.AtrialRate {
		return code{"{H.B.}/min", "UCUM", "Heart beat per minute"}
	}
	if unit == "" {
		unit = "1"
	}
	if meaning, ok := units[unit]; ok {
		return code{unit, "UCUM", meaning}
	}
	return privateCode(unit)
}
