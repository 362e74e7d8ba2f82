package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

// listed is whether a study is in the list on the page.
func listed(uid string) string { return `document.querySelector('tr[data-study="` + uid + `"]')` }

func TestSearchPage(t *testing.T) {
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		tab := page(t, "/?"+query, v)
		tab.Axe()
		tab.Screenshot("search-" + query[5:])
		tab.Go(theWorld(t).node.URL + "/?q=nobody-7&days=7&modality=US")
		tab.Axe()
		tab.Screenshot("search-none-" + query[5:])
		tab.Go(theWorld(t).node.URL + "/?from=yesterday")
		tab.Axe()
		tab.Allow("400")
	})
}

// TestSearchFinds: the patient is found as people type names, also one whose file has hanzi alone.
func TestSearchFinds(t *testing.T) {
	w := theWorld(t)
	tab := page(t, "/", testbrowser.Desktop)
	for _, text := range []string{"张晓东", "晓东", "zhangxiaodong", "zhang xiao dong", "ZHANG Xiaodong", "K-20417", "20417", w.loops.AccessionNumber, w.loops.StudyInstanceUID} {
		tab.Go(w.node.URL + "/?q=" + url.QueryEscape(text))
		if !testbrowser.Eval[bool](tab, "Boolean("+listed(w.loops.StudyInstanceUID)+")") {
			t.Errorf("%s does not find the study", text)
		}
		if testbrowser.Eval[bool](tab, "Boolean("+listed(w.fontHeart.StudyInstanceUID)+")") {
			t.Errorf("%s finds another patient's study", text)
		}
	}
	contains(t, tab.Text(`tr[data-study="`+w.loops.StudyInstanceUID+`"]`), "张晓东", "K-20417", w.hanzi.Issuer, time.Now().Format("2006-01-02"))
}

// TestSearchForm: typed text, a range of days and a modality stay together from one search to the next.
func TestSearchForm(t *testing.T) {
	w := theWorld(t)
	tab := page(t, "/", testbrowser.Desktop)
	tab.Type("#q", "欧阳")
	tab.Key(kb.Enter)
	tab.Wait(`location.search.includes("q=")`)
	tab.Wait(listed(w.fontHeart.StudyInstanceUID))
	tab.Click(`button[name="days"][value="1"]`)
	tab.Wait(`location.search.includes("days=1") && document.querySelector(".empty")`)
	if got := testbrowser.Eval[string](tab, `document.querySelector("#q").value`); got != "欧阳" {
		t.Errorf("the box has %q", got)
	}
	// The days that were chosen stay when other text is searched for.
	tab.Do(clear("#q"))
	tab.Type("#q", "张晓东")
	tab.Key(kb.Enter)
	tab.Wait(`location.search.includes("within=1")`)
	tab.Wait(listed(w.loops.StudyInstanceUID))
	if testbrowser.Eval[bool](tab, "Boolean("+listed(w.heart.StudyInstanceUID)+")") {
		t.Error("a study of a year ago is listed as today's")
	}
	tab.Click(".search a.quiet")
	tab.Wait(`location.search === "" && document.querySelectorAll("tr[data-study]").length > 2`)
}

func TestSearchPager(t *testing.T) {
	w := theWorld(t)
	tab := page(t, "/?q=%E5%88%86%E9%A1%B5", testbrowser.Desktop)
	rows := func() []string {
		return testbrowser.Eval[[]string](tab, `[...document.querySelectorAll("tr[data-study]")].map((r) => r.dataset.study)`)
	}
	first := rows()
	tab.Click(`a[rel="next"]`)
	tab.Wait(`location.search.includes("page=2") && document.readyState === "complete"`)
	second := rows()
	if len(first)+len(second) != len(w.queue) {
		t.Errorf("%d and %d studies of %d", len(first), len(second), len(w.queue))
	}
	for i, s := range w.queue { // made oldest first
		at := len(w.queue) - 1 - i
		if all := append(first[:len(first):len(first)], second...); at >= len(all) || all[at] != s.StudyInstanceUID {
			t.Errorf("study %d is not in its place", i)
		}
	}
	tab.Click(`a[rel="prev"]`)
	tab.Wait(`!location.search.includes("page=") && document.readyState === "complete"`)
	if got := rows(); strings.Join(got, " ") != strings.Join(first, " ") {
		t.Error("the first page is another one now")
	}
}

