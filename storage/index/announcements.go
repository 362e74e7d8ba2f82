package index

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// An announcement is decided here before it goes to the log: one transaction makes sure that a revision of a study
// has one content, whoever else decides at the same time. It leaves when Apply meets it in the log.

// compareStudies orders keys.
func compareStudies(a, b studyKey) int {
	return cmp.Or(strings.Compare(a.tenant, b.tenant), strings.Compare(a.uid, b.uid))
}

// OpenStudy is a study whose content was not announced.
type OpenStudy struct {
	Tenant, StudyInstanceUID string
	Signaled                 bool      // a signal is newer than every object
	Revision                 int       // the last one that was announced, 0 for none
	Told                     bool      // a study.updated said that this one does not hold
	LastEvent                time.Time // when the record of the newest object was made
	Modalities               []string  // upper case
}

// OpenQuery asks for a page of open studies.
type OpenQuery struct {
	// Urgent asks for those of which something is to be said at once: a signal came, or a complete one changed
	// and nobody was told. Otherwise those that wait until they have been quiet.
	Urgent bool
	Until  time.Time // with a newest record at or before; not for Urgent
	After  OpenStudy // those behind this one, the last of the page before: by LastEvent, then Tenant, then UID; zero for the first
	Limit  int       // at most; 0 means 256
}

// openStudies asks for studies in a state. SQLite takes the partial index for the words that it was made with.
func openStudies(state int) string {
	return fmt.Sprintf(`SELECT c.tenant, c.study_instance_uid, c.state, c.revision, c.updated, c.last_event, COALESCE(s.modalities, '')
		FROM completeness c LEFT JOIN studies s ON s.tenant = c.tenant AND s.study_instance_uid = c.study_instance_uid
		WHERE c.state > 0 AND c.state = %d AND c.last_event <= $1 AND (c.last_event, c.tenant, c.study_instance_uid) > ($2, $3, $4)
		AND NOT EXISTS (SELECT 1 FROM announcements a WHERE a.tenant = c.tenant AND a.study_instance_uid = c.study_instance_uid)
		ORDER BY c.last_event, c.tenant, c.study_instance_uid LIMIT $5`, state)
}

// OpenStudies returns open studies by their newest record, oldest first (of urgent ones those with a signal before the
// others), without those of which an announcement waits for the log.
func (db *DB) OpenStudies(ctx context.Context, q OpenQuery) (out []OpenStudy, err error) {
	if q.Limit <= 0 {
		q.Limit = 256
	}
	states, until := []int{stateWaiting}, q.Until.UnixMicro()
	if q.Urgent {
		states, until = []int{stateSignaled, stateChanged}, math.MaxInt64
	}
	after := int64(math.MinInt64)
	if !q.After.LastEvent.IsZero() {
		after = q.After.LastEvent.UnixMicro()
	}
	for _, state := range states {
		if len(out) >= q.Limit {
			break
		}
		out, err = db.openStudies(ctx, out, openStudies(state), until, after, q.After.Tenant, q.After.StudyInstanceUID, q.Limit-len(out))
		if err != nil {
			return nil, db.failed(ctx, "read open studies", err)
		}
	}
	return out, nil
}

func (db *DB) openStudies(ctx context.Context, out []OpenStudy, text string, args ...any) ([]OpenStudy, error) {
	rows, err := db.engine.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s OpenStudy
		var state, revision, updated, last int64
		var modalities string
		if err := rows.Scan(&s.Tenant, &s.StudyInstanceUID, &state, &revision, &updated, &last, &modalities); err != nil {
			return nil, err
		}
		s.Signaled, s.Revision, s.Told, s.LastEvent = state == stateSignaled, int(revision), updated >= revision, time.UnixMicro(last).UTC()
		s.Modalities = parseSet(strings.ToUpper(modalities))
		out = append(out, s)
	}
	return out, rows.Err()
}

// OpenStats tell how much waits.
type OpenStats struct {
	Open      int64     // studies whose content was not announced
	Oldest    time.Time // newest record of the one that has been quiet longest; zero for none
	Announced int64     // announcements that the log has not shown yet
}

// OpenStats counts what waits.
func (db *DB) OpenStats(ctx context.Context) (s OpenStats, err error) {
	rows, err := db.engine.query(ctx, `SELECT (SELECT COUNT(*) FROM completeness WHERE state > 0),
		(SELECT COALESCE(MIN(last_event), 0) FROM completeness WHERE state > 0), (SELECT COUNT(*) FROM announcements)`)
	if err != nil {
		return s, db.failed(ctx, "count open studies", err)
	}
	defer rows.Close()
	var oldest int64
	for rows.Next() {
		if err := rows.Scan(&s.Open, &oldest, &s.Announced); err != nil {
			return s, db.failed(ctx, "count open studies", err)
		}
	}
	if err := rows.Err(); err != nil {
		return s, db.failed(ctx, "count open studies", err)
	}
	if s.Open > 0 {
		s.Oldest = time.UnixMicro(oldest).UTC()
	}
	return s, nil
}

// Whole returns what a study has in it at one moment, as a record tells it: without reason and time, with the
// last revision that was announced (0 for none). Sent is the newest signal and when it came.
type Whole struct {
	event.Study
	CompletedAt time.Time // of Revision
	LastEvent   time.Time
	Signal      string
	SentAt      time.Time
}

