package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/internal/faultproxy"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/audit"
)

// town is a fleet with one node of each kind, and a second one that takes in. Each test finds it well and
// leaves it so.
type town struct {
	*fleet
	a, b, index, reader *post
	objects             int // numbers that are used up
}

// books returns the books of one test, whose objects nobody else has.
func (w *town) books() *books {
	w.objects += 10_000
	return newBooks(200_000 + w.objects)
}

// TestFaults breaks one engine at a time in the ways of docs/decisions/0010-proof.md, and looks at what
// devices, readers and operators see meanwhile, and at what is there afterwards.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; not with -short")
	}
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	f := newFleet(t, s)
	w := &town{fleet: f, a: f.post("intake"), b: f.post("intake"), index: f.post("index"), reader: f.post("review")}
	for _, c := range []struct {
		name  string
		check func(*testing.T, *town)
	}{
		// First: what they cost grows with what is there.
		{"F10 Kafka loses its end", kafkaLosesItsEnd},
		{"F10 Kafka loses everything", kafkaLosesAll},
		{"F07 S3 says 500, answers late or not at all", s3Errors},
		{"F07 readers over broken lines", readersOverBrokenLines},
		{"F08 S3 is away", s3Away},
		{"F09 Kafka is away", kafkaAway},
		{"F11 PostgreSQL is away", postgresAway},
		{"F12 indexers are killed and frozen", indexersKilled},
		{"F14 rivals at two nodes", rivalsApart},
		{"F23 rolling restart under load", rollingRestart},
		{"F25 partitions", partitions},
		{"F26 a zombie", zombie},
		{"all that was sent", func(t *testing.T, w *town) { w.wellAndWhole(t) }},
		{"F27 bit rot", bitRot},
		{"F13 poison", poison},
	} {
		ok := t.Run(c.name, func(t *testing.T) {
			w.t = t
			defer func() { w.t = f.t }()
			began := time.Now()
			c.check(t, w)
			t.Logf("%.1f s", time.Since(began).Seconds())
		})
		if !ok {
			return // what follows would find the town broken
		}
	}
}

