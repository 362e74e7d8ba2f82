package ecg

import (
	"strings"
	"unicode"
)

// Critical is a finding that cannot wait: somebody must look at the recording now.
type Critical struct {
	Finding   string // row of the table: "acute-mi", "ventricular-fibrillation", …
	Statement string // the statement that says so, as stored
}

// finding is a row of the table (docs/ecg-critical.md). A statement says it by one of the codes, or by a
// phrase whose words all stand in it, in this order, with nothing of unless around them.
type finding struct {
	name    string
	codes   []string // in upper case
	phrases []string // words of Latin script, split by spaces; "|" parts words of which one does
	hanzi   []string // as they stand in the text
	unless  []string // words that turn the meaning of these phrases
}

// findings is the table. Codes: SCP-ECG statement acronyms (EN 1064), SNOMED CT.
var findings = []finding{
	{
		name:  "acute-mi",
		codes: []string{"57054005", "401303003", "401314000", "54329005", "73795002"},
		phrases: []string{
			"acute mi|infarct|infarction|stemi", "acute myocardial infarct|infarction", "stemi", "infarct|infarction acute",
			"infarct|infarction possibly|probably acute", "acute myocardial|subepicardial|transmural injury", "acute injury|ischemia|ischaemia st",
			"acute coronary occlusion", "infarto|infarctus|infarkt|infarto miocardico acuto|aigu|akut|akuter|agudo", "akuter infarkt|myokardinfarkt",
			"infarto agudo", "infarto acuto", "infarctus aigu",
		},
		hanzi:  []string{"急性心肌梗死", "急性心肌梗塞", "急性心梗", "心肌梗死急性期", "心肌梗塞急性期", "急性前壁", "急性下壁", "急性侧壁", "急性后壁", "急性前间壁", "急性广泛前壁", "急性ST段抬高", "ST段抬高型心肌梗死", "ST段抬高性心肌梗死", "超急性期"},
		unless: []string{"old", "rule", "exclude"},
	},
	{
		name:    "ventricular-fibrillation",
		codes:   []string{"71908006"},
		phrases: []string{"ventricular fibrillation|flutter|fib", "v fib", "vfib", "kammerflimmern|kammerflattern", "fibrillation ventriculaire", "fibrillazione ventricolare", "fibrilacion|fibrilación ventricular"},
		hanzi:   []string{"心室颤动", "室颤", "心室扑动", "室扑", "心室扑动颤动"},
	},
	{
		name:    "ventricular-tachycardia",
		codes:   []string{"25569003", "444658006"},
		phrases: []string{"ventricular tachycardia|tach|tachy", "v tach", "vtach", "wide qrs tachycardia", "torsades|torsade", "tachycardie ventriculaire", "tachicardia ventricolare", "taquicardia ventricular", "kammertachykardie"},
		hanzi:   []string{"室性心动过速", "室速", "尖端扭转", "宽QRS波心动过速", "宽QRS心动过速"},
		unless:  []string{"supraventricular"},
	},
	{
		name:    "complete-av-block",
		codes:   []string{"27885002", "3AVB"},
		phrases: []string{"complete av|atrioventricular|heart block", "3rd|third degree av|atrioventricular|heart block", "complete a v block", "3rd|third degree a v block", "av block complete|iii", "bav iii|complet|completo", "av block grad|grade iii|3", "totaler av block"},
		hanzi:   []string{"三度房室传导阻滞", "Ⅲ度房室传导阻滞", "III度房室传导阻滞", "3度房室传导阻滞", "完全性房室传导阻滞", "Ⅲ°房室传导阻滞", "III°房室传导阻滞", "三度房室阻滞", "高度房室传导阻滞"},
		unless:  []string{"bundle"},
	},
	{
		name:    "asystole",
		codes:   []string{"397829000"},
		phrases: []string{"asystole|asystolie|asistolia", "ventricular standstill", "sinus arrest", "cardiac arrest"},
		hanzi:   []string{"心脏停搏", "心室停搏", "全心停搏", "窦性停搏", "心跳停止", "心搏骤停"},
	},
	{
		name:    "device-alarm",
		phrases: []string{"critical|panic test|value|result|alert", "critical ecg", "acute mi stemi", "call physician immediately"},
		hanzi:   []string{"危急值", "危急心电图"},
	},
}