const wholeStudy = `SELECT c.tenant, c.study_instance_uid, c.content, c.revision, c.completed, c.last_event, c.signal, c.sent,
		COALESCE(s.modalities, ''), COUNT(DISTINCT e.id), COUNT(i.id), CAST(COALESCE(SUM(i.bytes), 0) AS BIGINT),
		COALESCE(MIN(i.received), 0), COALESCE(MAX(i.received), 0),
		(SELECT COUNT(*) FROM recordings r WHERE r.tenant = c.tenant AND r.study_instance_uid = c.study_instance_uid AND r.priority = 'STAT')
		FROM completeness c LEFT JOIN studies s ON s.tenant = c.tenant AND s.study_instance_uid = c.study_instance_uid
		LEFT JOIN series e ON e.study_id = s.id LEFT JOIN instances i ON i.series_id = e.id
		WHERE c.tenant = $1 AND c.study_instance_uid = $2
		GROUP BY c.tenant, c.study_instance_uid, c.content, c.revision, c.completed, c.last_event, c.signal, c.sent, s.modalities`

// WholeStudy returns a study with its instances counted, or ErrNotFound.
func (db *DB) WholeStudy(ctx context.Context, tenant, study string) (w Whole, err error) {
	rows, err := db.engine.query(ctx, wholeStudy, tenant, study)
	if err != nil {
		return w, db.failed(ctx, "read study", err)
	}
	defer rows.Close()
	found := false
	for rows.Next() {
		var revision, completed, last, sent, first, received, critical int64
		var modalities string
		err := rows.Scan(&w.Tenant, &w.StudyInstanceUID, &w.Digest, &revision, &completed, &last, &w.Signal, &sent, &modalities,
			&w.Series, &w.Instances, &w.Bytes, &first, &received, &critical)
		if err != nil {
			return w, db.failed(ctx, "read study", err)
		}
		found = true
		w.Revision, w.Modalities = int(revision), parseSet(strings.ToUpper(modalities))
		w.CompletedAt, w.LastEvent, w.SentAt = moment(completed), moment(last), moment(sent)
		w.FirstReceived, w.LastReceived = moment(first), moment(received)
		if critical > 0 {
			w.Priority = event.PriorityStat
		}
	}
	if err := rows.Err(); err != nil {
		return w, db.failed(ctx, "read study", err)
	}
	if !found {
		return w, ErrNotFound
	}
	return w, nil
}

// Announce keeps records (study.complete, study.updated) that are to be appended to the log, durably, and returns how
// many. One is kept only while its study is as it says, its revision is the next one (of study.updated: the last
// one), and no other record about the study waits: of several that decide at a time, one does.
func (db *DB) Announce(ctx context.Context, records []event.Envelope) (kept int, err error) {
	type row struct {
		body  *event.Study
		after int64 // revision that the study must have
		event event.Envelope
		text  []byte
	}
	rows := make([]row, 0, len(records))
	for _, e := range records {
		body, err := event.Decode[event.Study](e.Data)
		if err != nil {
			return 0, fmt.Errorf("announce: %w", err)
		}
		text, err := json.Marshal(event.NewCloudEvent(e))
		if err != nil {
			return 0, fmt.Errorf("announce: %w", err)
		}
		after := int64(body.Revision)
		if e.Type == event.TypeStudyComplete {
			after--
		}
		rows = append(rows, row{body, after, e, text})
	}
	err = db.engine.transact(ctx, func(s session) error {
		kept = 0
		for _, r := range rows {
			err := s.each(func(scan scanner) error {
				var id string
				kept++
				return scan(&id)
			}, `INSERT INTO announcements (tenant, study_instance_uid, event_type, revision, event_id, made, event)
				SELECT c.tenant, c.study_instance_uid, CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS TEXT)
				FROM completeness c WHERE c.tenant = $6 AND c.study_instance_uid = $7 AND c.content = $8 AND c.revision = $9 AND c.state > 0
				AND NOT EXISTS (SELECT 1 FROM announcements a WHERE a.tenant = c.tenant AND a.study_instance_uid = c.study_instance_uid)
				ON CONFLICT DO NOTHING RETURNING event_id`,
				r.event.Type, int64(r.body.Revision), r.event.ID, r.event.Time.UnixMicro(), string(r.text),
				r.body.Tenant, r.body.StudyInstanceUID, r.body.Digest, r.after)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, db.failed(ctx, "announce", err)
	}
	return kept, nil
}

// Announcements returns records that wait to be seen in the log, oldest first.
func (db *DB) Announcements(ctx context.Context, limit int) ([]event.Envelope, error) {
	rows, err := db.engine.query(ctx, "SELECT event FROM announcements ORDER BY made, event_id LIMIT $1", limit)
	if err != nil {
		return nil, db.failed(ctx, "read announcements", err)
	}
	defer rows.Close()
	var out []event.Envelope
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, db.failed(ctx, "read announcements", err)
		}
		var c event.CloudEvent
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return nil, db.failed(ctx, "read announcements", err)
		}
		out = append(out, c.Envelope())
	}
	if err := rows.Err(); err != nil {
		return nil, db.failed(ctx, "read announcements", err)
	}
	return out, nil
}

// Lease makes owner the one process that does what name says, for so long from now by the data base's clock, or renews
// that. It returns false while another one is. Where one process has the index, it always is that one. 0 gives
// the lease back.
func (db *DB) Lease(ctx context.Context, name, owner string, d time.Duration) (held bool, err error) {
	if !db.dialect.shared {
		return !db.closed(), nil
	}
	err = db.engine.transact(ctx, func(s session) error {
		held = false
		const now = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
		return s.each(func(scan scanner) error {
			held = true
			var by string
			return scan(&by)
		}, `INSERT INTO leases (name, owner, until) VALUES ($1, $2, `+now+` + CAST($3 AS BIGINT))
			ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
			WHERE leases.owner = excluded.owner OR leases.until < `+now+` RETURNING owner`, name, owner, d.Microseconds())
	})
	if err != nil {
		return false, db.failed(ctx, "lease", err)
	}
	return held, nil
}
