package part10

// vr is a Value Representation (PS3.5 §6.2) as a small number; vrNone is a code that is not in the table.
type vr uint8

const (
	vrNone vr = iota
	vrAE
	vrAS
	vrAT
	vrCS
	vrDA
	vrDS
	vrDT
	vrFD
	vrFL
	vrIS
	vrLO
	vrLT
	vrOB
	vrOD
	vrOF
	vrOL
	vrOV
	vrOW
	vrPN
	vrSH
	vrSL
	vrSQ
	vrSS
	vrST
	vrSV
	vrTM
	vrUC
	vrUI
	vrUL
	vrUN
	vrUR
	vrUS
	vrUT
	vrUV
	vrUSorSS // dictionary only: decided by Pixel Representation (0028,0103)
)

// form says how a value is written in DICOM JSON.
type form uint8

const (
	formBytes  form = iota // InlineBinary
	formString             // text, split on backslash, both ends trimmed
	formText               // one text, trailing spaces trimmed
	formUID
	formPerson
	formDecimal // DS, IS
	formNumber  // binary numbers
	formTag     // AT
	formItems   // SQ
)

type vrInfo struct {
	name string
	long bool // explicit encoding has two reserved bytes and a 32-bit length (PS3.5 §7.1.2)
	form form
	unit int // bytes of one number; of one word to swap in big endian for formBytes
}

var vrs = [...]vrInfo{
	vrNone: {"UN", true, formBytes, 1},
	vrAE:   {"AE", false, formString, 0}, vrAS: {"AS", false, formString, 0}, vrAT: {"AT", false, formTag, 4},
	vrCS: {"CS", false, formString, 0}, vrDA: {"DA", false, formString, 0}, vrDS: {"DS", false, formDecimal, 0},
	vrDT: {"DT", false, formString, 0}, vrFD: {"FD", false, formNumber, 8}, vrFL: {"FL", false, formNumber, 4},
	vrIS: {"IS", false, formDecimal, 0}, vrLO: {"LO", false, formString, 0}, vrLT: {"LT", false, formText, 0},
	vrOB: {"OB", true, formBytes, 1}, vrOD: {"OD", true, formBytes, 8}, vrOF: {"OF", true, formBytes, 4},
	vrOL: {"OL", true, formBytes, 4}, vrOV: {"OV", true, formBytes, 8}, vrOW: {"OW", true, formBytes, 2},
	vrPN: {"PN", false, formPerson, 0}, vrSH: {"SH", false, formString, 0}, vrSL: {"SL", false, formNumber, 4},
	vrSQ: {"SQ", true, formItems, 0}, vrSS: {"SS", false, formNumber, 2}, vrST: {"ST", false, formText, 0},
	vrSV: {"SV", true, formNumber, 8}, vrTM: {"TM", false, formString, 0}, vrUC: {"UC", true, formString, 0},
	vrUI: {"UI", false, formUID, 0}, vrUL: {"UL", false, formNumber, 4}, vrUN: {"UN", true, formBytes, 1},
	vrUR: {"UR", true, formText, 0}, vrUS: {"US", false, formNumber, 2}, vrUT: {"UT", true, formText, 0},
	vrUV: {"UV", true, formNumber, 8}, vrUSorSS: {"US", false, formNumber, 2},
}

// byLetters finds a vr by its two letters, A = 0.
var byLetters = func() (t [26 * 26]vr) {
	for v := vrAE; v < vrUSorSS; v++ {
		n := vrs[v].name
		t[int(n[0]-'A')*26+int(n[1]-'A')] = v
	}
	return t
}()

// parseVR returns the vr that two bytes spell and whether they are upper case letters at all.
func parseVR(a, b byte) (v vr, letters bool) {
	a, b = a-'A', b-'A'
	if a >= 26 || b >= 26 {
		return vrNone, false
	}
	return byLetters[int(a)*26+int(b)], true
}

// dictVR turns the dictionary's answer, which may name alternatives such as "US or SS" or "OB/OW", into
// the vr by which an implicit value is read (PS3.5 §A.1).
func dictVR(s string) vr {
	if len(s) < 2 {
		return vrUN
	}
	if len(s) == 2 {
		v, _ := parseVR(s[0], s[1])
		if v == vrNone {
			return vrUN
		}
		return v
	}
	var has [vrUSorSS + 1]bool
	for i := 0; i+1 < len(s); i++ {
		if v, ok := parseVR(s[i], s[i+1]); ok && v != vrNone {
			has[v] = true
			i++
		}
	}
	switch {
	case has[vrOW]: // implicit data are never OB (PS3.5 §A.1)
		return vrOW
	case has[vrUS] && has[vrSS]:
		return vrUSorSS
	}
	return vrUN
}
