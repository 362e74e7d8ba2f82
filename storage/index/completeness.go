package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Whether a study is complete is a view of the log like everything else here: what it has in it follows from the
// records of its objects, what was announced of it from the topic of studies. Which studies are to be announced is
// decided by a stage (pipeline/completeness), which keeps its decisions in announcements.go until the log has them.

// States of a row of completeness.
const (
	stateSettled  = 0 // nothing to announce
	stateWaiting  = 1 // until it has been quiet
	stateSignaled = 2 // a signal is newer than every object
	stateChanged  = 3 // the announced revision does not hold any more, and nobody was told
)

// completeness is a row.
type completeness struct {
	studyKey
	content                 event.Content
	lastEvent, lastReceived int64 // µs since 1970, as the others
	sent                    int64
	signal                  string
	revision                int64
	announced, eventID      string
	completed               int64
	reason                  string
	updated                 int64

	touched bool // to be written
}

const completenessColumns = `tenant, study_instance_uid, content, last_event, last_received, sent, signal, revision, announced, event_id,
	completed, reason, updated`

func (c *completeness) scan(scan scanner) error {
	var content string
	err := scan(&c.tenant, &c.uid, &content, &c.lastEvent, &c.lastReceived, &c.sent, &c.signal, &c.revision, &c.announced, &c.eventID,
		&c.completed, &c.reason, &c.updated)
	if err != nil {
		return err
	}
	c.content, err = event.ParseContent(content)
	return err
}

func (c *completeness) values() []any {
	return []any{
		c.tenant, c.uid, c.content.String(), c.lastEvent, c.lastReceived, c.sent, c.signal, c.revision, c.announced, c.eventID,
		c.completed, c.reason, c.updated, c.state(),
	}
}

const writeCompleteness = "INSERT INTO completeness (" + completenessColumns + `, state)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
	ON CONFLICT (tenant, study_instance_uid) DO UPDATE SET content = excluded.content, last_event = excluded.last_event,
		last_received = excluded.last_received, sent = excluded.sent, signal = excluded.signal, revision = excluded.revision,
		announced = excluded.announced, event_id = excluded.event_id, completed = excluded.completed, reason = excluded.reason,
		updated = excluded.updated, state = excluded.state`

// state follows from the other columns.
func (c *completeness) state() int64 {
	switch {
	case c.content.String() == c.announced:
		return stateSettled
	case c.sent > 0 && c.sent >= c.lastEvent:
		return stateSignaled
	case c.revision > c.updated:
		return stateChanged
	}
	return stateWaiting
}

// sent is a signal that a study was sent whole.
type sent struct {
	studyKey
	at     int64
	signal string
}

// announced is a record of the topic of studies.
type announced struct {
	studyKey
	kind      string
	eventID   string
	revision  int64
	digest    string
	completed int64
	reason    string
}

// decodeStudy reads a record about a whole study into c.
func decodeStudy(r eventlog.Record, c *change) error {
	if r.Event.Type == event.TypeStudySent {
		body, err := event.Decode[event.StudySent](r.Event.Data)
		if err != nil {
			return withoutText(err)
		}
		c.sent = &sent{studyKey{body.Tenant, body.StudyInstanceUID}, body.At.UnixMicro(), plain(body.Signal)}
		return identifiers(body.Tenant, body.StudyInstanceUID, body.Signal)
	}
	body, err := event.Decode[event.Study](r.Event.Data)
	if err != nil {
		return withoutText(err)
	}
	c.announced = &announced{
		studyKey: studyKey{body.Tenant, body.StudyInstanceUID}, kind: r.Event.Type, eventID: r.Event.ID, revision: int64(body.Revision),
		digest: body.Digest, completed: body.At.UnixMicro(), reason: body.Reason,
	}
	return identifiers(body.Tenant, body.StudyInstanceUID, body.Digest, body.Reason, r.Event.ID)
}

// studyOfChange is the study whose completeness a change bears on; ok is false where there is none.
func (c *change) studyOfChange() (k studyKey, ok bool) {
	switch {
	case c.instance != nil:
		return studyKey{c.instance.tenant, c.instance.study}, true
	case c.original != nil:
		return studyKey{c.original.tenant, c.original.study}, true
	case c.sent != nil:
		return c.sent.studyKey, true
	case c.announced != nil:
		return c.announced.studyKey, true
	}
	return k, false
}

// eventTime is when a record was made, or when its object was received where the record does not say. A record that
// describes again what another one announced is no object that came.
func eventTime(e event.Envelope, announced string, received int64) int64 {
	if e.Time.IsZero() || e.ID != announced {
		return received
	}
	return e.Time.UnixMicro()
}