// negations in front of a phrase, or anywhere in a Chinese statement before it, say that it is not so.
var (
	negations = []string{"no", "not", "without", "negative", "absence", "ohne", "kein", "keine", "sans", "senza", "sin"}
	notHanzi  = []string{"无", "未见", "除外", "排除", "陈旧", "既往", "病史", "非"}
)

// Criticals returns what the recording's own statements call critical, in the order of the statements, each
// finding once. A machine's reading counts until a person has read over it: then the person's alone does.
// It judges no samples.
func (r *Recording) Criticals() []Critical {
	overRead := false
	for _, s := range r.Statements {
		overRead = overRead || s.Author == OverRead && s.Status == Confirmed
	}
	var out []Critical
	seen := map[string]bool{}
	for _, s := range r.Statements {
		if overRead && s.Author != OverRead {
			continue
		}
		for i := range findings {
			f := &findings[i]
			if !seen[f.name] && f.saidBy(s) {
				seen[f.name] = true
				out = append(out, Critical{Finding: f.name, Statement: s.Text})
			}
		}
	}
	return out
}

func (f *finding) saidBy(s Statement) bool {
	code := strings.ToUpper(strings.TrimSpace(s.Code))
	for _, c := range f.codes {
		if code == c {
			return true
		}
	}
	// Reasons stand behind the bar: "Inferior infarct, acute | ST>0.10mV".
	text, _, _ := strings.Cut(s.Text, " | ")
	if f.hanziIn(text) {
		return true
	}
	words := wordsOf(text)
	for _, w := range words {
		for _, u := range f.unless {
			if w == u {
				return false
			}
		}
	}
	for _, p := range f.phrases {
		phrase := strings.Fields(p)
		for at := phraseAt(words, phrase, 0); at >= 0; at = phraseAt(words, phrase, at+1) {
			if !negated(words[:at]) {
				return true
			}
		}
	}
	return false
}

func (f *finding) hanziIn(text string) bool {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	for _, h := range f.hanzi {
		for from := 0; ; {
			at := strings.Index(text[from:], h)
			if at < 0 {
				break
			}
			if at += from; !denied(text[:at]) {
				return true
			}
			from = at + len(h)
		}
	}
	return false
}

// denied reports whether the clause that a phrase ends says that it is not so: "无ST段改变，急性心肌梗死" denies
// the first only.
func denied(before string) bool {
	if cut := strings.LastIndexAny(before, "，。；、,;."); cut >= 0 {
		before = before[cut:]
	}
	for _, n := range notHanzi {
		if strings.Contains(before, n) {
			return true
		}
	}
	return false
}

// wordsOf splits a text into words of letters and digits, in lower case.
func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// phraseAt finds a phrase behind a word: its words in order, with at most two others between two of them. -1: not there.
func phraseAt(words, phrase []string, from int) int {
	const between = 2
	for start := from; start < len(words); start++ {
		if !oneOf(words[start], phrase[0]) {
			continue
		}
		at, found := start, true
		for _, p := range phrase[1:] {
			next := -1
			for j := at + 1; j < len(words) && j <= at+1+between; j++ {
				if oneOf(words[j], p) {
					next = j
					break
				}
			}
			if next < 0 {
				found = false
				break
			}
			at = next
		}
		if found {
			return start
		}
	}
	return -1
}

func oneOf(word, choices string) bool {
	for c := range strings.SplitSeq(choices, "|") {
		if word == c {
			return true
		}
	}
	return false
}

// negated reports whether one of the three words in front denies what follows.
func negated(before []string) bool {
	for _, w := range before[max(0, len(before)-3):] {
		for _, n := range negations {
			if w == n {
				return true
			}
		}
	}
	return false
}
