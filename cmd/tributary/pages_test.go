package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// hurried is an answer that counts for how long its client may take nothing.
type hurried struct {
	*httptest.ResponseRecorder
	until []time.Time
}

func (h *hurried) SetWriteDeadline(t time.Time) error {
	h.until = append(h.until, t)
	return nil
}

// TestPagesEnd: a client that does not take what a page's script asked for does not hold it for ever.
func TestPagesEnd(t *testing.T) {
	n := &node{engines: &engines{blobs: struct{ blob.Store }{}}}
	n.cfg.Stall = time.Minute
	mux := http.NewServeMux()
	n.mountPages(mux)
	for _, path := range []string{"/pages/ecg/study/series/instance/samples", "/pages/assets/frame.js"} {
		w := &hurried{ResponseRecorder: httptest.NewRecorder()}
		began := time.Now()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusNotFound || len(w.until) < 2 || w.until[0].Before(began.Add(time.Minute)) || !w.until[len(w.until)-1].IsZero() {
			t.Errorf("%s: %d, deadlines %v", path, w.Code, w.until)
		}
	}
}

func TestPrefersHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/plain": false, "text/*": false, "application/json": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8": true,
		"text/html": true, "Text/HTML; Q=0.3, */*;q=0.1": true, "text/html;level=1;q=0.5": true,
		"text/plain, text/html;q=0.5": false, "text/html;q=0": false, "text/html;q=x": false,
	} {
		if got := prefersHTML([]string{accept}); got != want {
			t.Errorf("Accept: %s is %v", accept, got)
		}
	}
}
