package locallog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// syncDelay is how long events of AppendBacked may wait for their sync: what a power cut can cost is made
// again from blobs at the next start, and each sync saved is one fewer between devices and their answer.
const syncDelay = 50 * time.Millisecond

// lazySync syncs the write-ahead log behind commits that did not.
type lazySync struct {
	wal  *os.File
	due  chan struct{} // of capacity 1: a commit waits for its sync
	full bool          // commits sync themselves; the holder of the turn owns it

	// failure is set for good: after a failed sync nobody knows which pages reached the disk, and what is
	// written behind a lost one would be lost with it at the next start.
	failure atomic.Pointer[error]
}

func openLazySync(path string) (*lazySync, error) {
	// A descriptor of its own: SQLite's locks are on other files, so closing this one drops none.
	wal, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &lazySync{wal: wal, due: make(chan struct{}, 1), full: true}, nil // full as the writer's pragmas have it
}

func (s *lazySync) broken() error {
	if err := s.failure.Load(); err != nil {
		return fmt.Errorf("the event log could not be synced, and takes nothing until the node is started again: %w", *err)
	}
	return nil
}

func (s *lazySync) close() error {
	if s == nil {
		return nil
	}
	return s.wal.Close()
}

// setSync makes the following transactions sync before they return, or not. The caller holds the turn, and
// no transaction is open.
func (l *Log) setSync(full bool) error {
	if err := l.lazy.broken(); err != nil {
		return err
	}
	if l.lazy.full == full {
		return nil
	}
	mode := "NORMAL" // consistent after a power cut, but for the newest commits
	if full {
		mode = "FULL"
	}
	if _, err := l.write.conn.ExecContext(context.Background(), "PRAGMA synchronous = "+mode); err != nil {
		return err
	}
	l.lazy.full = full
	return nil
}

// syncSoon asks for a sync of what was committed.
func (l *Log) syncSoon() {
	select {
	case l.lazy.due <- struct{}{}:
	default: // one is asked for already
	}
}

// syncer syncs the write-ahead log a moment after commits asked for it. Closing the log needs no last one:
// it copies all of it into the main file and syncs that.
func (l *Log) syncer() {
	for {
		select {
		case <-l.closed:
			return
		case <-l.lazy.due:
		}
		timer := time.NewTimer(syncDelay)
		select {
		case <-l.closed:
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := datasync(l.lazy.wal); err != nil && !errors.Is(err, os.ErrClosed) {
			l.lazy.failure.Store(&err)
			l.opt.Logger.Error("the event log cannot be synced; the node takes nothing until it is started again",
				slog.String("error", err.Error()))
			return
		}
	}
}
