package ecg

import (
	"strconv"
	"strings"
)

// LeadID is a lead in the numbering that SCP-ECG (EN 1064, section 3), MFER, MDC (ISO/IEEE 11073-10102) and
// CID 3001 of DICOM share: MDC "2:n", SCPECG "5.6.3-9-n". 0 is no lead.
type LeadID uint8

// leadNames are canonical names by LeadID: as CID 3001 has them, except calibrated leads (31 to 60), which
// are derived ones since EN 1064:2005.
var leadNames = [...]string{
	1: "I", 2: "II", 3: "V1", 4: "V2", 5: "V3", 6: "V4", 7: "V5", 8: "V6", 9: "V7",
	10: "V2R", 11: "V3R", 12: "V4R", 13: "V5R", 14: "V6R", 15: "V7R",
	16: "X", 17: "Y", 18: "Z", 19: "CC5", 20: "CM5", 21: "LA", 22: "RA", 23: "LL",
	24: "fI", 25: "fE", 26: "fC", 27: "fA", 28: "fM", 29: "fF", 30: "fH",
	31: "dI", 32: "dII", 33: "dV1", 34: "dV2", 35: "dV3", 36: "dV4", 37: "dV5", 38: "dV6", 39: "dV7",
	40: "dV2R", 41: "dV3R", 42: "dV4R", 43: "dV5R", 44: "dV6R", 45: "dV7R", 46: "dX", 47: "dY", 48: "dZ",
	61: "III", 62: "aVR", 63: "aVL", 64: "aVF", 65: "-aVR", 66: "V8", 67: "V9", 68: "V8R", 69: "V9R",
	70: "D", 71: "A", 72: "J", 73: "Defib", 74: "Extern", 75: "A1", 76: "A2", 77: "A3", 78: "A4",
	86: "C", 87: "V", 88: "VR", 89: "VL", 90: "VF",
	91: "MCL", 92: "MCL1", 93: "MCL2", 94: "MCL3", 95: "MCL4", 96: "MCL5", 97: "MCL6",
	98: "CC", 99: "CC1", 100: "CC2", 101: "CC3", 102: "CC4", 103: "CC6", 104: "CC7",
	105: "CM", 106: "CM1", 107: "CM2", 108: "CM3", 109: "CM4", 110: "CM6",
	111: "dIII", 112: "daVR", 113: "daVL", 114: "daVF",
	121: "CM7", 122: "CH5", 123: "CS5", 124: "CB5", 125: "CR5", 126: "ML",
	127: "AB1", 128: "AB2", 129: "AB3", 130: "AB4", 131: "ES", 132: "AS", 133: "AI", 134: "S",
	147: "RL",
}

// leadIDs finds a LeadID by its name in lower case.
var leadIDs = func() map[string]LeadID {
	m := make(map[string]LeadID, len(leadNames)+32)
	for id, name := range leadNames {
		if name != "" {
			m[strings.ToLower(name)] = LeadID(id)
		}
	}
	// What devices write for the same leads.
	for alias, name := range map[string]string{
		"vx": "x", "vy": "y", "vz": "z", "mlii": "ii", "mli": "i", "mliii": "iii", "avrneg": "-avr", "cavr": "-avr",
		"v1r": "v2", "v2r": "v2r", "c1": "v1", "c2": "v2", "c3": "v3", "c4": "v4", "c5": "v5", "c6": "v6",
		"c3r": "v3r", "c4r": "v4r", "c5r": "v5r", "c6r": "v6r", "c7": "v7", "c8": "v8", "c9": "v9",
		"rv3": "v3r", "rv4": "v4r", "rv5": "v5r", "rv6": "v6r", "chest": "c", "nehbd": "d", "nehba": "a", "nehbj": "j",
	} {
		if id, ok := m[name]; ok {
			m[alias] = id
		}
	}
	return m
}()

// ambiguous are labels that other signals have too: C3 and A1 are electrodes of an EEG, V and S may be anything.
// They name a lead only behind "ECG", "Lead" or the like.
var ambiguous = map[string]bool{
	"c": true, "v": true, "d": true, "a": true, "j": true, "s": true, "rl": true, "la": true, "ra": true, "ll": true,
	"a1": true, "a2": true, "a3": true, "a4": true, "as": true, "ai": true, "cm": true, "cc": true,
	"c1": true, "c2": true, "c3": true, "c4": true, "c5": true, "c6": true, "c7": true, "c8": true, "c9": true,
	"c3r": true, "c4r": true, "c5r": true, "c6r": true, "fe": true, "fc": true, "fa": true, "fm": true, "ff": true, "fh": true, "fi": true,
	"defib": true, "extern": true, "chest": true,
}

// modifiedLimb are labels of limb leads from electrodes on the trunk.
var modifiedLimb = map[string]bool{"mli": true, "mlii": true, "mliii": true}

