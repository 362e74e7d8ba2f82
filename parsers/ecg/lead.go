package ecg

// Microvolt is the unit of every voltage: decoders convert mV, nV and V.
const Microvolt = "uV"

// Lead is one channel of a group. A sample's value is count·Scale + Baseline, in Unit.
type Lead struct {
	Name  string // canonical: I II III aVR aVL aVF V1–V9 V3R … X Y Z; the label for what is none
	Code  string // MDC code of CID 3001, "MDC_ECG_LEAD_II"; "" for what has none
	Label string // as the file calls it: "Lead I (Einthoven)"

	// NativeCode is the code as stored, in NativeScheme ("MDC", "SCPECG", "scp", "mfer", "ishne"). Both
	// are empty where the file has a label only.
	NativeCode, NativeScheme string

	Unit     string // Microvolt, or a UCUM unit for what is no voltage ("mm[Hg]"), or "" when not stated
	Scale    Rat    // Unit per count, exact
	Baseline Rat    // Unit
	Bits     int    // of the stored sample; 0 when it has none (text)

	Start  int64 // first sample on the group's time line
	Length int64 // samples
	Skew   Rat   // ms that this lead is sampled later than its place on the time line

	Filters   Filters
	Placement string // electrodes other than standard: "Mason-Likar", "EASI"
	Quality   string // as stored

	// Derived says that the samples were computed from other leads, by us or by the device. DerivedBy
	// says by whom and from what: "tributary: II-I", "device".
	Derived   bool
	DerivedBy string
}

// Voltage reports whether the lead is in µV.
func (l *Lead) Voltage() bool { return l.Unit == Microvolt }

// Value returns a count's value, exactly.
func (l *Lead) Value(count int32) Rat { return Int(int64(count)).Mul(l.Scale).Add(l.Baseline) }

// Filters are those that acted on the stored samples. A zero frequency is unknown, unless Off says that the
// filter was off.
type Filters struct {
	HighPassHz Rat // lower edge of the band
	LowPassHz  Rat // upper edge
	NotchHz    Rat
	NotchOff   bool   // stated: no notch filter
	Text       string // as stored, where it says more
}

// VoltageScale returns the factor from a unit of voltage to µV. Case is forgiven except between mV and MV;
// "µ" may be either of its two code points, or lost in another character set.
func VoltageScale(unit string) (Rat, bool) {
	switch unit {
	case "uV", "µV", "μV", "uv", "UV", "\xb5V", "microvolt", "MICROVOLTS", "microvolts", "MICROVOLT":
		return Int(1), true
	case "mV", "mv", "MILLIVOLTS", "millivolts", "millivolt", "MILLIVOLT":
		return Int(1000), true
	case "nV", "nv", "NANOVOLTS", "nanovolts":
		return Frac(1, 1000), true
	case "V", "v", "volt":
		return Int(1_000_000), true
	}
	return Rat{}, false
}
