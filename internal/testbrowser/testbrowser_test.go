package testbrowser

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

func TestMain(m *testing.M) {
	code := m.Run()
	Close()
	os.Exit(code)
}

// site has pages that complain, and one that does not.
func site(t *testing.T) string {
	mux := http.NewServeMux()
	for path, body := range map[string]string{
		"/well":      `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Well</title><main><h1>Well</h1><label>Name <input id="name"></label><p id="said"></p></main>`,
		"/console":   `<script>console.error("broken", 7)</script>`,
		"/exception": `<script>undefined.x</script>`,
		"/promise":   `<script>Promise.reject(new Error("left"))</script>`,
		"/missing":   `<img src="/none.png">`,
		"/axe":       `<!doctype html><html><body><img src="data:,"><p style="color:#999;background:#fff">pale</p></body></html>`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(body))
		})
	}
	mux.HandleFunc("/policy", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		_, _ = w.Write([]byte(`<script>1</script>`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestFaults(t *testing.T) {
	at := site(t)
	for path, want := range map[string]string{
		"/console": `"broken" 7`, "/exception": "TypeError", "/promise": "left", "/missing": "404", "/policy": "Content Security Policy",
	} {
		tab := Open(t, Desktop)
		tab.Allow("favicon")
		tab.Go(at + path)
		heard := func() bool {
			tab.mu.Lock()
			defer tab.mu.Unlock()
			return slices.ContainsFunc(tab.faults, func(f string) bool { return strings.Contains(f, want) && !strings.Contains(f, "favicon") })
		}
		tab.Wait(`true`) // what the page said comes before this answer
		if !heard() {
			t.Errorf("%s: heard %q, want %q", path, tab.faults, want)
		}
		tab.Allow("") // it was meant
	}
}

func TestTab(t *testing.T) {
	at := site(t)
	tab := Open(t, Phone)
	tab.Allow("favicon")
	tab.Go(at + "/well")
	tab.Axe()
	tab.Type("#name", "张晓东")
	tab.Wait(`document.querySelector("#name").value === "张晓东"`)
	tab.Key("晓", "a", "-", "7", kb.Backspace)
	tab.Wait(`document.querySelector("#name").value === "张晓东晓a-"`)
	// A key that the page takes types nothing.
	Eval[any](tab, `document.addEventListener("keydown", (e) => { if (e.key === "/") e.preventDefault(); })`)
	tab.Key("/", "b")
	tab.Wait(`document.querySelector("#name").value === "张晓东晓a-b"`)
	if got := Eval[int64](tab, "innerWidth"); got != Phone.Width {
		t.Errorf("the tab is %d wide", got)
	}
	if got := tab.Text("h1"); got != "Well" {
		t.Errorf("text %q", got)
	}
}

func TestAxe(t *testing.T) {
	tab := Open(t, Desktop)
	tab.Allow("favicon")
	tab.Go(site(t) + "/axe")
	var ids []string
	for _, v := range tab.violations() {
		ids = append(ids, v.ID)
	}
	for _, want := range []string{"color-contrast", "document-title", "html-has-lang", "image-alt"} {
		if !slices.Contains(ids, want) {
			t.Errorf("axe-core finds %q, not %s", ids, want)
		}
	}
	ids = nil
	for _, v := range tab.violations("image-alt") {
		ids = append(ids, v.ID)
	}
	if slices.Contains(ids, "image-alt") {
		t.Error("a rule that is left out is checked")
	}
}