// Name returns the canonical name, "" for no lead.
func (id LeadID) Name() string {
	if int(id) < len(leadNames) {
		return leadNames[id]
	}
	return ""
}

// MDC returns the code of ISO/IEEE 11073-10102 as a name, "MDC_ECG_LEAD_II".
func (id LeadID) MDC() string {
	switch name := id.Name(); {
	case name == "":
		return ""
	case id == 65:
		return "MDC_ECG_LEAD_aVRneg"
	default:
		return "MDC_ECG_LEAD_" + name
	}
}

// MDCValue returns the code value that DICOM writes with scheme MDC, "2:2".
func (id LeadID) MDCValue() string { return "2:" + strconv.Itoa(int(id)) }

// LeadByName returns the lead of a name or label: "aVR", "AVR", "Lead I (Einthoven)", "ECG II", "EKG V1",
// "MDC_ECG_LEAD_AVR". Labels that other signals have too ("C3", "A1" of an EEG) need such a word in front of
// them; formats that have nothing but ECG leads put "lead " there. modified tells limb leads from electrodes on the trunk ("MLII", Mason-Likar).
func LeadByName(label string) (id LeadID, modified, ok bool) {
	key := strings.ToLower(strings.Trim(label, " \x00\t\r\n"))
	if len(key) > 64 {
		return 0, false, false
	}
	sure := false // it says that it is a lead
	cut := func(prefix string) {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			key, sure = rest, true
		}
	}
	for _, prefix := range []string{"mdc_ecg_lead_", "nom_ecg_lead_", "mdc_ecg_elec_potl_", "nom_ecg_elec_potl_"} {
		cut(prefix)
	}
	if i := strings.IndexByte(key, '('); i > 0 {
		key = key[:i]
	}
	key = strings.TrimSpace(key)
	for _, prefix := range []string{"ecg", "ekg", "lead", "ableitung"} {
		cut(prefix)
		if sure {
			if key = strings.TrimLeft(key, " _:"); key != "-avr" { // "ECG-II", "Lead -aVR"
				key = strings.TrimLeft(key, "- ")
			}
		}
	}
	if rest, ok := strings.CutSuffix(key, "导联"); ok {
		key, sure = rest, true
	}
	key = strings.TrimSpace(strings.TrimSuffix(key, "-ref"))
	if ambiguous[key] && !sure {
		return 0, false, false
	}
	id, ok = leadIDs[key]
	return id, modifiedLimb[key], ok
}

// LeadByCode returns the lead of a coded entry: scheme MDC with "2:2", "2-2", "131074", "131330" or
// "MDC_ECG_LEAD_II"; scheme SCPECG with "5.6.3-9-2"; scheme scp or mfer with "2". Schemes that carry it in
// another spelling ("mdc", an OID) may be given as MDC.
func LeadByCode(scheme, value string) (LeadID, bool) {
	value = strings.Trim(value, " \x00\t\r\n")
	number := value
	switch {
	case strings.HasPrefix(value, "5.6.3-9-"):
		number = value[len("5.6.3-9-"):]
	case strings.EqualFold(scheme, "MDC") && strings.HasPrefix(value, "2:"), strings.EqualFold(scheme, "MDC") && strings.HasPrefix(value, "2-"):
		number = value[2:]
	case strings.EqualFold(scheme, "scp"), strings.EqualFold(scheme, "mfer"):
	case strings.EqualFold(scheme, "MDC"):
		// 11073-10101 numbers a term partition·2^16 + code: leads from 131072, and the potentials
		// measured on them from 131328.
		if n, err := strconv.Atoi(value); err == nil {
			if n >= 131328 && n < 131328+256 {
				n -= 256
			}
			number = strconv.Itoa(n - 131072)
			break
		}
		id, _, ok := LeadByName(value)
		return id, ok && strings.Contains(strings.ToUpper(value), "ECG_")
	default:
		return 0, false
	}
	n, err := strconv.Atoi(number)
	if err != nil || n <= 0 || n > 255 {
		return 0, false
	}
	// The potentials have codes 256 above the leads: "2:257" is 131329.
	return LeadID(n), LeadID(n).Name() != ""
}

// Set gives the lead a canonical name and MDC code.
func (l *Lead) Set(id LeadID) { l.Name, l.Code = id.Name(), id.MDC() }

// SetLabel gives the lead the name that its label means, and reports whether we know it; what we do not know
// keeps its label as name. Trunk electrodes are noted in Placement.
func (l *Lead) SetLabel(label string) bool {
	l.Label = label
	id, modified, ok := LeadByName(label)
	if !ok {
		l.Name = strings.TrimSpace(label)
		return false
	}
	l.Set(id)
	if modified {
		l.Placement = "Mason-Likar"
	}
	return true
}
