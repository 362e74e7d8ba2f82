package ecg

import (
	"slices"
	"testing"
)

func TestCriticals(t *testing.T) {
	for text, want := range map[string][]string{
		"Inferior infarct, acute (LCx) | ST>0.10mV, II III aVF, STd V1-V3": {"acute-mi"},
		">>> Acute MI <<<":                                    {"acute-mi"},
		"** ** ACUTE MI / STEMI ** **":                        {"acute-mi", "device-alarm"},
		"ANTERIOR INFARCT, POSSIBLY ACUTE":                    {"acute-mi"},
		"Inferior infarct, old":                               nil,
		"Septal infarct, age undetermined":                    nil,
		"No acute infarct":                                    nil,
		"Acute MI ruled out: rule out criteria met":           nil,
		"VENTRICULAR TACHYCARDIA":                             {"ventricular-tachycardia"},
		"Supraventricular tachycardia":                        nil,
		"Ventricular fibrillation":                            {"ventricular-fibrillation"},
		"Atrial fibrillation with rapid ventricular response": nil,
		"Complete heart block":                                {"complete-av-block"},
		"Third degree AV block":                               {"complete-av-block"},
		"3rd-degree A-V block":                                {"complete-av-block"},
		"1st degree AV block":                                 nil,
		"Complete left bundle branch block":                   nil,
		"Asystole":                                            {"asystole"},
		"Sinus bradycardia | rate< 50":                        nil,
		"1.窦性心动过缓":                                            nil,
		"急性下壁心肌梗死":                                            {"acute-mi"},
		"陈旧性前壁心肌梗死":                                           nil,
		"未见急性心肌梗死":                                            nil,
		"无明显ST段改变，急性心肌梗死":                                     {"acute-mi"},
		"室性心动过速":                                              {"ventricular-tachycardia"},
		"阵发性室上性心动过速":                                          nil,
		"Ⅲ度房室传导阻滞":                                            {"complete-av-block"},
		"三度 房室传导阻滞":                                           {"complete-av-block"},
		"心电图危急值":                                              {"device-alarm"},
		"Infarctus aigu":                                      {"acute-mi"},
		"Akuter Infarkt":                                      {"acute-mi"},
		"":                                                    nil,
		"无急性心肌梗死病史。现急性心肌梗死":                                   {"acute-mi"},
		"No acute infarct in 2020, now an ACUTE MI":           {"acute-mi"},
	} {
		r := Recording{Statements: []Statement{{Text: text}}}
		var got []string
		for _, c := range r.Criticals() {
			got = append(got, c.Finding)
			if c.Statement != text {
				t.Errorf("%q: told with %q", text, c.Statement)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestCriticalsByCode(t *testing.T) {
	for _, code := range []string{"3avb", " 27885002 "} {
		r := Recording{Statements: []Statement{{Code: code}}}
		if got := r.Criticals(); len(got) != 1 || got[0].Finding != "complete-av-block" {
			t.Errorf("%q: %v", code, got)
		}
	}
}

// TestCriticalsOverRead: what a person confirmed counts instead of what the machine said.
func TestCriticalsOverRead(t *testing.T) {
	machine := Statement{Text: "Acute MI", Author: Machine}
	person := Statement{Text: "Early repolarization", Author: OverRead, Status: Confirmed}
	r := Recording{Statements: []Statement{machine, person}}
	if got := r.Criticals(); got != nil {
		t.Errorf("%v, though a person read over it", got)
	}
	r.Statements[1].Status = Unconfirmed
	if got := r.Criticals(); len(got) != 1 {
		t.Errorf("%v, want the machine's while nobody confirmed", got)
	}
}

func FuzzCriticals(f *testing.F) {
	f.Add("Acute MI", "3AVB")
	f.Add("无，急性", "")
	f.Fuzz(func(_ *testing.T, text, code string) {
		r := Recording{Statements: []Statement{{Text: text, Code: code}}}
		r.Criticals()
	})
}
