package label

import (
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]Field{
		"Patient ID:": ID, "PATIENT_ID": ID, "ID&ID:": ID, "姓 名：": Name, "FName:&,": Given, "病历号": ID, "门诊/住院号：": ID, "DOB": Birth, "检查时间:": Acquired,
		"诊断": Statement, "Interpretation:": Statement, "": None, "ventricular": None, "id of nobody": None, strings.Repeat("id", 1000): None,
	} {
		if got := Of(text); got != want {
			t.Errorf("%.20q: %d, want %d", text, got, want)
		}
	}
}

func TestDate(t *testing.T) {
	for text, want := range map[string]string{
		"2024-02-29": "2024-02-29", "20240229": "2024-02-29", "2024/2/9 8:05": "2024-02-09T08:05:00", "2024年2月9日": "2024-02-09", "2024年12月19日 8时05分06秒": "2024-12-19T08:05:06",
		"25 Jan 2013 09:54": "2013-01-25T09:54:00", "January 25, 2013": "2013-01-25", "23/01/1971": "1971-01-23", "01/23/1971": "1971-01-23", "03/04/2020": "", "31-31-2020": "",
		"0/0/0": "", "yesterday": "", "": "", "2024": "", "1.2.3.4.5.6.7.8": "", "04/04/2020": "2020-04-04",
	} {
		if got := Date(text); got.String() != want || got.Raw != strings.TrimSpace(text) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := DateMonthFirst("03/04/2020 10:11:12"); got.String() != "2020-03-04T10:11:12" {
		t.Error(got)
	}
}

func TestSet(t *testing.T) {
	var p ecg.Patient
	for _, s := range []struct {
		f     Field
		value string
	}{
		{ID, " --- "}, {ID, "MZ 001"}, {ID, "second"}, {Given, "小明"}, {Family, "黎"}, {Sex, "男"}, {Sex, "F"}, {Birth, "1970年1月2日"}, {Age, "54岁"}, {Height, "170 cm"}, {Weight, "80,5"}, {Weight, "5 stone"}, {Race, "汉"},
	} {
		if !Set(&p, s.f, s.value) {
			t.Error(s.f)
		}
	}
	if p.ID != "MZ 001" || p.Name != "黎^小明" || p.Sex != "M" || p.BirthDate != "1970-01-02" || p.Age.Value.String() != "54" || p.HeightCM.String() != "170" || p.WeightKG.String() != "80.5" || p.Race != "汉" {
		t.Errorf("%+v", p)
	}
	if Set(&p, Statement, "x") || Set(&p, None, "x") {
		t.Error("no field of a patient's")
	}
	for value, want := range map[string]string{"3个月": "mo", "54 yr.": "a", "12": "a", "5 d": "d", "x": "", "400": "", "7 furlongs": "", "-4": ""} {
		if q, ok := AgeOf(value); q.Unit != want || ok != (want != "") {
			t.Errorf("%s: %+v", value, q)
		}
	}
}

func FuzzDate(f *testing.F) {
	f.Add("25 Jan 2013 09:54")
	f.Fuzz(func(t *testing.T, in string) {
		if got := DateMonthFirst(in); got.Valid() && (got.Time.Year() < 1800 || got.Time.Year() > 2300) {
			t.Fatal(got)
		}
		var p ecg.Patient
		Set(&p, Of(in), in)
	})
}