// noteCompleteness enters what changes say by themselves. What studies have in them follows as instances
// join them (contentOf).
func (b *batch) noteCompleteness(changes []*change) error {
	if err := b.prefetchCompleteness(changes); err != nil {
		return err
	}
	for _, c := range changes {
		k, ok := c.studyOfChange()
		if !ok {
			continue
		}
		row, err := b.completenessOf(k)
		if err != nil {
			return err
		}
		switch {
		case c.instance != nil:
			row.lastEvent = max(row.lastEvent, eventTime(c.record.Event, c.instance.eventID, c.instance.received))
			row.lastReceived = max(row.lastReceived, c.instance.received)
		case c.original != nil:
			row.lastEvent = max(row.lastEvent, eventTime(c.record.Event, c.original.eventID, c.original.received))
		case c.sent != nil:
			if s := c.sent; s.at > row.sent || s.at == row.sent && s.signal > row.signal {
				row.sent, row.signal = s.at, s.signal
			}
		default:
			if err := b.noteAnnounced(row, c.announced); err != nil {
				return err
			}
		}
		row.touched = true
	}
	return nil
}

// noteAnnounced enters what the log has, which needs not be appended any more.
func (b *batch) noteAnnounced(row *completeness, a *announced) error {
	switch {
	case a.kind == event.TypeStudyUpdated:
		row.updated = max(row.updated, a.revision)
	case a.revision > row.revision || a.revision == row.revision && a.eventID > row.eventID:
		row.revision, row.announced, row.eventID, row.completed, row.reason = a.revision, a.digest, a.eventID, a.completed, a.reason
	}
	err := b.exec("DELETE FROM announcements WHERE tenant = $1 AND study_instance_uid = $2 AND event_type = $3 AND revision <= $4",
		a.tenant, a.uid, a.kind, a.revision)
	if err != nil {
		return fmt.Errorf("take out announcement: %w", err)
	}
	return nil
}

// prefetchCompleteness reads the rows of the changes, in a few statements for all of them.
func (b *batch) prefetchCompleteness(changes []*change) error {
	b.soughtCompleteness = map[studyKey]bool{}
	byTenant := make(map[string][]any)
	for _, c := range changes {
		k, ok := c.studyOfChange()
		if ok && !b.soughtCompleteness[k] && b.complete[k] == nil {
			b.soughtCompleteness[k] = true
			byTenant[k.tenant] = append(byTenant[k.tenant], k.uid)
		}
	}
	for tenant, uids := range byTenant {
		err := b.eachOf(func(scan scanner) error {
			row := &completeness{}
			if err := row.scan(scan); err != nil {
				return err
			}
			b.complete[row.studyKey] = row
			return nil
		}, "SELECT "+completenessColumns+" FROM completeness WHERE tenant = $1 AND study_instance_uid", []any{tenant}, uids)
		if err != nil {
			return fmt.Errorf("read completeness: %w", err)
		}
	}
	return nil
}

// noContent is the digest of a study without instances, and of the revision that no study has.
var noContent = event.Content{}.String()

// completenessOf returns a study's row, remembered, read or new.
func (b *batch) completenessOf(k studyKey) (*completeness, error) {
	if row := b.complete[k]; row != nil {
		return row, nil
	}
	row := &completeness{}
	if !b.soughtCompleteness[k] {
		err := b.each(row.scan, "SELECT "+completenessColumns+" FROM completeness WHERE tenant = $1 AND study_instance_uid = $2", k.tenant, k.uid)
		if err != nil {
			return nil, fmt.Errorf("read completeness: %w", err)
		}
	}
	if row.uid == "" {
		row.studyKey, row.announced = k, noContent
	}
	b.complete[k] = row
	return row, nil
}

// addContent puts an instance that readers see from now on into its study.
func (b *batch) addContent(k studyKey, in *instance) error {
	row, err := b.completenessOf(k)
	if err != nil {
		return err
	}
	row.content.Add(in.sop, in.datasetSHA256, in.syntax)
	row.touched = true
	return nil
}

// recomputeContent makes the content of a study anew, of which an instance was taken.
func (b *batch) recomputeContent(id int64) error {
	var k studyKey
	err := b.each(func(scan scanner) error { return scan(&k.tenant, &k.uid) },
		"SELECT tenant, study_instance_uid FROM studies WHERE id = $1", id)
	if err != nil || k.uid == "" {
		return err
	}
	row, err := b.completenessOf(k)
	if err != nil {
		return err
	}
	row.content, row.touched = event.Content{}, true
	return b.each(func(scan scanner) error {
		var sop, dataset, syntax string
		err := scan(&sop, &dataset, &syntax)
		row.content.Add(sop, dataset, syntax)
		return err
	}, `SELECT i.sop_instance_uid, i.dataset_sha256, i.transfer_syntax_uid FROM series e JOIN instances i ON i.series_id = e.id
		WHERE e.study_id = $1`, id)
}

