package reprocess

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func keeper(t *testing.T) *Keeper {
	t.Helper()
	return &Keeper{Path: filepath.Join(t.TempDir(), "reprocess.json")}
}

// TestGoesOn ends a job at every call in turn, as a crash does, until a run gets through: the next run of the same
// request goes on, all is read, and little of it twice.
func TestGoesOn(t *testing.T) {
	for n := int64(1); ; n++ {
		s, k := newShelf(19, 2), keeper(t)
		cfg := s.config()
		cfg.Keep = k
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int64
		s.fail = func(string) error {
			if calls.Add(1) == n {
				cancel()
				return context.Canceled
			}
			return ctx.Err()
		}
		status, err := Run(ctx, cfg, Request{Selection: Selection{Force: true}})
		reached := ctx.Err() != nil
		cancel()
		if !reached {
			if err != nil || status.State != StateDone || status.Done != 19 {
				t.Errorf("%+v, %v", status, err)
			}
			return
		}
		if !errors.Is(err, context.Canceled) || status.State != StateStopped {
			t.Fatalf("call %d: %s, %v", n, status.State, err)
		}
		s.fail = func(string) error { return nil }
		again, err := Run(t.Context(), cfg, Request{Selection: Selection{Force: true}})
		if err != nil || again.State != StateDone || again.ID != status.ID || again.Resumed != 1 || again.Done != 19 || again.Written != 19 || again.Objects != 19 {
			t.Fatalf("call %d: %+v, %v", n, again, err)
		}
		twice := 0
		for _, o := range s.objects {
			if s.reads[o.ID] == 0 {
				t.Fatalf("call %d: object %s was not read", n, o.ID)
			}
			twice += s.reads[o.ID] - 1
		}
		if twice > 4 {
			t.Fatalf("call %d: %d objects were read twice, more than a page", n, twice)
		}
	}
}

func TestAnotherRequestBeginsAnew(t *testing.T) {
	s := newShelf(9, 2)
	cfg := s.config()
	cfg.Keep = keeper(t)
	stop := func(req Request) Status {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cfg := cfg
		cfg.Tell = func(s Status) {
			if s.Done == 5 {
				cancel()
			}
		}
		status, err := Run(ctx, cfg, req)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return status
	}
	force := Request{Selection: Selection{Force: true}}
	first := stop(force)
	for name, req := range map[string]Request{
		"other objects": {Selection: Selection{Force: true, Modalities: []string{"US"}}},
		"again":         {Selection: Selection{Force: true}, Again: true},
	} {
		if s := stop(req); s.ID == first.ID || s.Resumed != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		first = stop(Request{Selection: force.Selection, Again: true})
	}
	if dry, err := Run(t.Context(), cfg, Request{Selection: force.Selection, DryRun: true}); err != nil || dry.ID == first.ID || dry.Written != 0 || dry.Done != 9 {
		t.Errorf("dry: %+v, %v", dry, err)
	}
	newer := cfg
	s.version = 3
	if status, err := Run(t.Context(), newer, force); err != nil || status.ID == first.ID || status.ParserVersion != 3 {
		t.Errorf("with newer parsers: %+v, %v", status, err)
	}
}

// TestLateComers: what a node of the release before takes in behind the job's place is read too.
func TestLateComers(t *testing.T) {
	s := newShelf(8, 2)
	cfg := s.config()
	late := 0
	cfg.Wait = func(context.Context, eventlog.Position) error {
		if late++; late == 2 {
			s.objects[0].parsers = 0 // as if it had come just now
		}
		return nil
	}
	status, err := Run(t.Context(), cfg, Request{})
	if err != nil || s.stale() != 0 || status.Written != 9 || status.Objects != 8 {
		t.Errorf("%+v, %v; %d are left", status, err, s.stale())
	}
}

