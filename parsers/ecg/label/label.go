// Package label knows what devices call the fields of a report, in English and Chinese, and reads their values:
// for formats that write labels for people rather than names for programs (ELI's demographic fields, PDF) and for
// XML of makers who publish no schema. What a label does not clearly say is no field.
package label

import (
	"strings"
	"unicode"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Field is what a label is about.
type Field uint8

// Fields. None is a label that we do not know.
const (
	None Field = iota
	ID
	Name
	Family
	Given
	Sex
	Birth
	Age
	Height
	Weight
	Race
	Acquired
	Statement
	Department
	Bed
	Institution
	Physician
)

// fields are labels in lower case without white space and punctuation.
var fields = map[string]Field{
	"id": ID, "idid": ID, "patientid": ID, "patid": ID, "patientno": ID, "mrn": ID, "pid": ID, "患者id": ID, "病人id": ID, "患者编号": ID, "病人编号": ID, "登记号": ID,
	"病历号": ID, "病案号": ID, "门诊号": ID, "住院号": ID, "就诊号": ID, "门诊住院号": ID, "住院门诊号": ID, "身份证号": ID, "体检号": ID, "编号": ID, "病歷號": ID,
	"name": Name, "patientname": Name, "fullname": Name, "姓名": Name, "患者姓名": Name, "病人姓名": Name, "patname": Name,
	"last": Family, "lastname": Family, "surname": Family, "family": Family, "familyname": Family, "姓": Family,
	"first": Given, "firstname": Given, "given": Given, "givenname": Given, "fname": Given, "名": Given,
	"sex": Sex, "gender": Sex, "性别": Sex, "性別": Sex, "patientsex": Sex,
	"dob": Birth, "birthdate": Birth, "dateofbirth": Birth, "birthday": Birth, "born": Birth, "birth": Birth, "出生日期": Birth, "生日": Birth, "出生年月": Birth, "出生年月日": Birth,
	"age": Age, "ageyr": Age, "年龄": Age, "年齡": Age, "patientage": Age,
	"height": Height, "heightcm": Height, "身高": Height, "身高cm": Height, "weight": Weight, "weightkg": Weight, "体重": Weight, "体重kg": Weight,
	"race": Race, "ethnicity": Race, "民族": Race,
	"ecgdate": Acquired, "acquisitiontime": Acquired, "acquisitiondate": Acquired, "acquired": Acquired, "recordingdate": Acquired, "recordedon": Acquired,
	"examdate": Acquired, "examtime": Acquired, "testdate": Acquired, "datetime": Acquired, "检查时间": Acquired, "检查日期": Acquired, "采集时间": Acquired, "采集日期": Acquired,
	"记录时间": Acquired, "描记时间": Acquired, "描记日期": Acquired, "检测时间": Acquired,
	"diagnosis": Statement, "interpretation": Statement, "conclusion": Statement, "impression": Statement, "诊断": Statement, "诊断结论": Statement, "结论": Statement, "心电图诊断": Statement,
	"心电诊断": Statement, "诊断意见": Statement, "诊断提示": Statement, "分析结果": Statement, "检查结论": Statement, "自动分析": Statement,
	"department": Department, "科室": Department, "科别": Department, "病区": Department, "bed": Bed, "bedno": Bed, "床号": Bed, "room": Bed, "institution": Institution, "hospital": Institution,
	"医院": Institution, "医院名称": Institution, "referringphysician": Physician, "physician": Physician, "申请医生": Physician, "申请医师": Physician, "送检医生": Physician,
}

// longest is the number of letters of the longest label.
var longest = func() int {
	n := 0
	for key := range fields {
		n = max(n, len(key))
	}
	return n
}()

// Of returns what a label is about: "Patient ID:", "PATIENT_ID", "姓 名：".
func Of(label string) Field {
	if len(label) > 4*longest {
		return None
	}
	return fields[strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, label)]
}

// Set gives a patient the value of a field, unless it has one or the value says nothing. It reports whether the
// field is one of a patient's.
func Set(p *ecg.Patient, f Field, value string) bool {
	value = strings.Join(strings.Fields(value), " ")
	if strings.Trim(value, "-_./\\*? ") == "" {
		value = ""
	}
	set := func(have *string) {
		if *have == "" {
			*have = value
		}
	}
	switch f {
	case ID:
		set(&p.ID)
	case Name:
		set(&p.Name)
	case Family:
		if family, rest, _ := strings.Cut(p.Name, "^"); family == "" && value != "" {
			p.Name = strings.TrimRight(value+"^"+rest, "^")
		}
	case Given:
		if family, rest, _ := strings.Cut(p.Name, "^"); rest == "" && value != "" {
			p.Name = family + "^" + value
		}
	case Sex:
		if s := SexOf(value); p.Sex == "" {
			p.Sex = s
		}
	case Birth:
		set(&p.BirthRaw)
		if t := Date(value); p.BirthDate == "" && t.Valid() {
			p.BirthDate = t.Time.Format("2006-01-02")
		}
	case Age:
		if q, ok := AgeOf(value); ok && !p.Age.Known() {
			p.Age = q
		}
	case Height:
		if v, unit := split(value); p.HeightCM.IsZero() && (unit == "" || unit == "cm" || unit == "厘米") {
			p.HeightCM, _ = ecg.ParseRat(v)
		}
	case Weight:
		if v, unit := split(value); p.WeightKG.IsZero() && (unit == "" || unit == "kg" || unit == "公斤" || unit == "千克") {
			p.WeightKG, _ = ecg.ParseRat(v)
		}
	case Race:
		set(&p.Race)
	default:
		return false
	}
	return true
}

// SexOf reads a sex: M, F or "".
func SexOf(value string) string {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "m", "male", "男", "男性", "man":
		return "M"
	case "f", "female", "女", "女性", "woman":
		return "F"
	}
	return ""
}

// split parts a number from its unit, which it returns in lower case.
func split(value string) (number, unit string) {
	value = strings.TrimSpace(value)
	i := strings.IndexFunc(value, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != ',' })
	if i < 0 {
		return value, ""
	}
	return value[:i], strings.ToLower(strings.Trim(value[i:], " ."))
}

var ageUnits = map[string]string{
	"": "a", "y": "a", "yr": "a", "yrs": "a", "year": "a", "years": "a", "岁": "a", "歲": "a", "周岁": "a", "m": "mo", "mo": "mo", "month": "mo", "months": "mo",
	"月": "mo", "个月": "mo", "w": "wk", "wk": "wk", "weeks": "wk", "周": "wk", "d": "d", "day": "d", "days": "d", "天": "d", "日": "d", "h": "h", "hours": "h",
}

// AgeOf reads "54", "54 yr", "54岁", "3个月"; a bare number is years.
func AgeOf(value string) (ecg.Quantity, bool) {
	number, unit := split(value)
	v, err := ecg.ParseRat(number)
	u, known := ageUnits[unit]
	if err != nil || !known || v.Cmp(ecg.Int(150)) > 0 && u == "a" || v.Sign() < 0 {
		return ecg.Quantity{}, false
	}
	return ecg.Quantity{Value: v, Unit: u}, true
}
