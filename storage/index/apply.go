package index

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Apply makes records visible, all or none, together with their offsets. Records at or below the offset
// that Applied returns have no effect, and neither does an event that was applied before. Records of
// unknown types only move the offset and are counted (Skipped). A record that can never be applied
// gives a *RecordError; any other error is worth another try.
func (db *DB) Apply(ctx context.Context, records []eventlog.Record) (err error) {
	changes := make([]*change, 0, len(records))
	skipped := int64(0)
	for _, r := range records {
		c, err := decode(r)
		if err != nil {
			return &RecordError{r, err}
		}
		if c == nil {
			skipped++
			c = &change{record: r}
		}
		changes = append(changes, c)
	}

	db.writing.Lock()
	defer db.writing.Unlock()
	if db.closed() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.writer.apply(ctx, changes); err != nil {
		return db.failed(ctx, "apply to index", err)
	}
	db.skipped.Add(skipped)
	db.committed.Add(1)
	return nil
}

// Applied returns the offset of the last applied record of a partition, -1 when there is none.
func (db *DB) Applied(ctx context.Context, topic string, partition int32) (int64, error) {
	offset, _, err := db.LastApplied(ctx, topic, partition)
	return offset, err
}

// LastApplied is Applied with the record's event id, by which one tells whether a log is the one that the
// index was made from. The id is "" when there is no record, and in an index of an earlier release.
func (db *DB) LastApplied(ctx context.Context, topic string, partition int32) (offset int64, eventID string, err error) {
	rows, err := db.plans.query(ctx, "SELECT applied, event_id FROM offsets WHERE topic = $1 AND partition = $2", topic, partition)
	if err != nil {
		return -1, "", db.failed(ctx, "read offset", err)
	}
	defer rows.Close()
	offset = -1
	if rows.Next() {
		if err := rows.Scan(&offset, &eventID); err != nil {
			return -1, "", db.failed(ctx, "read offset", err)
		}
	}
	if err := rows.Err(); err != nil {
		return -1, "", db.failed(ctx, "read offset", err)
	}
	return offset, eventID, nil
}

// source is a partition of a topic.
type source struct {
	topic     string
	partition int32
}

// apply runs one transaction. After an error nothing of it is left, in the file or in memory.
func (w *writer) apply(ctx context.Context, changes []*change) (err error) {
	if len(changes) == 0 {
		return nil
	}
	if err := w.exec(w.dialect.begin); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.forget()
			if rollback := w.exec("ROLLBACK"); rollback != nil {
				err = errors.Join(err, fmt.Errorf("roll back: %w", rollback))
			}
		}
	}()
	b := &batch{writer: w, dirtySeries: map[int64]bool{}, dirtyStudies: map[int64]bool{}}
	offsets, fresh, err := w.unseen(changes)
	if err != nil {
		return err
	}
	if b.taken, err = w.existing(fresh); err != nil {
		return err
	}
	for _, c := range fresh {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.apply(c); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	for s, last := range offsets {
		err := w.exec(`INSERT INTO offsets (topic, partition, applied, event_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (topic, partition) DO UPDATE SET applied = excluded.applied, event_id = excluded.event_id`,
			s.topic, int64(s.partition), last.Offset, last.Event.ID)
		if err != nil {
			return err
		}
	}
	if err := w.exec("COMMIT"); err != nil {
		return err
	}
	w.trim()
	return nil
}

// unseen leaves out what the stored offsets cover, and returns the last record of each source.
func (w *writer) unseen(changes []*change) (offsets map[source]eventlog.Record, fresh []*change, err error) {
	stored := make(map[source]int64)
	offsets = make(map[source]eventlog.Record)
	for _, c := range changes {
		s := source{c.record.Topic, c.record.Partition}
		if _, ok := stored[s]; !ok {
			offset := int64(-1)
			err := w.each(func(scan scanner) error { return scan(&offset) },
				"SELECT applied FROM offsets WHERE topic = $1 AND partition = $2", s.topic, int64(s.partition))
			if err != nil {
				return nil, nil, err
			}
			stored[s] = offset
		}
		if c.record.Offset <= stored[s] {
			continue
		}
		if have, ok := offsets[s]; !ok || c.record.Offset > have.Offset {
			offsets[s] = c.record
		}
		fresh = append(fresh, c)
	}
	return offsets, fresh, nil
}

// sopKey is a SOP Instance UID of a tenant.
type sopKey struct{ tenant, uid string }

// askAtOnce is how many UIDs one statement looks up.
const askAtOnce = 32

var existingSQL = "SELECT sop_instance_uid FROM instances WHERE tenant = $1 AND sop_instance_uid IN (" +
	parameters(2, askAtOnce) + ")"

// existing returns which SOP Instance UIDs of the changes are in the index already.
func (w *writer) existing(changes []*change) (map[sopKey]bool, error) {
	taken := make(map[sopKey]bool, len(changes))
	byTenant := make(map[string][]string)
	for _, c := range changes {
		if c.instance != nil {
			byTenant[c.instance.tenant] = append(byTenant[c.instance.tenant], c.instance.sop)
		}
	}
	for tenant, uids := range byTenant {
		for len(uids) > 0 {
			n := min(askAtOnce, len(uids))
			args := make([]any, 0, askAtOnce+1)
			args = append(args, tenant)
			for i := range askAtOnce {
				args = append(args, uids[min(i, n-1)]) // the last one fills up
			}
			uids = uids[n:]
			err := w.each(func(scan scanner) error {
				k := sopKey{tenant: tenant}
				err := scan(&k.uid)
				taken[k] = true
				return err
			}, existingSQL, args...)
			if err != nil {
				return nil, err
			}
		}
	}
	return taken, nil
}

// parameters returns "$first, …", n of them.
func parameters(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}
