package reprocess

import (
	"context"
	"errors"
	"sync"
)

// ErrBusy is returned for a request while another one is worked on.
var ErrBusy = errors.New("another selection is being reprocessed: wait for it, or stop it first")

// ErrEnding is returned for a request to a node that ends.
var ErrEnding = errors.New("the node ends")

var errStopped = errors.New("stopped by an operator")

// Jobs runs one job at a time within a node. A job that a crash or the node's end cut off goes on at the next start.
type Jobs struct {
	cfg  Config
	base context.Context
	end  context.CancelCauseFunc

	mu      sync.Mutex
	last    Status // State "" where there never was one
	request Request
	stop    context.CancelCauseFunc // nil while nothing runs
	done    chan struct{}           // closed when the job that runs has ended
	ended   bool
}

// NewJobs returns Jobs over a node's engines. cfg.Tell is theirs.
func NewJobs(cfg Config) *Jobs {
	j := &Jobs{cfg: cfg}
	j.base, j.end = context.WithCancelCause(context.Background())
	j.cfg.Tell = j.tell
	return j
}

// Resume goes on with a job that was running when the node ended, and otherwise remembers the last one.
func (j *Jobs) Resume() error {
	kept, err := j.cfg.Keep.Load()
	if err != nil || kept == nil {
		return err
	}
	j.mu.Lock()
	if j.last = kept.Status; j.last.State == StateRunning {
		j.last.State, j.last.Waiting = StateStopped, "" // until it goes on, which parsers of another version do not
	}
	j.mu.Unlock()
	if kept.Status.State != StateRunning || kept.Status.ParserVersion != j.cfg.Intake.ParserVersion() {
		return nil
	}
	_, err = j.Start(Request{Selection: kept.Status.Selection, Speed: kept.Status.Speed})
	return err
}

// Start begins a job, or goes on with it, and returns at once. While the same request is worked on already, its status
// is returned; another one gives ErrBusy. A bad request gives the error of Request.Validate.
func (j *Jobs) Start(req Request) (Status, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.ended:
		return j.last, ErrEnding
	case j.stop != nil && j.request.DryRun == req.DryRun && j.request.Selection.same(&req.Selection):
		return j.last, nil
	case j.stop != nil:
		return j.last, ErrBusy
	}
	job, err := newJob(&j.cfg, req)
	if err != nil {
		return j.last, err
	}
	ctx, stop := context.WithCancelCause(j.base)
	done := make(chan struct{})
	j.request, j.stop, j.done, j.last = req, stop, done, job.snapshot()
	go func() {
		defer close(done)
		s, err := job.run(ctx)
		stop(nil)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.last, j.stop = s, nil
		if err != nil && s.State == StateFailed {
			j.cfg.logger().Error("reprocessing failed; the same request goes on", "objects", s.Done, "records", s.Written, "error", err.Error())
			return
		}
		j.cfg.logger().Info("reprocessing ended", "state", s.State, "objects", s.Done, "records", s.Written)
	}()
	return j.last, nil
}

// Stop ends the job that runs, if any, and returns its status once it has ended. The same request goes on.
func (j *Jobs) Stop() Status {
	j.mu.Lock()
	done := j.done
	if j.stop != nil {
		j.stop(errStopped)
	}
	j.mu.Unlock()
	if done != nil {
		<-done
	}
	return j.Status()
}

// Status is that of the job that runs, or of the last one.
func (j *Jobs) Status() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// Close ends the job that runs; it goes on at the next start of the node.
func (j *Jobs) Close() {
	j.mu.Lock()
	j.ended = true
	done := j.done
	j.mu.Unlock()
	j.end(errShutdown)
	if done != nil {
		<-done
	}
}

func (j *Jobs) tell(s Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stop != nil && s.ID == j.last.ID {
		j.last = s
	}
}
