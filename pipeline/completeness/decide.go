package completeness

import (
	"context"
	"fmt"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// decide decides about one batch of studies, if there are any to decide about. It returns whether there may be
// more, and else how long there are none.
func (s *stage) decide(ctx context.Context) (wait time.Duration, more bool, err error) {
	now := time.Now()
	due, next, err := s.due(ctx, now)
	if err != nil {
		return 0, false, err
	}
	if len(due) == 0 {
		return min(max(next.Sub(now), time.Millisecond), s.Poll), false, nil
	}
	// What the log held at that moment must be in the index: an object that waits there to be applied came in
	// time.
	ready, err := s.caughtUp(ctx)
	if err != nil || !ready {
		return s.Poll, false, err
	}
	var records []event.Envelope
	for _, d := range due {
		w, err := s.Index.Whole(ctx, d.Tenant, d.StudyInstanceUID)
		if err != nil {
			return 0, false, fmt.Errorf("count a study: %w", err)
		}
		record, ok, err := s.record(d, w, now)
		if err != nil {
			return 0, false, err
		}
		if ok {
			records = append(records, record)
		}
	}
	if len(records) == 0 {
		return s.Poll, false, nil
	}
	if err := s.hold(ctx); err != nil {
		return 0, false, err
	}
	kept, err := s.Index.Announce(ctx, records)
	if err != nil {
		return 0, false, fmt.Errorf("keep announcements: %w", err)
	}
	if kept == 0 { // all of them have changed meanwhile
		return s.Poll, false, nil
	}
	return 0, true, nil
}

// due returns up to a batch of studies that something is to be said of now, and when the next one comes.
func (s *stage) due(ctx context.Context, now time.Time) (due []Study, next time.Time, err error) {
	next = now.Add(s.Poll)
	urgent, err := s.Index.Open(ctx, Query{Urgent: true, Limit: batch})
	if err != nil || len(urgent) == batch {
		return urgent, next, err
	}
	due = urgent
	q := Query{Until: now.Add(-s.Periods.Shortest()), Limit: batch}
	for len(due) < batch {
		page, err := s.Index.Open(ctx, q)
		if err != nil {
			return nil, next, err
		}
		for _, d := range page {
			if at := d.LastEvent.Add(s.Periods.Of(d.Modalities)); !at.After(now) {
				due = append(due, d)
			} else if at.Before(next) {
				next = at
			}
		}
		if len(page) < batch {
			break
		}
		q.After = page[len(page)-1]
		if err := s.hold(ctx); err != nil {
			return nil, next, err
		}
	}
	early, err := s.early(ctx, now)
	return append(due, early...), next, err
}

// A record whose time is later than that was made by a clock that is wrong, or was. Its study is quiet since this
// process saw it first. maxAhead bounds how many are kept in mind.
const (
	clockError = time.Minute
	maxAhead   = 4096
)

// early returns studies with a record of a time to come that have been quiet nevertheless.
func (s *stage) early(ctx context.Context, now time.Time) (due []Study, err error) {
	page, err := s.Index.Open(ctx, Query{
		After: Study{LastEvent: now.Add(clockError)}, Until: now.AddDate(1000, 0, 0), Limit: maxAhead,
	})
	if err != nil {
		return nil, err
	}
	there := make(map[studyKey]ahead, len(page))
	for _, d := range page {
		k := studyKey{d.Tenant, d.StudyInstanceUID}
		a, ok := s.ahead[k]
		if !ok || !a.event.Equal(d.LastEvent) {
			a = ahead{d.LastEvent, now}
		}
		there[k] = a
		if len(due) < batch && !now.Before(a.seen.Add(s.Periods.Of(d.Modalities))) {
			due = append(due, d)
		}
	}
	s.ahead = there
	return due, nil
}

// quietSince returns since when a study is quiet.
func (s *stage) quietSince(w Whole, now time.Time) time.Time {
	a, ok := s.ahead[studyKey{w.Tenant, w.StudyInstanceUID}]
	if ok && a.event.Equal(w.LastEvent) && w.LastEvent.After(now) {
		return a.seen
	}
	return w.LastEvent
}

// record makes the record about a study that was due at now; ok is false when there is nothing to say any more.
func (s *stage) record(d Study, w Whole, now time.Time) (e event.Envelope, ok bool, err error) {
	period := s.Periods.Of(w.Modalities)
	quiet := s.quietSince(w, now).Add(period)
	body, typ := w.Study, event.TypeStudyComplete
	switch {
	case w.Signal != "" && !w.SentAt.Before(w.LastEvent):
		body.Revision++
		body.Reason, body.At = event.ReasonSignal+w.Signal, w.SentAt
	case !quiet.After(now):
		body.Revision++
		body.Reason, body.At = event.ReasonQuiet, quiet
	case w.Revision > 0 && !d.Told && d.Revision == w.Revision:
		typ, body.Reason, body.At = event.TypeStudyUpdated, event.ReasonChanged, w.LastEvent
	default:
		return e, false, nil // another object came meanwhile
	}
	if typ == event.TypeStudyComplete && w.Revision > 0 && (!d.Told && body.Reason == event.ReasonQuiet || !body.At.After(w.CompletedAt)) {
		body.At = now // a person's decision, or an object with an old time, changed what had been quiet
	}
	e, err = event.NewStudy(typ, s.Source, now, &body)
	if err != nil {
		return e, false, fmt.Errorf("make the record of a study: %w", err)
	}
	return e, true, nil
}

// How long the index may take to catch up with the log before a round ends, and how often it is asked.
const (
	catchUp = 5 * time.Second
	askUp   = 10 * time.Millisecond
)

// caughtUp waits, for a while, until the index has applied what the topic of instances has at the time of the call.
func (s *stage) caughtUp(ctx context.Context) (bool, error) {
	heads, err := s.Log.Heads(ctx, event.TopicInstances)
	if err != nil {
		return false, fmt.Errorf("find the end of the log: %w", err)
	}
	limit := time.Now().Add(catchUp)
	for i, pause := 0, askUp; i < len(heads); {
		reached, err := s.reached(ctx, heads[i])
		switch {
		case err != nil:
			return false, err
		case reached:
			i++
			continue
		case ctx.Err() != nil:
			return false, ctx.Err()
		case time.Now().After(limit):
			if gone, err := s.isGone(ctx, heads[i]); err != nil || !gone {
				return false, err
			}
			continue
		}
		if err := s.hold(ctx); err != nil {
			return false, err
		}
		sleep(ctx, pause)
		pause = min(2*pause, 250*time.Millisecond)
	}
	return true, nil
}

// isGone reports whether the log has nothing more up to head for the index to apply, and keeps that in mind: what was
// there is pruned, and an index that was made since never meets it.
func (s *stage) isGone(ctx context.Context, head eventlog.Position) (bool, error) {
	offset, _, err := s.Index.LastApplied(ctx, event.TopicInstances, head.Partition)
	if err != nil {
		return false, fmt.Errorf("ask the index for its place: %w", err)
	}
	from := eventlog.Position{Topic: event.TopicInstances, Partition: head.Partition, Offset: offset + 1}
	records, err := s.Log.ReadFrom(ctx, event.TopicInstances, from, 1)
	if err != nil {
		return false, fmt.Errorf("read the log behind the index: %w", err)
	}
	if len(records) > 0 && records[0].Offset <= head.Offset {
		return false, nil
	}
	s.gone[head.Partition] = head.Offset
	return true, nil
}

func (s *stage) reached(ctx context.Context, head eventlog.Position) (bool, error) {
	if gone, ok := s.gone[head.Partition]; ok && gone == head.Offset {
		return true, nil
	}
	offset, _, err := s.Index.LastApplied(ctx, event.TopicInstances, head.Partition)
	if err != nil {
		return false, fmt.Errorf("ask the index for its place: %w", err)
	}
	return offset >= head.Offset, nil
}
