package locallog

import (
	"context"
	"database/sql"
	"log/slog"
)

// nearlyDone is the number of write-ahead frames, of a page each, that a checkpoint may copy while
// appends wait: 1 MiB, a few milliseconds.
const nearlyDone = 256

// grown notes that about bytes were added to the write-ahead log. The caller holds the turn.
func (l *Log) grown(bytes int64) {
	l.write.sinceCheckpoint += bytes
	if l.write.sinceCheckpoint < l.opt.CheckpointBytes {
		return
	}
	select {
	case l.checkpoint <- struct{}{}:
		l.write.sinceCheckpoint = 0
	default: // one is asked for already
	}
}

// checkpointer copies the write-ahead log into the main file whenever it has grown, beside the appends.
// SQLite starts the write-ahead log from its beginning again once all of it has been copied and nobody
// reads in it; appends that never pause would always be a little ahead. So most is copied beside them
// and the small rest while they wait.
func (l *Log) checkpointer() {
	for {
		select {
		case <-l.closed:
			return
		case <-l.checkpoint:
		}
		if err := l.runCheckpoint(); err != nil {
			l.opt.Logger.Warn("event log checkpoint failed, the write-ahead log grows until the next",
				slog.String("error", err.Error()))
		}
	}
}

func (l *Log) runCheckpoint() error {
	ctx := context.Background()
	conn, err := l.ckpt.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for range 4 { // each pass has less to copy: what came during the last
		left, err := passiveCheckpoint(ctx, conn)
		if err != nil {
			return err
		}
		if left <= nearlyDone {
			break
		}
	}
	if err := l.take(ctx); err != nil {
		return nil // closing, which checkpoints
	}
	defer l.pass()
	_, err = passiveCheckpoint(ctx, conn)
	return err
}

// passiveCheckpoint returns the frames that are left to copy.
func passiveCheckpoint(ctx context.Context, conn *sql.Conn) (left int, err error) {
	var busy, frames, copied int
	err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &copied)
	return frames - copied, err
}