// TestKeys goes from the search to a study, and on, by keyboard alone.
func TestKeys(t *testing.T) {
	w := theWorld(t)
	tab := page(t, "/?lang=en", testbrowser.Desktop)
	tab.Key("/")
	tab.Wait(`document.activeElement.id === "q"`)
	tab.Key("K", "-", "2", "0", "4", "1", "7", kb.Enter)
	tab.Wait(`location.search.includes("q=K-20417")`)
	tab.Wait(listed(w.loops.StudyInstanceUID) + ` && document.readyState === "complete"`)
	tab.Key(kb.ArrowDown)
	tab.Wait(`document.activeElement.matches("tr:first-child a.name")`)
	tab.Key(kb.ArrowDown)
	tab.Wait(`document.activeElement.matches("tr:nth-child(2) a.name")`)
	tab.Key(kb.ArrowUp, kb.ArrowUp)
	tab.Wait(`document.activeElement.id === "q"`)
	tab.Key(kb.ArrowDown)
	tab.Wait(`document.activeElement.matches("tr:first-child a.name")`)
	// What has the focus shows it.
	if outline := testbrowser.Eval[string](tab, `getComputedStyle(document.activeElement).outlineStyle`); outline != "solid" {
		t.Errorf("the row that has the focus has outline %q", outline)
	}
	tab.Key(kb.Enter)
	tab.Wait(`location.pathname === "` + study(w.loops.StudyInstanceUID) + `" && document.readyState === "complete"`)
	// The skip link is the first stop, and leads to the study.
	tab.Key(kb.Tab)
	tab.Wait(`document.activeElement.matches(".skip")`)
	tab.Key(kb.Enter)
	tab.Wait(`document.activeElement.id === "main"`)
	for range 40 {
		tab.Key(kb.Tab)
		if testbrowser.Eval[bool](tab, `document.activeElement.matches("a.thumb")`) {
			return
		}
	}
	t.Error("no picture of the study is reached by Tab")
}

func TestLanguageSwitch(t *testing.T) {
	w := theWorld(t)
	tab := page(t, "/?lang=zh-CN&q=zhangxiaodong", testbrowser.Phone)
	contains(t, tab.Text("header"), "检索", "English")
	tab.Click("a.language")
	tab.Wait(`document.documentElement.lang === "en" && document.readyState === "complete"`)
	contains(t, tab.Text("header"), "Search", "中文")
	if !testbrowser.Eval[bool](tab, "Boolean("+listed(w.loops.StudyInstanceUID)+")") {
		t.Error("the search is lost")
	}
	tab.Go(w.node.URL + study(w.loops.StudyInstanceUID)) // the choice is kept
	tab.Wait(`document.documentElement.lang === "en"`)
}

// TestLive: a study that comes while the list is shown is told of, and shown when asked for.
func TestLive(t *testing.T) {
	w := theWorld(t)
	tab := page(t, "/?lang=en", testbrowser.Desktop)
	patient := w.village[3]
	patient.ID, patient.Name, patient.Charset = "K-LIVE", "Lai^Xin=来^新", fixtures.UTF8
	run := fmt.Sprint(time.Now().UnixNano()) // other studies each time
	first, second := patient.NewStudy("US", "live 1 "+run), patient.NewStudy("US", "live 2 "+run)
	tomorrow := time.Now().AddDate(0, 0, 1).Format("20060102") // on top of the list
	first.Date, second.Date = tomorrow, tomorrow
	send := func(s fixtures.Study, n int) {
		t.Helper()
		body := s.UltrasoundStill(fixtures.Still{Columns: 64, Rows: 64, Number: n}).Open()
		defer body.Close()
		if err := w.send(body); err != nil {
			t.Fatal(err)
		}
	}
	// The page may have begun to listen after the first ones came; each is counted once.
	deadline := time.Now().Add(time.Minute)
	for n := 1; !testbrowser.Eval[bool](tab, `!document.querySelector("#live").hidden`); n++ {
		if time.Now().After(deadline) {
			t.Fatal("the page tells nothing")
		}
		send(first, n)
	}
	tab.Wait(`document.querySelector("#live").innerText.startsWith("1 new study")`)
	if text := tab.Text("#live"); strings.Contains(text, "来") || strings.Contains(text, "LIVE") {
		t.Errorf("the hint names the patient: %s", text)
	}
	send(second, 1)
	tab.Wait(`document.querySelector("#live").innerText.startsWith("2 new studies")`)
	tab.Click("#live a")
	tab.Wait(listed(second.StudyInstanceUID))
	tab.Wait(listed(first.StudyInstanceUID))
}

// TestWelcome: browsers get the page at "/", programs the list of doors.
func TestWelcome(t *testing.T) {
	w := theWorld(t)
	for accept, want := range map[string]string{
		"": "text/plain", "*/*": "text/plain", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.node.URL+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		h := answer.Header
		if answer.StatusCode != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), want) || !strings.Contains(h.Get("Vary"), "Accept") {
			t.Errorf("Accept %q: %d %v", accept, answer.StatusCode, h)
		}
	}
}

// TestWithoutScripts: search and study are there for browsers that run none.
func TestWithoutScripts(t *testing.T) {
	w := theWorld(t)
	tab := testbrowser.Open(t, testbrowser.Desktop)
	testbrowser.NoScripts(tab)
	tab.Go(w.node.URL + "/?lang=en")
	tab.Type("#q", "zhangxiaodong")
	tab.Click(".search .primary")
	tab.Wait(listed(w.loops.StudyInstanceUID))
	tab.Click(`tr[data-study="` + w.heart.StudyInstanceUID + `"] a.name`)
	tab.Wait(`location.pathname === "` + study(w.heart.StudyInstanceUID) + `"`)
	contains(t, tab.Text("main"), "张晓东", "Open ECG", "PDF")
}
