package kafkalog_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var prefixes atomic.Int64

// newPrefix is one that no other test uses.
func newPrefix() string { return fmt.Sprintf("test%d", prefixes.Add(1)) }

// at returns the URL of a log on one broker.
func at(k *testengine.Kafka, prefix string, params ...string) string {
	values := url.Values{"replication": {"1"}, "partitions": {"4"}, "timeout": {"2s"}}
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		values.Set(name, value)
	}
	return k.URL(prefix) + "?" + values.Encode()
}

func open(t testing.TB, address string, opt kafkalog.Options) *kafkalog.Log {
	t.Helper()
	l, err := kafkalog.Open(t.Context(), address, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func openSpool(t testing.TB, path string) *locallog.Log {
	t.Helper()
	s, err := locallog.Open(t.Context(), path, locallog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newSpool(t testing.TB) *locallog.Log {
	return openSpool(t, filepath.Join(t.TempDir(), "spool.db"))
}

// TestContract runs the suite of eventlog.Log, alone and with a spool.
func TestContract(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	t.Run("alone", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T) eventlog.Log { return open(t, at(k, newPrefix()), kafkalog.Options{}) })
	})
	t.Run("with a spool", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T) eventlog.Log {
			return open(t, at(k, newPrefix()), kafkalog.Options{Spool: newSpool(t)})
		})
	})
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for ctx := within(t); !ok(); {
		select {
		case <-ctx.Done():
			t.Fatalf("still waiting until %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func appendAll(t testing.TB, l *kafkalog.Log, events ...event.Envelope) []eventlog.Position {
	t.Helper()
	p, err := l.Append(within(t), events...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fetchIDs fetches until n different events have come, and returns all ids in order of fetching.
func fetchIDs(t testing.TB, c eventlog.Consumer, n int) (ids []string) {
	t.Helper()
	seen := map[string]bool{}
	for len(seen) < n {
		records, err := c.Fetch(within(t), 1000)
		if err != nil {
			t.Fatalf("fetch: %v, after %d of %d events", err, len(seen), n)
		}
		for _, r := range records {
			ids = append(ids, r.Event.ID)
			seen[r.Event.ID] = true
		}
	}
	return ids
}

func subscribe(t testing.TB, l *kafkalog.Log, group string) eventlog.Consumer {
	t.Helper()
	c, err := l.Subscribe(within(t), group, event.TopicInstances)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
