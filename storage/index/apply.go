package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Apply makes records visible, all or none, together with their offsets. Records at or below the offset
// that Applied returns have no effect, and neither does an event that was applied before. Records of
// unknown types only move the offset and are counted (Skipped). A record that can never be applied
// gives a *RecordError; any other error is worth another try. Several processes may apply to one PostgreSQL
// index at a time, whatever they apply.
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

	if db.closed() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.engine.apply(ctx, changes); err != nil {
		return db.failed(ctx, "apply to index", err)
	}
	db.skipped.Add(skipped)
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
	rows, err := db.engine.query(ctx, "SELECT applied, event_id FROM offsets WHERE topic = $1 AND partition = $2", topic, partition)
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

// errAlone tells a session's engine that the changes must be the only ones of their moment.
var errAlone = errors.New("needs to be alone")

// applyTo makes changes within a session that has begun. The caller commits, or rolls back after an error.
func applyTo(ctx context.Context, s session, m memory, d dialect, changes []*change) error {
	b := &batch{
		session: s, memory: m, dialect: d,
		dirtySeries: map[int64]bool{}, dirtyStudies: map[int64]bool{}, dirtyPatients: map[int64]*studyRow{},
	}
	offsets, fresh, err := b.unseen(changes)
	if err != nil {
		return err
	}
	if err := s.claim(fresh); err != nil {
		return err
	}
	if b.taken, err = b.existing(fresh); err != nil {
		return err
	}
	if b.newest, err = b.newestOriginals(fresh); err != nil {
		return err
	}
	if d.shared {
		if b.delicate(fresh) {
			if err := s.alone(); err != nil {
				return err
			}
		}
		if err := b.prefetch(fresh); err != nil {
			return err
		}
	}
	if err := b.noteCompleteness(fresh); err != nil {
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
	if err := b.flushCompleteness(); err != nil {
		return err
	}
	for s, last := range offsets {
		err := b.exec(`INSERT INTO offsets (topic, partition, applied, event_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (topic, partition) DO UPDATE SET applied = excluded.applied, event_id = excluded.event_id
			WHERE excluded.applied > offsets.applied`,
			s.topic, int64(s.partition), last.Offset, last.Event.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

// unseen leaves out what the stored offsets cover, and returns the last record of each source. With other
// writers it keeps them from moving these offsets until the transaction ends.
func (b *batch) unseen(changes []*change) (offsets map[source]eventlog.Record, fresh []*change, err error) {
	var sources []source
	for _, c := range changes {
		if s := (source{c.record.Topic, c.record.Partition}); !slices.Contains(sources, s) {
			sources = append(sources, s)
		}
	}
	slices.SortFunc(sources, func(a, b source) int { // every writer in the same order
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	question := "SELECT applied FROM offsets WHERE topic = $1 AND partition = $2"
	if b.dialect.shared {
		question += " FOR UPDATE"
	}
	stored := make(map[source]int64)
	for _, s := range sources {
		if b.dialect.shared { // there must be a row to wait for
			err := b.exec("INSERT INTO offsets (topic, partition, applied) VALUES ($1, $2, -1) ON CONFLICT DO NOTHING",
				s.topic, int64(s.partition))
			if err != nil {
				return nil, nil, err
			}
		}
		offset := int64(-1)
		err := b.each(func(scan scanner) error { return scan(&offset) }, question, s.topic, int64(s.partition))
		if err != nil {
			return nil, nil, err
		}
		stored[s] = offset
	}
	offsets = make(map[source]eventlog.Record)
	for _, c := range changes {
		s := source{c.record.Topic, c.record.Partition}
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

// existing returns which SOP Instance UIDs of the changes are in the index already.
func (b *batch) existing(changes []*change) (map[sopKey]bool, error) {
	taken := make(map[sopKey]bool, len(changes))
	byTenant := make(map[string][]any)
	for _, c := range changes {
		if c.instance != nil {
			byTenant[c.instance.tenant] = append(byTenant[c.instance.tenant], c.instance.sop)
		}
	}
	for tenant, uids := range byTenant {
		err := b.eachOf(func(scan scanner) error {
			k := sopKey{tenant: tenant}
			err := scan(&k.uid)
			taken[k] = true
			return err
		}, "SELECT sop_instance_uid FROM instances WHERE tenant = $1 AND sop_instance_uid", []any{tenant}, uids)
		if err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// eachOf asks a question that ends with a column, for all values of that column.
func (b *batch) eachOf(fn func(scan scanner) error, question string, first, values []any) error {
	n := b.dialect.askAtOnce
	text := question + " IN (" + parameters(len(first)+1, n) + ")"
	for part := range slices.Chunk(values, n) {
		args := make([]any, 0, len(first)+n)
		args = append(append(args, first...), part...)
		for len(args) < cap(args) {
			args = append(args, part[0]) // fills up: one statement for any number
		}
		if err := b.each(fn, text, args...); err != nil {
			return err
		}
	}
	return nil
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
