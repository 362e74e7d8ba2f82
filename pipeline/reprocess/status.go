package reprocess

import (
	"maps"
	"slices"
	"time"
)

// States of a job.
const (
	StateRunning = "running"
	StateStopped = "stopped" // somebody stopped it; the same selection goes on
	StateFailed  = "failed"  // an engine did not answer for too long; the same selection goes on
	StateDone    = "done"
)

// Status is a job as it stands: its selection, how far it is, and what came of it. It names objects by their ids and
// attributes by their keywords, and says nothing of patients.
type Status struct {
	ID            string    `json:"id"` // of this run; a resumed job keeps it
	State         string    `json:"state"`
	DryRun        bool      `json:"dry_run,omitempty"`
	Selection     Selection `json:"selection"`
	Speed         Speed     `json:"speed"`
	ParserVersion int       `json:"parser_version"` // of the parsers that read
	Begun         time.Time `json:"begun"`
	Updated       time.Time `json:"updated"`
	Resumed       int       `json:"resumed,omitempty"` // how often it went on after a stop or a crash
	Waiting       string    `json:"waiting,omitempty"` // why nothing happens just now
	Error         string    `json:"error,omitempty"`   // why it failed

	Objects int64 `json:"objects"` // that are selected, as counted when it began
	Bytes   int64 `json:"bytes"`   // of those
	Counts
}

// Outcomes of an object.
const (
	OutcomeSame       = "same"       // today's parsers say the same of it; it is marked as read by them
	OutcomeChanged    = "changed"    // they say something else, and so does the index now
	OutcomeAdmitted   = "admitted"   // it left the quarantine
	OutcomeWaiting    = "waiting"    // it stays in quarantine
	OutcomeRefused    = "refused"    // today's parsers would not take it: it stays as it is, readers see it as before
	OutcomeIdentity   = "identity"   // today's parsers take it for another object: it stays as it is
	OutcomeGone       = "gone"       // it left the index, or was decided on, meanwhile
	OutcomeUnreadable = "unreadable" // its bytes are damaged or missing
)

// Counts is what came of objects.
type Counts struct {
	Done      int64            `json:"done"`
	DoneBytes int64            `json:"done_bytes"`
	Written   int64            `json:"written"` // records; 0 in a dry run
	Outcomes  map[string]int64 `json:"outcomes"`
	Parts     map[string]int64 `json:"parts,omitempty"`    // changed: attributes, header, layout, recording, reason
	Keywords  map[string]int64 `json:"keywords,omitempty"` // changed: attributes, by their keyword

	Examples map[string][]Example `json:"examples,omitempty"` // by outcome, the first of each
}

// Example is one object.
type Example struct {
	ID       string   `json:"id"`
	NewID    string   `json:"new_id,omitempty"` // of what left the quarantine
	Parts    []string `json:"parts,omitempty"`
	Keywords []string `json:"keywords,omitempty"`
	Why      string   `json:"why,omitempty"`
}

// Bounds of what a status tells.
const (
	maxExamples        = 10
	maxKeywords        = 200
	maxExampleKeywords = 12
)

func newCounts() Counts {
	return Counts{Outcomes: map[string]int64{}, Parts: map[string]int64{}, Keywords: map[string]int64{}, Examples: map[string][]Example{}}
}

// clone is a copy that nobody else writes.
func (c *Counts) clone() Counts {
	n := *c
	n.Outcomes, n.Parts, n.Keywords, n.Examples = cloned(c.Outcomes), cloned(c.Parts), cloned(c.Keywords), cloned(c.Examples)
	for k, v := range n.Examples {
		n.Examples[k] = slices.Clone(v)
	}
	return n
}

func cloned[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}

// add counts an object.
func (c *Counts) add(bytes int64, r result) {
	c.Done++
	c.DoneBytes += bytes
	if r.written {
		c.Written++
	}
	c.Outcomes[r.outcome]++
	for _, p := range r.Parts {
		c.Parts[p]++
	}
	for _, k := range r.Keywords {
		if _, known := c.Keywords[k]; known || len(c.Keywords) < maxKeywords {
			c.Keywords[k]++
		}
	}
	if have := c.Examples[r.outcome]; r.outcome != OutcomeSame && len(have) < maxExamples {
		e := r.Example
		e.Keywords = e.Keywords[:min(len(e.Keywords), maxExampleKeywords)]
		c.Examples[r.outcome] = append(have, e)
	}
}

// Trouble tells whether some object could not be read: a job that is done may have left work for people.
func (s *Status) Trouble() int64 { return s.Outcomes[OutcomeUnreadable] }