func TestOutcomes(t *testing.T) {
	s := newShelf(5, 2)
	s.objects[1].broken = errLost
	s.objects[2].broken = &reject.Error{Code: reject.Malformed, Op: "x"}
	s.objects[3].gone = true
	cfg := s.config()
	listed := false
	cfg.Index = listedAll{s, &listed}
	status, err := Run(t.Context(), cfg, Request{})
	if err != nil || status.Outcomes[OutcomeUnreadable] != 2 || status.Outcomes[OutcomeGone] != 1 || status.Outcomes[OutcomeSame] != 2 || status.Trouble() != 2 || status.Written != 2 {
		t.Errorf("%+v, %v", status, err)
	}
	if e := status.Examples[OutcomeUnreadable]; len(e) != 2 || e[0].Why != "damaged or missing" || e[1].Why != "malformed" {
		t.Errorf("%+v", e)
	}
}

// listedAll lists what is gone too, once: it went between the list and the look.
type listedAll struct {
	*shelf
	listed *bool
}

func (l listedAll) Objects(_ context.Context, _ Selection, _ int, _ Place, most int) (page []Object, next Place, last bool, err error) {
	if *l.listed = most != 1024; !*l.listed {
		return nil, Place{}, true, nil
	}
	for _, o := range l.objects {
		if o.parsers < l.version && (o.broken == nil || l.reads["pass"] == 0) && !(o.gone && l.reads["pass"] > 0) {
			page = append(page, o.Object)
		}
	}
	l.reads["pass"]++
	return page, Place{}, true, nil
}

// A parser that panics costs its object, not the node.
func TestPanicIsOfOneObject(t *testing.T) {
	s := newShelf(6, 2)
	panicked := false
	s.fail = func(call string) error {
		if call == "read" && !panicked {
			panicked = true
			panic("index out of range")
		}
		return nil
	}
	cfg := s.config()
	cfg.Page = 8
	status, err := Run(t.Context(), cfg, Request{})
	if err != nil || status.State != StateDone || status.Outcomes[OutcomeUnreadable] != 1 || status.Outcomes[OutcomeSame] != 6 {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestIdentityStays(t *testing.T) {
	o := Object{Kind: KindInstance, ID: "1", Tenant: "t", SOPInstanceUID: "1.2", DatasetSHA256: "aa", TransferSyntaxUID: "1.9"}
	good := func() *event.Instance {
		return &event.Instance{
			ObjectID: "1", Tenant: "t", IDs: event.IDs{SOPInstanceUID: "1.2", SOPClassUID: "1.3"},
			Blob: event.Blob{DatasetSHA256: "aa", TransferSyntaxUID: "1.9"},
		}
	}
	if outcome, why := fits(o, event.TypeInstanceConflict, good()); outcome != "" {
		t.Errorf("the same object: %s, %s", outcome, why)
	}
	for name, change := range map[string]func(*event.Instance){
		"id": func(e *event.Instance) { e.ObjectID = "2" }, "tenant": func(e *event.Instance) { e.Tenant = "u" },
		"uid": func(e *event.Instance) { e.IDs.SOPInstanceUID = "1.4" }, "data set": func(e *event.Instance) { e.Blob.DatasetSHA256 = "bb" },
		"syntax": func(e *event.Instance) { e.Blob.TransferSyntaxUID = "" }, "format": func(e *event.Instance) { e.IDs.SOPClassUID = "" },
	} {
		ev := good()
		change(ev)
		if outcome, why := fits(o, event.TypeInstanceStored, ev); outcome != OutcomeIdentity || why == "" {
			t.Errorf("another %s: %q, %q", name, outcome, why)
		}
	}
	if outcome, _ := fits(o, event.TypeInstanceQuarantined, good()); outcome != OutcomeRefused {
		t.Errorf("refused now: %q", outcome)
	}
}

// TestPatience holds that an engine which is away is waited for, and for how long.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(3, 2)
		cfg := s.config()
		begin, away := time.Now(), errors.New("the bucket does not answer")
		s.fail = func(call string) error {
			if call == "read" && time.Since(begin) < 90*time.Second {
				return away
			}
			return nil
		}
		waited := ""
		cfg.Tell = func(s Status) {
			if s.Waiting != "" {
				waited = s.Waiting
			}
		}
		status, err := Run(t.Context(), cfg, Request{})
		if err != nil || status.Written != 3 || !strings.Contains(waited, away.Error()) || status.Waiting != "" {
			t.Errorf("%+v, %v, waited for %q", status, err, waited)
		}
		begin = time.Now()
		cfg.Patience = time.Minute
		s.version = 3
		status, err = Run(t.Context(), cfg, Request{})
		if !errors.Is(err, away) || status.State != StateFailed || status.Error == "" || time.Since(begin) > 80*time.Second {
			t.Errorf("%+v, %v after %v", status, err, time.Since(begin))
		}
	})
}