// send hands n new objects to the doors of some posts, eight at a time, and returns how many were not taken
// at the first try. Those wait in the books.
func (b *books) send(t *testing.T, n int, posts ...*post) (refused int) {
	t.Helper()
	var workers sync.WaitGroup
	var mu sync.Mutex
	at := 0
	for range 8 {
		workers.Go(func() {
			for {
				mu.Lock()
				i := at
				at++
				mu.Unlock()
				if i >= n {
					return
				}
				where, via := posts[i%len(posts)], doors[(i/len(posts))%len(doors)]
				if err := b.sendNew(t.Context(), where, via); err != nil {
					mu.Lock()
					refused++
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return refused
}

// sendNew sends an object that nobody has seen.
func (b *books) sendNew(ctx context.Context, at *post, via string) error {
	b.mu.Lock()
	p := parcel{twisted: twisted{object: object{number: b.next, pixels: sizeOf(b.next)}}}
	b.next++
	b.sent[p.number] = map[byte]bool{0: true}
	b.mu.Unlock()
	n := at.now()
	if n == nil {
		b.answered(p, via, device.Outcome{}, &device.TemporaryError{Err: errors.New("no node")})
		return errors.New("no node")
	}
	s := sender(n, via)
	defer s.Close()
	return b.sendParcel(ctx, at, via, s, p)
}

// indexed waits until the index has everything of the log, and holds the books against it.
func (w *town) indexed(t *testing.T, b *books) {
	t.Helper()
	b.finish(t, w.a, w.b)
	drained(t, w.a, w.b)
	w.caughtUp()
	_, db := w.open()
	if err := b.settled(t.Context(), db); err != nil {
		t.Error(err)
	}
	b.readable(t, w.reader, 25, rand.New(rand.NewPCG(1, 1)))
}

// well waits until every node says that its engines are.
func (w *town) well(t *testing.T) {
	t.Helper()
	for _, p := range w.posts {
		if p.now() != nil {
			blames(t, p, "/readyz")
		}
	}
}

// wellAndWhole audits all, with the intake nodes stopped for as long.
func (w *town) wellAndWhole(t *testing.T) {
	t.Helper()
	w.well(t)
	if err := errors.Join(w.a.stop(), w.b.stop()); err != nil {
		t.Error(err)
	}
	w.audited(newBooks(1))
	if err := errors.Join(w.a.start(), w.b.start()); err != nil {
		t.Fatal(err)
	}
}

func s3Errors(t *testing.T, w *town) {
	b := w.books()
	w.requests.Set(faultproxy.HTTPFaults{Errors: 0.3, LostAnswers: 0.05, Slow: 0.1, Delay: 2 * time.Second})
	late := b.send(t, 80, w.a, w.b)
	stats := w.requests.Stats()
	w.requests.Set(faultproxy.HTTPFaults{})
	t.Logf("%d of 80 objects asked for another try of the device; requests: %+v", late, stats)
	if stats.Refused == 0 || stats.Lost == 0 || stats.Slowed == 0 {
		t.Errorf("the faults did not happen: %+v", stats)
	}
	w.well(t)
	w.indexed(t, b)
}

// s3Away: nobody hears success, everybody hears that it may pass, and it does.
func s3Away(t *testing.T, w *town) {
	b := w.books()
	b.send(t, 4, w.a)
	w.indexed(t, b)
	w.s3.Kill()
	for range 2 { // the first ones find it away, the next ones know
		for _, via := range doors {
			err := b.sendNew(t.Context(), w.a, via)
			if err == nil {
				t.Errorf("%s: success without a blob store", via)
			} else if text := err.Error(); !device.Temporary(err) || !strings.Contains(text, "503") && !strings.Contains(text, "A7") {
				t.Errorf("%s: %v, want 503 or A700H", via, err)
			}
		}
	}
	resp, body := do(t, http.MethodPost, w.a.now().URL+"/upload", nil, bytes.NewReader(object{number: 1, pixels: 512}.file()))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("/upload: %s %v %s", resp.Status, resp.Header, body)
	}
	for _, p := range []*post{w.a, w.reader} {
		blames(t, p, "/readyz", "blobs")
	}
	blames(t, w.a, "/readyz/intake", "blobs")
	blames(t, w.index, "/readyz")
	first := object{number: b.first, pixels: sizeOf(b.first)}
	if status, _ := w.reader.now().Get(t, "/dicom-web/instances?SOPInstanceUID="+first.instance()); status != http.StatusOK {
		t.Errorf("a search, which needs no blobs: %d", status)
	}
	if status, _ := w.reader.now().Get(t, first.path()+"/frames/1"); status < 500 {
		t.Errorf("a retrieval without blobs: %d", status)
	}
	if err := w.b.stop(); err != nil {
		t.Error(err)
	}
	if err := w.b.start(); err != nil { // and says what it lacks
		t.Error(err)
	}
	blames(t, w.b, "/readyz/intake", "blobs")
	pid := w.a.now().PID
	w.s3.Start(t)
	w.well(t)
	b.finish(t, w.a) // by itself
	if w.a.now().PID != pid {
		t.Error("the node was restarted")
	}
	w.indexed(t, b)
}

// kafkaAway: nothing is refused, also by nodes that start meanwhile; what waited comes in order.
func kafkaAway(t *testing.T, w *town) {
	b := w.books()
	b.send(t, 8, w.a, w.b)
	w.kafka.Kill()
	versions := b.version(t, w.a, 1, 0) // one object, changed and sent again, in this order
	if late := b.send(t, 24, w.a, w.b); late > 0 {
		t.Errorf("%d of 24 were refused", late)
	}
	versions = append(versions, b.version(t, w.a, versions[0].number, 1)...)
	wantMetric(t, w.a, "tributary_log_up", func(v float64) bool { return v == 0 })
	wantMetric(t, w.a, "tributary_log_spool_events", func(v float64) bool { return v > 0 })
	blames(t, w.index, "/readyz/index", "log")
	status, engines, err := readiness(t.Context(), w.a.now(), "/readyz/intake")
	if err != nil || status != http.StatusOK || !strings.HasPrefix(engines["log"], "degraded: ") {
		t.Errorf("an intake node with a spool: %d %v, %v", status, engines, err)
	}
	w.a.restart(t)
	w.b.kill()
	w.index.kill()
	if err := errors.Join(w.b.start(), w.index.start()); err != nil {
		t.Fatal(err)
	}
	if late := b.send(t, 24, w.a, w.b); late > 0 {
		t.Errorf("%d of 24 were refused by nodes that started without Kafka", late)
	}
	versions = append(versions, b.version(t, w.a, versions[0].number, 2)...)
	w.kafka.Start()
	w.well(t)
	w.indexed(t, b)

	log, db := w.open()
	heads, err := log.Heads(t.Context(), event.TopicInstances)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for partition := range heads {
		for at := int64(0); ; {
			records, err := log.ReadFrom(t.Context(), event.TopicInstances, eventlog.Position{Partition: partition, Offset: at}, 500)
			if err != nil {
				t.Fatal(err)
			}
			if len(records) == 0 {
				break
			}
			for _, r := range records {
				e, err := event.Decode[event.Instance](r.Event.Data)
				if err == nil && e.IDs.SOPInstanceUID == versions[0].instance() && !contains(order, e.Blob.DatasetSHA256) {
					order = append(order, e.Blob.DatasetSHA256)
				}
			}
			at = records[len(records)-1].Offset + 1
		}
	}
	var want []string
	for _, v := range versions {
		want = append(want, hexSum(v.dataset()))
	}
	if fmt.Sprint(order) != fmt.Sprint(want) {
		t.Errorf("versions of one object are in the log as %.8q, were sent as %.8q", order, want)
	}
	found, current, err := db.Lookup(t.Context(), ingest.DefaultTenant, versions[0].instance())
	if err != nil || len(found) != len(want) || found[0].DatasetSHA256 != want[0] || found[0].ObjectID != current {
		t.Errorf("%d versions, current %s, %v: %+v", len(found), current, err, found)
	}
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

// version sends an object with a twist; number 1 stands for a new one.
func (b *books) version(t *testing.T, at *post, number int, twist byte) []twisted {
	t.Helper()
	b.mu.Lock()
	if number == 1 {
		number = b.next
		b.next++
		b.sent[number] = map[byte]bool{}
	}
	b.sent[number][twist] = true
	b.mu.Unlock()
	v := twisted{object{number: number, pixels: sizeOf(number)}, twist}
	s := sender(at.now(), device.ViaUpload)
	defer s.Close()
	if err := b.sendParcel(t.Context(), at, device.ViaUpload, s, parcel{twisted: v}); err != nil {
		t.Errorf("version %d: %v", twist, err)
	}
	return []twisted{v}
}

// postgresAway: nothing is refused, also by nodes that start meanwhile; readers hear 503.
func postgresAway(t *testing.T, w *town) {
	b := w.books()
	b.send(t, 8, w.a, w.b)
	meanwhile := func(restart bool) {
		t.Helper()
		if late := b.send(t, 16, w.a, w.b); late > 0 {
			t.Errorf("%d of 16 were refused", late)
		}
		if restart {
			w.a.restart(t)
			w.b.kill()
			w.index.kill()
			if err := errors.Join(w.b.start(), w.index.start()); err != nil {
				t.Fatal(err)
			}
			w.reader.restart(t)
			if late := b.send(t, 16, w.a, w.b); late > 0 {
				t.Errorf("%d of 16 were refused by nodes that started without PostgreSQL", late)
			}
		}
		blames(t, w.reader, "/readyz", "index")
		blames(t, w.index, "/readyz/index", "index")
		for _, path := range []string{"/readyz", "/readyz/intake"} {
			blames(t, w.a, path)
		}
		resp, _ := do(t, http.MethodGet, w.reader.now().URL+"/dicom-web/studies?limit=1", nil, nil)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a search without an index: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
		}
	}
	w.pg.Kill()
	meanwhile(true)
	w.pg.Start(t)
	w.well(t)
	w.indexed(t, b)
	w.pg.Pause()
	meanwhile(false)
	w.pg.Resume()
	w.well(t)
	w.indexed(t, b)
}

// indexersKilled: several indexers come, go, freeze until others take over, and wake up.
func indexersKilled(t *testing.T, w *town) {
	b := w.books()
	second := w.fleet.post("index")
	stop := b.load(t, 12, 20*time.Millisecond, w.a, w.b)
	for _, p := range []*post{second, w.index} {
		time.Sleep(300 * time.Millisecond) // load
		p.kill()
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
	}
	second.pause()
	time.Sleep(12 * time.Second) // longer than brokers wait for a member
	second.resume()
	stop()
	w.indexed(t, b)
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	log, db := w.open()
	w.replayed(log, db)
}

// rivalsApart: one SOP Instance UID at two nodes at once, with the same bytes and with others: one truth.
func rivalsApart(t *testing.T, w *town) {
	b := w.books()
	rounds := 12
	type round struct{ rivals []twisted }
	var all []round
	for n := range rounds {
		number := b.next
		b.next++
		b.sent[number] = map[byte]bool{}
		var r round
		for twist := range 1 + n%3 {
			b.sent[number][byte(twist)] = true
			r.rivals = append(r.rivals, twisted{object{number: number, pixels: sizeOf(number)}, byte(twist)})
		}
		all = append(all, r)
		var senders sync.WaitGroup
		for i := range 8 {
			at, via, v := []*post{w.a, w.b}[i%2], doors[(i/2)%len(doors)], r.rivals[i%len(r.rivals)]
			senders.Go(func() {
				s := sender(at.now(), via)
				defer s.Close()
				if err := b.sendParcel(t.Context(), at, via, s, parcel{twisted: v}); err != nil {
					t.Errorf("%s: %v", via, err)
				}
			})
		}
		senders.Wait()
	}
	w.indexed(t, b)
	_, db := w.open()
	conflicts, err := db.Conflicts(t.Context(), ingest.DefaultTenant, 10_000, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	for _, c := range conflicts {
		listed[c.SOPInstanceUID] = len(c.Versions)
	}
	for _, r := range all {
		o := r.rivals[0]
		versions, current, err := db.Lookup(t.Context(), ingest.DefaultTenant, o.instance())
		if err != nil || len(versions) != len(r.rivals) {
			t.Errorf("%d rivals, %d versions, %v", len(r.rivals), len(versions), err)
			continue
		}
		if want := len(versions); want > 1 && listed[o.instance()] != want {
			t.Errorf("%d versions, %d in the list of conflicts", want, listed[o.instance()])
		}
		which, status := got(t, w.reader.now(), r.rivals...)
		if which < 0 {
			t.Errorf("readers get none of the data sets that were sent (status %d)", status)
			continue
		}
		for _, v := range versions {
			if shown := v.DatasetSHA256 == hexSum(r.rivals[which].dataset()); shown != (v.ObjectID == current) {
				t.Error("readers do not get the version that is current")
			}
		}
	}
}

// rollingRestart ends one node after the other in good order while devices send: each ends well, and
// what it had acknowledged is there.
func rollingRestart(t *testing.T, w *town) {
	b := w.books()
	stops := make([]func(), 0, 5)
	for i := range 5 { // 40 devices
		stops = append(stops, b.load(t, uint64(23+i), 10*time.Millisecond, w.a, w.b))
	}
	for _, p := range []*post{w.a, w.b, w.index, w.reader} {
		time.Sleep(500 * time.Millisecond) // load
		p.restart(t)
	}
	for _, stop := range stops {
		stop()
	}
	t.Logf("%d objects, %d acknowledgements", b.next-b.first, b.acks)
	w.indexed(t, b)
}

// partitions cuts the line to each engine for a while, both ways and one way, under load. Deadlines end what
// waits, and nothing of it stays in the nodes.
func partitions(t *testing.T, w *town) {
	b := w.books()
	b.send(t, 16, w.a, w.b)
	w.indexed(t, b)
	before := map[*post]float64{}
	for _, p := range []*post{w.a, w.b, w.index, w.reader} {
		v, err := metric(t.Context(), p.now(), "go_goroutines")
		if err != nil {
			t.Fatal(err)
		}
		before[p] = v
	}
	stop := b.load(t, 25, 20*time.Millisecond, w.a, w.b)
	for _, line := range []*faultproxy.Proxy{w.s3Line, w.kafkaLine, w.line} {
		for _, way := range []faultproxy.Direction{faultproxy.Both, faultproxy.ToClient} {
			w.set(line, faultproxy.Faults{Hold: way})
			time.Sleep(3 * time.Second) // the fault, not a wait
			w.set(line, faultproxy.Faults{})
		}
	}
	stop()
	w.well(t)
	w.indexed(t, b)
	for p, was := range before {
		wantMetric(t, p, "go_goroutines", func(v float64) bool { return v <= was+60 })
	}
}

// zombie stops one node in mid-work while another takes the same objects, and lets it go on.
func zombie(t *testing.T, w *town) {
	b := w.books()
	stop := b.load(t, 26, 10*time.Millisecond, w.a)
	eventually(t, "some objects", func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.acks < 40 {
			return fmt.Errorf("%d", b.acks)
		}
		return nil
	})
	w.a.pause()
	// Devices that wait for it turn to its successor with what they were sending.
	b.mu.Lock()
	var again []parcel
	for number := max(b.first, b.next-40); number < b.next; number++ {
		for twist := range b.sent[number] {
			again = append(again, parcel{twisted: twisted{object{number: number, pixels: sizeOf(number)}, twist}})
		}
	}
	b.mu.Unlock()
	for i, p := range again {
		via := doors[i%len(doors)]
		s := sender(w.b.now(), via)
		if err := b.sendParcel(t.Context(), w.b, via, s, p); err != nil {
			t.Errorf("the successor: %v", err)
		}
		_ = s.Close()
	}
	time.Sleep(8 * time.Second) // the fault, not a wait
	w.a.resume()
	stop()
	w.well(t)
	w.indexed(t, b)
}

// kafkaLosesItsEnd puts an older copy of Kafka's data back: acknowledged events are gone, and their offsets
// are given again. Doors stay open; the index stage says that its log is another; `fsck --repair` gives blobs
// their events again and makes the index anew.
func kafkaLosesItsEnd(t *testing.T, w *town) {
	b := w.books()
	b.send(t, 40, w.a, w.b)
	w.indexed(t, b)
	old := filepath.Join(t.TempDir(), "old")
	w.kafka.Stop()
	copyFolder(t, w.kafka.Data(), old)
	w.kafka.Start()
	w.well(t)
	b.send(t, 80, w.a, w.b)
	w.indexed(t, b)

	w.kafka.Stop()
	if err := os.RemoveAll(w.kafka.Data()); err != nil {
		t.Fatal(err)
	}
	copyFolder(t, old, w.kafka.Data())
	w.kafka.Start()
	if late := b.send(t, 60, w.a, w.b); late > 0 {
		t.Errorf("%d of 60 were refused", late)
	}
	w.index.restart(t)
	blames(t, w.index, "/readyz/index", "index")
	if late := b.send(t, 8, w.a, w.b); late > 0 {
		t.Errorf("%d of 8 were refused", late)
	}
	w.repaired(t, b)
}

// repaired does what the runbook says.
func (w *town) repaired(t *testing.T, b *books) {
	t.Helper()
	b.finish(t, w.a, w.b)
	drained(t, w.a, w.b)
	if err := w.index.stop(); err != nil {
		t.Error(err)
	}
	args := append(w.direct.flags(), "--settle", "0s")
	code, r := fsck(t, t.TempDir(), append(args, "--repair")...)
	t.Logf("fsck --repair: %v", r.Counts)
	if code != 0 || r.Counts[audit.BlobWithoutEvent] == 0 {
		t.Errorf("fsck --repair: exit %d, %v, %+v", code, r.Counts, r.Actions)
	}
	if err := w.index.start(); err != nil {
		t.Fatal(err)
	}
	w.well(t)
	w.indexed(t, b)
	w.wellAndWhole(t)
}

// kafkaLosesAll starts Kafka with an empty folder.
func kafkaLosesAll(t *testing.T, w *town) {
	b := w.books()
	b.send(t, 16, w.a, w.b)
	w.indexed(t, b)
	w.kafka.Stop()
	if err := os.RemoveAll(w.kafka.Data()); err != nil {
		t.Fatal(err)
	}
	w.kafka.Start()
	if late := b.send(t, 16, w.a, w.b); late > 0 {
		t.Errorf("%d of 16 were refused", late)
	}
	blames(t, w.index, "/readyz/index", "index")
	w.repaired(t, b)
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// bitRot changes a byte in files of the bucket: fsck names each, readers get an error and never other bytes,
// and the same object sent again takes the place of what rotted.
func bitRot(t *testing.T, w *town) {
	b := w.books()
	b.send(t, 30, w.a, w.b)
	w.indexed(t, b)
	_, db := w.open()
	rotten := map[string]object{}
	for number := b.first; number < b.first+30; number += 3 {
		o := object{number: number, pixels: sizeOf(number)}
		versions, _, err := db.Lookup(t.Context(), ingest.DefaultTenant, o.instance())
		if err != nil || len(versions) != 1 {
			t.Fatalf("%d versions, %v", len(versions), err)
		}
		rotten[versions[0].BlobKey] = o
		rot(t, filepath.Join(w.s3.Data(), "fleet", "blobs", filepath.FromSlash(versions[0].BlobKey)))
	}
	code, r := fsck(t, t.TempDir(), append(w.direct.flags(), "--full", "--settle", "0s")...)
	named := map[string]bool{}
	for _, f := range r.Findings {
		if f.Code != audit.BlobDamaged && f.Code != audit.HashMismatch {
			t.Errorf("%+v", f)
		}
		named[f.Blob] = true
	}
	for key := range rotten {
		if !named[key] {
			t.Errorf("fsck does not name %s", key)
		}
	}
	if code != 1 || len(named) != len(rotten) {
		t.Errorf("exit %d, %d named, %d rotten", code, len(named), len(rotten))
	}
	for _, o := range rotten {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.reader.now().URL+o.path(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/dicom")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue // cut off
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(resp.Body)
		_ = resp.Body.Close()
		if err == nil && resp.StatusCode < 500 {
			t.Errorf("object %d: %s, %d bytes to their end", o.number, resp.Status, body.Len())
		}
	}
	for _, o := range rotten {
		if sh := shipBytes(t, w.a.now(), device.ViaUpload, "again.dcm", o.file()); sh.letter() != "S" {
			t.Errorf("sent again: %+v", sh)
		}
	}
	w.caughtUp()
	b.readable(t, w.reader, 30, rand.New(rand.NewPCG(1, 1)))
}

// rot changes a byte in the middle of a file.
func rot(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := file.ReadAt(one, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 0x10
	if _, err := file.WriteAt(one, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}

// poison puts records into the topic that no indexer can read: they become dead letters, and all others are
// indexed.
func poison(t *testing.T, w *town) {
	b := w.books()
	before, err := metric(t.Context(), w.index.now(), "tributary_stage_dead_letters_total")
	if err != nil {
		t.Fatal(err)
	}
	out := &kafka.Writer{Addr: kafka.TCP(w.kafka.Brokers()...), Topic: "fleet.instances", RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, BatchBytes: 8 << 20}
	defer out.Close()
	headers := func(id, kind string) []kafka.Header {
		var all []kafka.Header
		for name, value := range map[string]string{
			"ce_specversion": "1.0", "ce_id": id, "ce_type": kind, "ce_source": "/test", "ce_subject": "x", "ce_time": "2026-11-22T10:00:00Z",
			"content-type": "application/json",
		} {
			all = append(all, kafka.Header{Key: name, Value: []byte(value)})
		}
		return all
	}
	bad := []kafka.Message{
		{Key: []byte("1.2.3"), Value: []byte("{"), Headers: headers("poison-1", event.TypeInstanceStored)},
		{Key: []byte("1.2.3"), Value: []byte(`{"object_id":7}`), Headers: headers("poison-2", event.TypeInstanceConflict)},
		{Key: []byte("1.2.4"), Value: []byte(`{}`), Headers: headers("poison-3", event.TypeInstanceQuarantined)},
		{Key: []byte("1.2.5"), Value: bytes.Repeat([]byte("x"), 3<<20), Headers: headers("poison-4", event.TypeInstanceStored)},
	}
	other := []kafka.Message{ // passed over, and counted nowhere
		{Key: []byte("1.2.6"), Value: []byte(`{"of":"tomorrow"}`), Headers: headers("later", "org.tributary.instance.stored.v9")},
	}
	for i := range 40 {
		if err := b.sendNew(t.Context(), w.a, doors[i%len(doors)]); err != nil {
			t.Error(err)
		}
		if i%10 == 5 {
			if err := out.WriteMessages(t.Context(), bad[i/10]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := out.WriteMessages(t.Context(), other...); err != nil {
		t.Fatal(err)
	}
	b.finish(t, w.a)
	log, db := w.open()
	eventually(t, "all others are indexed", func() error { return b.settled(t.Context(), db) })
	wantMetric(t, w.index, "tributary_stage_dead_letters_total", func(v float64) bool { return v >= before+float64(len(bad)) })
	heads, err := log.Heads(t.Context(), event.TopicDeadLetter)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]bool{} // of a record that is the last of its partition, each start tells again
	for partition := range heads {
		records, err := log.ReadFrom(t.Context(), event.TopicDeadLetter, eventlog.Position{Partition: partition}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			letter, err := event.Decode[event.DeadLetter](r.Event.Data)
			if err != nil || letter.Error == "" || letter.Topic != event.TopicInstances {
				t.Errorf("dead letter %+v, %v", letter, err)
			}
			reasons[fmt.Sprint(letter.Partition, "@", letter.Offset)] = true
		}
	}
	if len(reasons) != len(bad) {
		t.Errorf("dead letters of %v, want %d", reasons, len(bad))
	}
	w.well(t)
	b.readable(t, w.reader, 40, rand.New(rand.NewPCG(1, 1)))
	_, r := fsck(t, t.TempDir(), append(w.direct.flags(), "--settle", "0s")...)
	if want := int64(len(bad) + len(other)); r.Counts[audit.EventUnreadable] != want {
		t.Errorf("fsck: %v, want %d unreadable events", r.Counts, want)
	}
}
