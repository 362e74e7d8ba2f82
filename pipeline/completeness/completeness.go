package completeness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Log is what the stage needs of the event log.
type Log interface {
	// Append makes events durable, as eventlog.Log says.
	Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error)

	// Heads returns the newest position of each partition of a topic that has records.
	Heads(ctx context.Context, topic string) ([]eventlog.Position, error)

	// ReadFrom returns up to most records of from.Partition at and behind from.Offset, oldest first, and
	// none when there are none.
	ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error)
}

// Index is where the stage's knowledge lies; *index.DB has it but for the types.
type Index interface {
	// Apply makes the effect of records and their positions durable in one transaction. An error with the
	// method Permanent() bool returning true is the fault of a record.
	Apply(ctx context.Context, records []eventlog.Record) error

	// LastApplied returns the offset and event id of the last applied record of a partition, -1 for none.
	LastApplied(ctx context.Context, topic string, partition int32) (offset int64, eventID string, err error)

	// Rewind makes Apply take a partition of the topic of studies from its beginning.
	Rewind(ctx context.Context, topic string, partition int32) error

	// Lease makes owner the one that works, for d from now, or renews that; false while another one is. 0
	// gives it back.
	Lease(ctx context.Context, name, owner string, d time.Duration) (bool, error)

	// Open returns studies whose content was not announced, by their newest record, oldest first, without those
	// that have an announcement that the log has not shown yet.
	Open(ctx context.Context, q Query) ([]Study, error)

	// Whole returns what a study has in it at one moment. Its Revision is the last one that was announced.
	Whole(ctx context.Context, tenant, study string) (Whole, error)

	// Announce keeps records that are to be appended, durably, each unless its study has changed or another
	// record about it waits. It returns how many it kept.
	Announce(ctx context.Context, records []event.Envelope) (int, error)

	// Announcements returns kept records that Apply has not met in the log, oldest first.
	Announcements(ctx context.Context, limit int) ([]event.Envelope, error)

	// Stats counts what waits.
	Stats(ctx context.Context) (Stats, error)
}

// Query asks for a page of open studies.
type Query struct {
	Urgent bool      // those with a signal, and complete ones that changed and of which nobody was told
	Until  time.Time // of the others: with a newest record at or before
	After  Study     // those behind the last one of the page before, or behind its LastEvent where that is all it has
	Limit  int
}

// Study is an open study.
type Study struct {
	Tenant, StudyInstanceUID string
	Signaled                 bool // a signal is newer than every object
	Revision                 int
	Told                     bool      // that Revision does not hold any more
	LastEvent                time.Time // of the newest object's record
	Modalities               []string  // upper case
}

// Whole is a study with its instances counted.
type Whole struct {
	event.Study
	CompletedAt time.Time // of Revision, zero for none
	LastEvent   time.Time
	Signal      string
	SentAt      time.Time // of Signal, zero for none
}

// Stats tell how much waits.
type Stats struct {
	Open      int64
	Oldest    time.Time // newest record of the study that has been quiet longest; zero for none
	Announced int64     // announcements that the log has not shown
}

// Config of the stage. Log and Index are required.
type Config struct {
	Log     Log
	Index   Index
	Periods Periods // zero: DefaultPeriods

	// Poll is how often the stage looks for what is to be said at once. Default a second, or a quarter of the
	// shortest period where that is less, at least 20 ms.
	Poll time.Duration

	// Lease is how long a process that died keeps others from going on with its work. Default 15 s.
	Lease time.Duration

	Owner   string // of the lease, another one for each process; default a new id
	Source  string // ce_source of records, the node
	Version string // of this release, told in dead letters
	Metrics *Metrics
	Logger  *slog.Logger
}

// batch is how many studies are decided, and records applied or appended, at a time.
const batch = 256

// leaseName is the work that one process does.
const leaseName = "completeness"

// Pauses after a failure.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 15 * time.Second
)

