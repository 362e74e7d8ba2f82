package desk

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
)

// liveLog is a real log with n events in it, and a way to append more.
func liveLog(t *testing.T, n int) (*locallog.Log, func()) {
	t.Helper()
	log, err := locallog.Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), locallog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	number := 0
	add := func() {
		t.Helper()
		number++
		in := &event.Instance{ObjectID: fmt.Sprintf("object-%d", number), Tenant: "default", Attributes: map[string]string{"PatientName": "Secret^Name"}}
		in.IDs = event.IDs{StudyInstanceUID: "1.2.3", SeriesInstanceUID: "1.2.3.4", SOPInstanceUID: "1.2.3.4.5", SOPClassUID: "1.2.840.10008.5.1.4.1.1.2"}
		in.Blob = event.Blob{Key: "blob-1", Bytes: 1, SHA256: strings.Repeat("ab", 32), DatasetSHA256: strings.Repeat("ab", 32)}
		in.Origin.ReceivedAt = time.Now()
		env, err := event.NewInstance(event.TypeInstanceStored, "/test", time.Now(), in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), env); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		add()
	}
	return log, add
}

// listen opens a stream and returns its lines.
func listen(t *testing.T, url, lastID string) (*bufio.Scanner, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != ": connected" {
		t.Fatalf("first line %q", lines.Text())
	}
	return lines, cancel
}

// next returns the data line of the next event.
func next(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			return data
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return ""
}

func TestEventsFromNowAndFromAnId(t *testing.T) {
	log, add := liveLog(t, 3)
	e := NewEvents(FollowOne(log))
	server := httptest.NewServer(e)
	t.Cleanup(server.Close) // after the listeners' own cleanup: it waits for them

	now, _ := listen(t, server.URL, "")
	add()
	if data := next(t, now); !strings.Contains(data, `"object-4"`) || strings.Contains(data, "Secret") {
		t.Errorf("first event from now: %s", data)
	}
	again, _ := listen(t, server.URL, "1")
	for _, want := range []string{"object-2", "object-3", "object-4"} {
		if data := next(t, again); !strings.Contains(data, want) {
			t.Errorf("event %s, want %s", data, want)
		}
	}
	e.Close()
	for now.Scan() { // ends because Close ended the stream
	}
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after Close: %s", resp.Status)
	}
}

func TestEventsBoundsListeners(t *testing.T) {
	log, _ := liveLog(t, 0)
	server := httptest.NewServer(NewEvents(FollowOne(log)))
	t.Cleanup(server.Close)
	var last context.CancelFunc
	for range maxStreams {
		_, last = listen(t, server.URL, "")
	}
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many: %s", resp.Status)
	}
	last()
	for { // the place is free once the server has noticed
		resp, err := http.Get(server.URL + "?")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
}

func TestEventsRefusesAWildId(t *testing.T) {
	log, _ := liveLog(t, 0)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/events", nil)
	r.Header.Set("Last-Event-ID", "-5")
	NewEvents(FollowOne(log)).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d", w.Code)
	}
}
