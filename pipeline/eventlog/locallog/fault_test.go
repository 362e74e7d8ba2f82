package locallog

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

func small(n int, bytes int) event.Envelope {
	return event.Envelope{
		ID: fmt.Sprintf("id-%d", n), Type: event.TypeInstanceStored, Source: "/s", Topic: event.TopicInstances, Data: make([]byte, bytes),
	}
}

// A full disk fails appends and nothing else: what was acknowledged stays, Ready says why, and when there
// is space again the log goes on by itself.
func TestDiskFull(t *testing.T) {
	log, err := Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	c, err := log.Subscribe(t.Context(), "g", event.TopicInstances)
	if err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		if err := log.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer log.pass()
		if _, err := log.write.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(100)
	var acked []string
	for n := 0; ; n++ {
		e := small(n, 10_000)
		if n%3 == 2 { // a transaction of several statements, of which the first may fit
			if _, err := log.Append(t.Context(), small(1000+n, 10), e); err != nil {
				break
			}
			acked = append(acked, fmt.Sprintf("id-%d", 1000+n), e.ID)
			continue
		}
		if _, err := log.Append(t.Context(), e); err != nil {
			break
		}
		acked = append(acked, e.ID)
	}
	if _, err := log.Append(t.Context(), small(5000, 10_000)); err == nil {
		t.Fatal("an append succeeded on a full disk")
	}
	limit(1 << 20)
	if err := log.Ready(t.Context()); err != nil {
		t.Fatalf("ready with space again: %v", err)
	}
	p, err := log.Append(t.Context(), small(6000, 10))
	if err != nil {
		t.Fatal(err)
	}
	acked = append(acked, "id-6000")
	if p[0].Offset != int64(len(acked)) {
		t.Errorf("offset %d after %d records", p[0].Offset, len(acked))
	}
	for i := 0; i < len(acked); {
		records, err := c.Fetch(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.Event.ID != acked[i] {
				t.Fatalf("record %d is %s, want %s", i, r.Event.ID, acked[i])
			}
			i++
		}
	}
}

func TestReadyTellsOfAFailedCommit(t *testing.T) {
	log, err := Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if _, err := log.Append(t.Context(), small(1, 10)); err != nil {
		t.Fatal(err)
	}
	for _, on := range []int{1, 0} {
		if _, err := log.write.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA query_only = %d", on)); err != nil {
			t.Fatal(err)
		}
		if on == 1 {
			if _, err := log.Append(t.Context(), small(2, 10)); err == nil {
				t.Fatal("append succeeded")
			}
		}
		if err := log.Ready(t.Context()); (err != nil) != (on == 1) {
			t.Fatalf("query_only %d: ready = %v", on, err)
		}
	}
}

// An append that waits for the writer is withdrawn when its context ends, and never written.
func TestWithdraw(t *testing.T) {
	log, err := Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if _, err := log.Append(t.Context(), small(1, 10)); err != nil {
		t.Fatal(err)
	}
	if err := log.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := log.Append(ctx, small(2, 10))
		ended <- err
	}()
	for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
		log.waiting.mu.Lock()
		waiting = len(log.waiting.pending)
		log.waiting.mu.Unlock()
	}
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("append succeeded")
	}
	log.pass()
	if _, err := log.Append(t.Context(), small(3, 10)); err != nil {
		t.Fatal(err)
	}
	if head := log.Head(event.TopicInstances); head.Offset != 2 {
		t.Fatalf("head = %v", head)
	}
}

// Transactions are bounded, and still each request is served.
func TestBatchesAreBounded(t *testing.T) {
	var q queue
	for range 5 {
		r := &request{bytes: maxBatchBytes/2 - 1}
		if err := q.push(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.push(&request{bytes: 3 * maxBatchBytes}); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for batch := q.take(); len(batch) > 0; batch = q.take() {
		sizes = append(sizes, len(batch))
	}
	if fmt.Sprint(sizes) != "[2 2 1 1]" {
		t.Fatalf("batches of %v requests", sizes)
	}
}