// flushCompleteness writes the rows that changed.
func (b *batch) flushCompleteness() error {
	var changed []*completeness
	for _, row := range b.complete {
		if row.touched {
			changed = append(changed, row)
		}
	}
	slices.SortFunc(changed, func(x, y *completeness) int { return compareStudies(x.studyKey, y.studyKey) }) // every writer in one order
	for _, row := range changed {
		if err := b.exec(writeCompleteness, row.values()...); err != nil {
			return fmt.Errorf("write completeness: %w", err)
		}
		row.touched = false
	}
	return nil
}

// StudyState is what is known of a study's completeness.
type StudyState struct {
	Complete    bool      // what was announced last is what the study has in it now
	Revision    int       // of the last announcement, 0 for none
	CompletedAt time.Time // of that, zero for none
	Reason      string    // of that: "quiet-period", "signal:stow", …

	Instances, Series int64     // now
	LastReceived      time.Time // the newest object
}

// StudyState returns the state of a study, or ErrNotFound for one without instances that never had any announced.
func (db *DB) StudyState(ctx context.Context, tenant, study string) (StudyState, error) {
	found, err := db.StudyStates(ctx, tenant, []string{study})
	if err != nil {
		return StudyState{}, err
	}
	s, ok := found[study]
	if !ok {
		return StudyState{}, ErrNotFound
	}
	return s, nil
}

// statesAtOnce is how many studies one statement asks for.
const statesAtOnce = 100

// StudyStates returns the states of those of the studies that are known.
func (db *DB) StudyStates(ctx context.Context, tenant string, studies []string) (map[string]StudyState, error) {
	found := make(map[string]StudyState, len(studies))
	for some := range slices.Chunk(studies, statesAtOnce) {
		args := make([]any, 0, len(some)+1)
		args = append(args, tenant)
		for _, uid := range some {
			args = append(args, uid)
		}
		if err := db.studyStates(ctx, found, args); err != nil {
			return nil, db.failed(ctx, "read study states", err)
		}
	}
	return found, nil
}

// studyStates asks for n studies.
func studyStates(n int) string {
	return `SELECT c.study_instance_uid, c.state, c.revision, c.completed, c.reason, c.last_received,
		(SELECT COUNT(*) FROM series e WHERE e.study_id = s.id),
		CAST((SELECT COALESCE(SUM(e.instances), 0) FROM series e WHERE e.study_id = s.id) AS BIGINT)
		FROM completeness c LEFT JOIN studies s ON s.tenant = c.tenant AND s.study_instance_uid = c.study_instance_uid
		WHERE c.tenant = $1 AND c.study_instance_uid IN (` + parameters(2, n) + ")"
}

func (db *DB) studyStates(ctx context.Context, found map[string]StudyState, args []any) error {
	for len(args) < statesAtOnce+1 && len(args) > 2 {
		args = append(args, args[1]) // fills up: two statements for any number
	}
	rows, err := db.engine.query(ctx, studyStates(len(args)-1), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var uid string
		var state, revision, completed, received int64
		var s StudyState
		if err := rows.Scan(&uid, &state, &revision, &completed, &s.Reason, &received, &s.Series, &s.Instances); err != nil {
			return err
		}
		if revision == 0 && s.Instances == 0 {
			continue // named by a signal alone, by an original, or by a version that nobody sees
		}
		s.Complete, s.Revision = state == stateSettled, int(revision)
		s.CompletedAt, s.LastReceived = moment(completed), moment(received)
		found[uid] = s
	}
	return rows.Err()
}

// moment is a time of a row, zero for none.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// Rewind makes Apply take the records of a partition of the topic of studies from the beginning again: the log
// lost what the index had applied, and gave its offsets to others. Applying twice changes nothing. The
// instances topic has another remedy (rebuild), since lost objects must be found.
func (db *DB) Rewind(ctx context.Context, topic string, partition int32) error {
	if topic != event.TopicStudies {
		return errors.New("only the topic of studies is read again")
	}
	err := db.engine.transact(ctx, func(s session) error {
		return s.exec("DELETE FROM offsets WHERE topic = $1 AND partition = $2", topic, int64(partition))
	})
	if err != nil {
		return db.failed(ctx, "rewind", err)
	}
	return nil
}