// TestPace holds that a job keeps to its rates, whatever it reads.
func TestPace(t *testing.T) {
	for name, c := range map[string]struct {
		speed Speed
		want  time.Duration
	}{
		"objects":  {Speed{Objects: 10}, 10 * time.Second},
		"bytes":    {Speed{Bytes: 20}, 50 * time.Second},
		"both":     {Speed{Objects: 1, Bytes: 1000, Parallel: 4}, 100 * time.Second},
		"parallel": {Speed{Objects: 50, Parallel: 8}, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf(100, 2)
				begin := time.Now()
				if _, err := Run(t.Context(), s.config(), Request{Speed: c.speed}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took < c.want-2*time.Second || took > c.want {
					t.Errorf("took %v, want about %v", took, c.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // nothing overflows
		p := pace{speed: Speed{Objects: 1e-300, Bytes: 1e-300}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_ = p.take(ctx, math.MaxInt64)
		if err := p.take(ctx, math.MaxInt64); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a rate of nothing: %v", err)
		}
	})
}

func TestJobs(t *testing.T) {
	s := newShelf(40, 2)
	cfg := s.config()
	cfg.Keep = keeper(t)
	gate := make(chan struct{})
	s.fail = func(call string) error {
		if call == "read" {
			<-gate
		}
		return nil
	}
	jobs := NewJobs(cfg)
	if jobs.Status().State != "" {
		t.Errorf("%+v", jobs.Status())
	}
	first, err := jobs.Start(Request{})
	if err != nil || first.State != StateRunning {
		t.Fatalf("%+v, %v", first, err)
	}
	if same, err := jobs.Start(Request{}); err != nil || same.ID != first.ID {
		t.Errorf("the same again: %+v, %v", same, err)
	}
	for _, other := range []Request{{DryRun: true}, {Selection: Selection{Force: true}}} {
		if _, err := jobs.Start(other); !errors.Is(err, ErrBusy) {
			t.Errorf("another one: %v", err)
		}
	}
	if _, err := jobs.Start(Request{Selection: Selection{Kinds: []string{"x"}}}); !errors.Is(err, ErrBusy) {
		t.Errorf("a bad one: %v", err)
	}
	for range 10 {
		gate <- struct{}{}
	}
	go func() { // the object in hand
		for {
			select {
			case gate <- struct{}{}:
			case <-t.Context().Done():
				return
			}
		}
	}()
	stopped := jobs.Stop()
	if stopped.State != StateStopped && stopped.State != StateDone || stopped.ID != first.ID || stopped.Done < 10 {
		t.Errorf("%+v", stopped)
	}
	if _, err := jobs.Start(Request{Selection: Selection{Kinds: []string{"x"}}}); err == nil {
		t.Error("a bad request was taken")
	}
	jobs.Close()
	if _, err := jobs.Start(Request{}); !errors.Is(err, ErrEnding) {
		t.Errorf("after the end: %v", err)
	}
	// The next node shows it, and does not go on with what somebody has stopped.
	next := NewJobs(cfg)
	if err := next.Resume(); err != nil || next.Status().State != stopped.State {
		t.Errorf("%+v, %v", next.Status(), err)
	}
	next.Close()
}

// TestJobsOutliveTheNode: what runs when a node ends goes on at its next start, by itself.
func TestJobsOutliveTheNode(t *testing.T) {
	s := newShelf(40, 2)
	cfg := s.config()
	cfg.Keep = keeper(t)
	reached, hold := make(chan struct{}), make(chan struct{})
	reads := 0
	s.fail = func(call string) error {
		if call == "read" {
			if reads++; reads == 20 {
				close(reached)
				<-hold
			}
		}
		return nil
	}
	jobs := NewJobs(cfg)
	first, err := jobs.Start(Request{})
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	closed := make(chan struct{})
	go func() { jobs.Close(); close(closed) }()
	for jobs.base.Err() == nil {
		time.Sleep(time.Millisecond) // until the job knows
	}
	close(hold)
	<-closed
	if s.stale() == 0 {
		t.Fatal("the job was done before the node ended")
	}
	next := NewJobs(cfg)
	if err := next.Resume(); err != nil {
		t.Fatal(err)
	}
	for next.Status().State == StateRunning {
		time.Sleep(time.Millisecond)
	}
	if got := next.Status(); got.ID != first.ID || got.State != StateDone || got.Resumed != 1 || s.stale() != 0 {
		t.Errorf("%+v, %d are left", got, s.stale())
	}
	next.Close()
}

// A job of other parsers does not go on, and nobody is told that it runs.
func TestJobOfOtherParsersRests(t *testing.T) {
	s := newShelf(4, 3)
	cfg := s.config()
	cfg.Keep = keeper(t)
	was := Status{ID: "1", State: StateRunning, ParserVersion: 2, Objects: 4, Counts: newCounts()}
	if err := cfg.Keep.Save(&Kept{Status: was}); err != nil {
		t.Fatal(err)
	}
	jobs := NewJobs(cfg)
	defer jobs.Close()
	if err := jobs.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := jobs.Status(); got.ID != "1" || got.State != StateStopped {
		t.Errorf("%+v", got)
	}
}

func TestKeeper(t *testing.T) {
	k := keeper(t)
	if kept, err := k.Load(); kept != nil || err != nil {
		t.Errorf("%+v, %v", kept, err)
	}
	want := Kept{Status: Status{ID: "1", State: StateRunning, Selection: Selection{Studies: []string{"1.2"}}, Counts: newCounts()}, Place: Place{Key: "k"}, Pass: 2}
	if err := k.Save(&want); err != nil {
		t.Fatal(err)
	}
	got, err := k.Load()
	if err != nil || got.Place != want.Place || got.Pass != 2 || !got.Status.Selection.same(&want.Status.Selection) {
		t.Errorf("%+v, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Dir(k.Path)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	for _, doc := range []string{"", "{", "null", `{"status":{"id":""}}`, `{"status":{"id":"1"},"pass":-1}`} {
		if err := os.WriteFile(k.Path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		if kept, err := k.Load(); kept != nil || err != nil {
			t.Errorf("%q: %+v, %v", doc, kept, err)
		}
	}
	if err := (&Keeper{Path: filepath.Join(t.TempDir(), "no", "such")}).Save(&want); err == nil {
		t.Error("saved into a folder that is not there")
	}
}

func TestSelectionValidate(t *testing.T) {
	many := slices.Repeat([]string{"1.2"}, 65)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		s    Selection
		want string // "" is good
	}{
		"nothing":       {Selection{}, ""},
		"all":           {Selection{Kinds: []string{KindOriginal}, Studies: []string{"1.2.3"}, Modalities: []string{"US"}, SOPClasses: []string{"1.2"}, Formats: []string{"scp-ecg"}, Reasons: []string{"truncated"}, From: at, To: at.Add(1), OlderThan: 2}, ""},
		"kind":          {Selection{Kinds: []string{"study"}}, "kind"},
		"study":         {Selection{Studies: []string{"../x"}}, "Study Instance UID"},
		"studies":       {Selection{Studies: many}, "65"},
		"empty":         {Selection{Modalities: []string{""}}, "modality"},
		"modality":      {Selection{Modalities: []string{"U S"}}, "modality"},
		"long":          {Selection{Formats: []string{strings.Repeat("x", 200)}}, "format"},
		"control":       {Selection{Formats: []string{"\x1b[2J"}}, "format"},
		"reason":        {Selection{Reasons: []string{"because"}}, "reason"},
		"times":         {Selection{From: at, To: at}, "received"},
		"from tomorrow": {Selection{OlderThan: 4}, "version 4"},
		"negative":      {Selection{OlderThan: -1}, "version -1"},
		"both":          {Selection{OlderThan: 1, Force: true}, "either"},
		"several":       {Selection{Kinds: []string{"x"}, Reasons: []string{"y"}}, "reason"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.s.Validate(3)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	for _, s := range []Speed{{Objects: -1}, {Bytes: math.NaN()}, {Objects: math.Inf(1)}, {Parallel: 17}, {Parallel: -1}} {
		if s.Validate() == nil {
			t.Errorf("%+v is good", s)
		}
	}
}

// FuzzRequest holds that whatever a request or a kept job says, it is refused or bounded, and survives being written.
func FuzzRequest(f *testing.F) {
	for _, r := range []Request{
		{},
		{DryRun: true, Speed: Speed{Objects: 10, Bytes: 1 << 20, Parallel: 2}},
		{Selection: Selection{Studies: []string{"1.2.3", "1.2"}, Kinds: kinds, Reasons: []string{"truncated"}, From: time.Unix(1, 0).UTC(), OlderThan: 1}},
		{Selection: Selection{Force: true, Modalities: []string{"ECG"}, Formats: []string{"aecg"}}},
	} {
		doc, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	kept, err := json.Marshal(Kept{Status: Status{ID: "1", Counts: newCounts()}, Place: Place{Kind: "instance", Key: "1.2"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kept)
	f.Fuzz(func(t *testing.T, doc []byte) {
		if k := decodeKept(doc); k != nil {
			again, err := json.Marshal(k)
			if err != nil {
				t.Fatal(err)
			}
			if l := decodeKept(again); l == nil || l.Place != k.Place || l.Status.ID != k.Status.ID && !bytes.ContainsRune([]byte(k.Status.ID), '\uFFFD') {
				t.Fatalf("%s became %s", doc, again)
			}
		}
		var r Request
		if json.Unmarshal(doc, &r) != nil || r.Validate(3) != nil {
			return
		}
		for _, list := range [][]string{r.Kinds, r.Studies, r.Modalities, r.SOPClasses, r.Formats, r.Reasons} {
			if len(list) > 64 {
				t.Fatalf("%d values", len(list))
			}
			for _, v := range list {
				if v == "" || len(v) > maxValue || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' }) {
					t.Fatalf("%q was taken", v)
				}
			}
		}
		if below := r.below(3); below < 0 || below > 3 {
			t.Fatalf("below %d", below)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var s Request
		if err := json.Unmarshal(again, &s); err != nil || !r.Selection.same(&s.Selection) || !reflect.DeepEqual(r.Speed, s.Speed) {
			t.Fatalf("%s became %s, %v", doc, again, err)
		}
	})
}

func TestCountsAreBounded(t *testing.T) {
	c := newCounts()
	for i := range 1000 {
		c.add(1, result{outcome: OutcomeChanged, Example: Example{ID: fmt.Sprint(i), Parts: []string{"attributes"}, Keywords: slices.Repeat([]string{fmt.Sprint("k", i)}, 50)}})
	}
	if c.Done != 1000 || len(c.Keywords) > maxKeywords || len(c.Examples[OutcomeChanged]) != maxExamples || len(c.Examples[OutcomeChanged][0].Keywords) > maxExampleKeywords {
		t.Errorf("%d keywords, %d examples", len(c.Keywords), len(c.Examples[OutcomeChanged]))
	}
	doc, err := json.Marshal(Kept{Status: Status{Counts: c}})
	if err != nil || len(doc) > maxKept {
		t.Errorf("%d bytes, %v", len(doc), err)
	}
}
