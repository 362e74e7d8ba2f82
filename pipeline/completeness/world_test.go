package completeness_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/completeness"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

const partitions = 3

// memLog is a log of several partitions in memory.
type memLog struct {
	mu      sync.Mutex
	records map[string]map[int32][]eventlog.Record
}

func newMemLog() *memLog { return &memLog{records: map[string]map[int32][]eventlog.Record{}} }

func (l *memLog) Append(_ context.Context, events ...event.Envelope) (at []eventlog.Position, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		h := fnv.New32()
		h.Write([]byte(e.Key))
		if l.records[e.Topic] == nil {
			l.records[e.Topic] = map[int32][]eventlog.Record{}
		}
		p := int32(h.Sum32() % partitions)
		pos := eventlog.Position{Topic: e.Topic, Partition: p, Offset: int64(len(l.records[e.Topic][p]))}
		l.records[e.Topic][p] = append(l.records[e.Topic][p], eventlog.Record{Position: pos, Event: e})
		at = append(at, pos)
	}
	return at, nil
}

func (l *memLog) Heads(_ context.Context, topic string) (heads []eventlog.Position, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range int32(partitions) {
		if n := len(l.records[topic][p]); n > 0 {
			heads = append(heads, eventlog.Position{Topic: topic, Partition: p, Offset: int64(n - 1)})
		}
	}
	return heads, nil
}

func (l *memLog) ReadFrom(_ context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.records[topic][from.Partition]
	first := min(max(from.Offset, 0), int64(len(all)))
	return slices.Clone(all[first:min(int(first)+most, len(all))]), nil
}

// all returns every record of a topic.
func (l *memLog) all(topic string) (out []eventlog.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range int32(partitions) {
		out = append(out, l.records[topic][p]...)
	}
	return out
}

// adapter is the index in the words of the stage, as in cmd/tributary.
type adapter struct{ *index.DB }

func (x adapter) Open(ctx context.Context, q completeness.Query) (studies []completeness.Study, err error) {
	found, err := x.OpenStudies(ctx, index.OpenQuery{Urgent: q.Urgent, Until: q.Until, After: index.OpenStudy(q.After), Limit: q.Limit})
	for _, s := range found {
		studies = append(studies, completeness.Study(s))
	}
	return studies, err
}

func (x adapter) Whole(ctx context.Context, tenant, study string) (completeness.Whole, error) {
	w, err := x.WholeStudy(ctx, tenant, study)
	return completeness.Whole(w), err
}

func (x adapter) Stats(ctx context.Context) (completeness.Stats, error) {
	s, err := x.OpenStats(ctx)
	return completeness.Stats(s), err
}

// world is a log, an index that follows its instances, and stages.
type world struct {
	t       *testing.T
	log     *memLog
	index   *index.DB
	periods string
	number  int
	stop    func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: newMemLog(), periods: "ECG=10s,US=2m,CT=5m,*=2m"}
	w.index = openIndex(t)
	t.Cleanup(func() { w.halt(); w.index.Close() })
	return w
}