// Run announces studies until ctx ends, and then returns nil. What fails is tried again, for ever.
func Run(ctx context.Context, cfg Config) error {
	s, err := newStage(cfg)
	if err != nil {
		return err
	}
	defer s.giveBack(ctx)
	pause := firstPause
	for ctx.Err() == nil {
		wait, err := s.round(ctx)
		switch {
		case err == nil:
			pause = firstPause
		case ctx.Err() != nil:
		case errors.Is(err, eventlog.ErrClosed):
			return fmt.Errorf("completeness: %w", err)
		default:
			s.Logger.Warn("completeness of studies waits and is tried again", slog.String("error", err.Error()))
			s.Metrics.failed()
			wait, pause = pause, min(2*pause, maxPause)
		}
		sleep(ctx, wait)
	}
	return nil
}

type stage struct {
	Config
	held    bool                 // the lease, when it was last asked for
	until   time.Time            // when it is to be renewed
	gone    map[int32]int64      // partitions of instances of which nothing is left up to this end
	known   map[int32]bool       // partitions of which the index's place was found in the log
	sent    map[string]time.Time // announcements that this process appended, by id
	ahead   map[studyKey]ahead   // studies whose newest record has a time that is still to come
	counted time.Time            // when Stats were last asked for
}

type studyKey struct{ tenant, uid string }

// ahead is a record with a time to come, and when the stage saw it first.
type ahead struct{ event, seen time.Time }

func newStage(cfg Config) (*stage, error) {
	if cfg.Log == nil || cfg.Index == nil {
		return nil, errors.New("completeness without Log or Index")
	}
	if cfg.Periods.others == 0 {
		cfg.Periods = DefaultPeriods()
	}
	if cfg.Poll <= 0 {
		cfg.Poll = min(max(cfg.Periods.Shortest()/4, 20*time.Millisecond), time.Second)
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 15 * time.Second
	}
	if cfg.Owner == "" {
		cfg.Owner = event.NewID()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &stage{Config: cfg, gone: map[int32]int64{}, known: map[int32]bool{}, sent: map[string]time.Time{}, ahead: map[studyKey]ahead{}}, nil
}

// errNotMine ends a round of a process that has lost the lease.
var errNotMine = errors.New("another process goes on")

// round does all that is to be done now, and tells how long there is nothing more.
func (s *stage) round(ctx context.Context) (wait time.Duration, err error) {
	switch err := s.hold(ctx); {
	case errors.Is(err, errNotMine):
		s.Metrics.idle()
		return s.Lease / 3, nil
	case err != nil:
		return 0, err
	}
	for {
		// Also between what was decided and its append: where the index went back meanwhile (a standby took over), the
		// log may have the revision already, and then takes ours out.
		if err := s.follow(ctx); err != nil {
			return 0, notMine(err)
		}
		if err := s.send(ctx); err != nil {
			return 0, notMine(err)
		}
		next, more, err := s.decide(ctx)
		if err != nil {
			return 0, notMine(err)
		}
		if !more {
			s.count(ctx)
			return next, nil
		}
	}
}

// notMine makes the loss of the lease into the end of a round.
func notMine(err error) error {
	if errors.Is(err, errNotMine) {
		return nil
	}
	return err
}

// hold renews the lease when a third of it has passed.
func (s *stage) hold(ctx context.Context) error {
	if now := time.Now(); now.Before(s.until) {
		return nil
	}
	begin := time.Now()
	held, err := s.Index.Lease(ctx, leaseName, s.Owner, s.Lease)
	if err != nil {
		s.held = false
		return err
	}
	if held && !s.held { // what others did meanwhile is found in the log
		clear(s.known)
		clear(s.sent)
	}
	if s.held = held; !held {
		return errNotMine
	}
	s.until = begin.Add(s.Lease / 3)
	return nil
}

// giveBackTimeout bounds the last word to the index.
const giveBackTimeout = 2 * time.Second

// giveBack lets another process go on at once.
func (s *stage) giveBack(ctx context.Context) {
	if !s.held {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
	defer cancel()
	if _, err := s.Index.Lease(ctx, leaseName, s.Owner, 0); err != nil {
		s.Logger.Info("another process goes on when the lease has run out", slog.String("error", err.Error()))
	}
}

// countEvery is how often what waits is counted, for the metrics.
const countEvery = 5 * time.Second

func (s *stage) count(ctx context.Context) {
	if s.Metrics == nil || time.Since(s.counted) < countEvery {
		return
	}
	s.counted = time.Now()
	if stats, err := s.Index.Stats(ctx); err == nil { // the next round tells why not
		s.Metrics.waiting(stats)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
