package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Events is the live view of the log: GET /events as server-sent events (HTML §9.2). A client that comes
// back with Last-Event-ID misses nothing; one without it starts at now.
type Events struct {
	log Follower

	mu      sync.Mutex
	streams map[*context.CancelFunc]bool
	closed  bool
}

// Bounds of the live view: streams at once, records read together, and how often a silent line is shown
// to be alive (proxies cut those that are silent for a minute).
const (
	maxStreams  = 256 // each search page that is looked at has one
	eventsBatch = 64
	heartbeat   = 15 * time.Second
)

// NewEvents returns the handler of GET /events.
func NewEvents(log Follower) *Events {
	return &Events{log: log, streams: map[*context.CancelFunc]bool{}}
}

// Close ends all streams, so that a server can shut down.
func (e *Events) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for cancel := range e.streams {
		(*cancel)()
	}
}

// enter admits a stream until leave.
func (e *Events) enter(cancel *context.CancelFunc) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.streams) >= maxStreams {
		return false
	}
	e.streams[cancel] = true
	return true
}

func (e *Events) leave(cancel *context.CancelFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, cancel)
}

// ServeHTTP implements http.Handler.
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if !e.enter(&cancel) {
		w.Header().Set("Retry-After", "10")
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "too many listeners; try again later"})
		return
	}
	defer e.leave(&cancel)
	c, err := followAll(ctx, e.log, r.Header.Get("Last-Event-ID"))
	if errors.Is(err, ErrCursor) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "Last-Event-ID is the id of an event of this log"})
		return
	}
	if err != nil {
		w.Header().Set("Retry-After", "10")
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "the log cannot be followed now; try again later"})
		return
	}
	defer c.close()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	s := stream{w, http.NewResponseController(w)}
	if s.write(": connected\n\n") != nil {
		return
	}
	for {
		wait, stop := context.WithTimeout(ctx, heartbeat)
		records, err := c.next(wait)
		stop()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && wait.Err() == nil:
			return // the log is closing; the client comes back
		case len(records) == 0:
			err = s.write(": alive\n\n")
		default:
			err = s.send(records)
		}
		if err != nil {
			return
		}
	}
}

type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (s stream) write(text string) error {
	// A listener that reads no more must not hold its stream for ever.
	if err := s.rc.SetWriteDeadline(time.Now().Add(2 * heartbeat)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}

func (s stream) send(records []Shown) error {
	var text []byte
	for _, rec := range records {
		data, err := json.Marshal(liveOf(rec.Event))
		if err != nil {
			return err
		}
		text = fmt.Appendf(text, "id: %s\nevent: %s\ndata: %s\n\n", rec.Cursor, rec.Event.Type, data)
	}
	return s.write(string(text))
}

// live is an event as the stream shows it: what happened to which object, without header and layout.
type live struct {
	ID       string           `json:"id"`
	Type     string           `json:"type"`
	Time     time.Time        `json:"time"`
	ObjectID string           `json:"object_id,omitempty"`
	Door     string           `json:"door,omitempty"`
	Bytes    int64            `json:"bytes,omitempty"`
	Format   string           `json:"format,omitempty"`
	IDs      *event.IDs       `json:"ids,omitempty"`
	Reason   string           `json:"reason,omitempty"`
	Warnings []part10.Warning `json:"warnings,omitempty"`
	Priority string           `json:"priority,omitempty"` // event.PriorityStat: look now
	Findings []event.Finding  `json:"findings,omitempty"` // why

	Redescribes string       `json:"redescribes,omitempty"` // no object came: one that was there is read again
	Action      string       `json:"action,omitempty"`      // of a person's decision
	Study       *event.Study `json:"study,omitempty"`       // that is complete, or is no longer
	Signal      string       `json:"signal,omitempty"`      // that the study of IDs was sent whole
}

// liveOf shows what is known of env; a record of a later version has its envelope only.
func liveOf(env event.Envelope) live {
	l := live{ID: env.ID, Type: env.Type, Time: env.Time}
	body, err := event.DecodeRecord(env)
	if err != nil {
		return l
	}
	switch b := body.(type) {
	case *event.Instance:
		l.ObjectID, l.Door, l.Bytes, l.Format = b.ObjectID, b.Origin.Door, b.Blob.Bytes, b.Blob.Format
		l.IDs, l.Reason, l.Warnings = &b.IDs, b.Reason, b.Warnings
		l.Priority, l.Findings, l.Redescribes = b.Priority, b.Findings, b.Redescribes
	case *event.Resolution:
		l.ObjectID, l.Action = b.ObjectID, b.Action
	case *event.Study:
		l.IDs, l.Study, l.Reason, l.Bytes, l.Priority = &event.IDs{StudyInstanceUID: b.StudyInstanceUID}, b, b.Reason, b.Bytes, b.Priority
	case *event.StudySent:
		l.IDs, l.Signal = &event.IDs{StudyInstanceUID: b.StudyInstanceUID}, b.Signal
	}
	return l
}