func openIndex(t *testing.T) *index.DB {
	t.Helper()
	db, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// object is one instance of a study; what is empty follows from its number.
func (w *world) object(study, modality string) indextest.Instance {
	w.number++
	return indextest.Instance{
		Study: study, Series: study + ".1", SOP: fmt.Sprintf("%s.1.%d", study, w.number), Object: fmt.Sprintf("01OBJECT%06d", w.number),
		Received: time.Now(), Attributes: map[string]string{"Modality": modality},
	}
}

// append puts the record of an object into the log.
func (w *world) append(in indextest.Instance) {
	w.t.Helper()
	body := in.Body()
	typ := event.TypeInstanceStored
	e, err := event.NewInstance(typ, "/node", time.Now(), &body)
	if err == nil {
		_, err = w.log.Append(w.t.Context(), e)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// admit appends objects and brings the index up to the log, as the index stage does.
func (w *world) admit(all ...indextest.Instance) {
	w.t.Helper()
	for _, in := range all {
		w.append(in)
	}
	w.catchUp()
}

func (w *world) catchUp() {
	w.t.Helper()
	catchUp(w.t, w.log, w.index)
}

// catchUp applies what the topic of instances has and the index has not.
func catchUp(t *testing.T, log *memLog, db *index.DB) {
	t.Helper()
	heads, _ := log.Heads(t.Context(), event.TopicInstances)
	for _, head := range heads {
		at, err := db.Applied(t.Context(), event.TopicInstances, head.Partition)
		if err != nil {
			t.Fatal(err)
		}
		head.Offset = at + 1
		records, _ := log.ReadFrom(t.Context(), event.TopicInstances, head, 1<<20)
		if err := db.Apply(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
}

// send keeps the word that a study was sent whole.
func (w *world) send(study, signal string) {
	w.t.Helper()
	e, err := event.NewStudySent("/node", &event.StudySent{Tenant: "clinic", StudyInstanceUID: study, Signal: signal, At: time.Now()})
	if err == nil {
		_, err = w.log.Append(w.t.Context(), e)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.catchUp()
}

// config of a stage of this world.
func (w *world) config() completeness.Config {
	w.t.Helper()
	periods, err := completeness.ParsePeriods(w.periods)
	if err != nil {
		w.t.Fatal(err)
	}
	return completeness.Config{Log: w.log, Index: adapter{w.index}, Periods: periods, Source: "/node"}
}

// start runs a stage until halt.
func (w *world) start() {
	w.t.Helper()
	w.stop = w.run(w.config())
}

func (w *world) halt() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// run runs a stage until the function that it returns.
func (w *world) run(cfg completeness.Config) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- completeness.Run(ctx, cfg) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the stage ended: %v", err)
		}
	}
}

// pass lets time pass, and the stage do what there is to do then.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// said are the announcements in the log about a study, in order: "complete 1 quiet-period 2", "updated 1 changed 3"
// with revision, reason and instances.
func (w *world) said(study string) []string {
	w.t.Helper()
	out := []string{}
	for _, r := range w.log.all(event.TopicStudies) {
		s, err := event.Decode[event.Study](r.Event.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		if s.StudyInstanceUID == study {
			kind := strings.Split(r.Event.Type, ".")[3]
			out = append(out, fmt.Sprintf("%s %d %s %d", kind, s.Revision, s.Reason, s.Instances))
		}
	}
	return out
}

func (w *world) expect(study string, want ...string) {
	w.t.Helper()
	if got := w.said(study); !slices.Equal(got, want) {
		w.t.Errorf("study %s at %v: announced %q, want %q", study, time.Now().UTC(), got, want)
	}
}

func (w *world) state(study string) index.StudyState {
	w.t.Helper()
	s, err := w.index.StudyState(w.t.Context(), "clinic", study)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// verify holds what must be true in any world at rest: a revision has one content, all are there from 1, the last one
// is what the study has in it, and the index is what the log makes.
func (w *world) verify() {
	w.t.Helper()
	type revision struct {
		study, typ string
		number     int
	}
	ids, newest := map[revision]string{}, map[string]int{}
	for _, r := range w.log.all(event.TopicStudies) {
		s, err := event.Decode[event.Study](r.Event.Data)
		if err != nil {
			continue
		}
		k := revision{s.StudyInstanceUID, r.Event.Type, s.Revision}
		if was, ok := ids[k]; ok && was != r.Event.ID {
			w.t.Errorf("%v was announced with two contents", k)
		}
		ids[k] = r.Event.ID
		if r.Event.Type == event.TypeStudyComplete {
			newest[s.StudyInstanceUID] = max(newest[s.StudyInstanceUID], s.Revision)
		}
	}
	for study, last := range newest {
		for n := 1; n <= last; n++ {
			if ids[revision{study, event.TypeStudyComplete, n}] == "" {
				w.t.Errorf("revision %d of %d of %s was never announced", n, last, study)
			}
		}
		s := w.state(study)
		if !s.Complete || s.Revision != last {
			w.t.Errorf("study %s is %+v, and revision %d was announced", study, s, last)
		}
	}
	if left, err := w.index.Announcements(w.t.Context(), 10); err != nil || len(left) > 0 {
		w.t.Errorf("%d announcements wait for the log, %v", len(left), err)
	}
	again := openIndex(w.t)
	defer again.Close()
	if _, err := rebuild.FromLog(w.t.Context(), w.log, again, rebuild.Options{Batch: 3}); err != nil {
		w.t.Fatal(err)
	}
	if a, b := dump(w.t, w.index), dump(w.t, again); a != b {
		w.t.Errorf("the index is\n%s\nand its log makes\n%s", a, b)
	}
}

func dump(t *testing.T, db *index.DB) string {
	t.Helper()
	var b bytes.Buffer
	if err := db.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// errCrash is what a process hears of its last call.
var errCrash = errors.New("crash")
