package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// announcements gathers what /events says of whole studies.
type announcements struct {
	mu   sync.Mutex
	said []announcement
}

type announcement struct {
	id, typ string
	event.Study
}

// hear listens to a node behind a cursor until the test ends.
func hear(t *testing.T, n *testnode.Node, cursor string) *announcements {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if cursor != "" {
		req.Header.Set("Last-Event-ID", cursor)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	if resp.StatusCode != http.StatusOK || !lines.Scan() {
		t.Fatalf("events: %s, %v", resp.Status, lines.Err())
	}
	a := &announcements{}
	go func() {
		for lines.Scan() {
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			var e struct {
				ID, Type string
				Study    *event.Study
			}
			if json.Unmarshal([]byte(text), &e) == nil && e.Study != nil {
				a.mu.Lock()
				a.said = append(a.said, announcement{e.ID, e.Type, *e.Study})
				a.mu.Unlock()
			}
		}
	}()
	return a
}

// of returns what was said of a study: "complete 1 quiet-period 2", with revision, reason and instances.
func (a *announcements) of(study string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []string{}
	for _, s := range a.said {
		if s.StudyInstanceUID == study {
			out = append(out, fmt.Sprintf("%s %d %s %d", strings.Split(s.typ, ".")[3], s.Revision, s.Reason, s.Instances))
		}
	}
	return out
}

// until waits until exactly this was said.
func (a *announcements) until(t *testing.T, study string, want ...string) {
	t.Helper()
	eventually(t, "announcements of "+study, func() error {
		if got := a.of(study); !slices.Equal(got, want) {
			return fmt.Errorf("%q, want %q", got, want)
		}
		return nil
	})
}

// studyState is what GET /completeness says.
type studyState struct {
	Complete          bool
	Revision          int
	Reason            string
	Instances, Series int64
}

// stateOf asks a node for a study; one that it does not know yet is in no state.
func stateOf(t *testing.T, n *testnode.Node, study string) (s studyState) {
	t.Helper()
	code, body := n.Get(t, "/completeness/"+study)
	if code == http.StatusOK {
		if err := json.Unmarshal(body, &s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// stowAll sends objects in one request, with or without the sender's word that it is all.
func stowAll(t *testing.T, n *testnode.Node, complete bool, objects ...object) http.Header {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, o := range objects {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
		if err == nil {
			_, err = part.Write(o.file())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL+"/dicom-web/studies", &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", `multipart/related; type="application/dicom"; boundary=`+w.Boundary())
	req.Header.Set("Accept", "application/dicom+json")
	if complete {
		req.Header.Set("Tributary-Study-Complete", "true")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("STOW: %s, %s, %v", resp.Status, answer, err)
	}
	return resp.Header
}

// quiet waits until the last that was said of a study is that it is complete with so many instances, and returns its
// revision. On a machine that is slow enough two objects of one request may lie a period apart.
func (a *announcements) quiet(t *testing.T, study string, instances int) (revision int) {
	t.Helper()
	eventually(t, "announcements of "+study, func() error {
		got := a.of(study)
		var n int
		if len(got) > 0 {
			if _, err := fmt.Sscanf(got[len(got)-1], "complete %d quiet-period %d", &revision, &n); err == nil && n == instances {
				return nil
			}
		}
		return fmt.Errorf("%q, want a completion with %d instances at last", got, instances)
	})
	return revision
}

// A study by STOW is announced when it has been quiet; late objects make a revision, the same ones again do not.
func TestStudyComplete(t *testing.T) {
	n := testnode.Start(t, t.TempDir(), "--quiet-period", "*=1500ms")
	live := hear(t, n, "")
	study := object{number: 81_000}.study()
	stowAll(t, n, false, object{81_000, 512}, object{81_005, 512}) // two series
	if s := stateOf(t, n, study); s.Revision > 0 && !s.Complete || s.Instances != 2 || s.Series != 2 {
		t.Errorf("while it comes: %+v", s)
	}
	first := live.quiet(t, study, 2)
	if s := stateOf(t, n, study); s != (studyState{true, first, event.ReasonQuiet, 2, 2}) {
		t.Errorf("state %+v", s)
	}
	stowAll(t, n, false, object{81_001, 512})
	if late := live.quiet(t, study, 3); late != first+1 {
		t.Errorf("a late object made revision %d behind %d", late, first)
	}
	said := live.of(study)

	shipBytes(t, n, doors[0], "again.dcm", object{81_001, 512}.file())
	other := object{number: 81_020}
	stowAll(t, n, false, other)
	live.quiet(t, other.study(), 1) // the copy would be quiet before
	if got := live.of(study); !slices.Equal(got, said) {
		t.Errorf("a copy was announced: %q, before %q", got, said)
	}
	if code, _ := n.Get(t, "/completeness/9.9.9"); code != http.StatusNotFound {
		t.Errorf("a study that nobody sent: %d", code)
	}
	hear(t, n, "0/0").until(t, study, said...) // a listener that comes back misses none
}

// The sender's word, by whatever way, makes a study complete at once.
func TestStudyCompleteBySignal(t *testing.T) {
	n := testnode.Start(t, t.TempDir()) // quiet periods of a day
	live := hear(t, n, "")
	a, b, c, d := object{number: 81_100}, object{number: 81_120}, object{number: 81_140}, object{number: 81_160}
	if h := stowAll(t, n, true, a, object{81_101, 512}); h.Get("Tributary-Study-Complete") != "true" {
		t.Errorf("the sender's word was not kept: %v", h)
	}
	live.until(t, a.study(), "complete 1 signal:stow 2")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL+"/upload", bytes.NewReader(b.file()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Tributary-Study-Complete", "true")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("Tributary-Study-Complete") != "true" {
		t.Errorf("upload: %s, %v", resp.Status, resp.Header)
	}
	live.until(t, b.study(), "complete 1 signal:upload 1")

	if h := stowAll(t, n, false, c); h.Get("Tributary-Study-Complete") != "" {
		t.Errorf("a word that was not given was kept: %v", h)
	}
	for body, want := range map[string]int{
		`{"studies":["1.2.3"],"signal":"rumour"}`: http.StatusBadRequest,
		`{"studies":["../x"]}`:                    http.StatusBadRequest,
		`{"studies":[]}`:                          http.StatusBadRequest,
		`[`:                                       http.StatusBadRequest,
		`{"studies":["` + c.study() + `"]}`:       http.StatusOK,
	} {
		if got := tell(t, n, "/completeness", body); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
	live.until(t, c.study(), "complete 1 signal:api 1")

	folder := objectFiles(t, d, object{81_161, 512})
	if code, out, said := run(t, "import", folder, "--to", n.URL+"/upload", "--quiet"); code != 0 {
		t.Fatalf("import: exit %d\n%s%s", code, out, said)
	}
	live.until(t, d.study(), "complete 1 signal:import 2")
	if _, metrics := n.Get(t, "/metrics"); !bytes.Contains(metrics, []byte(`tributary_completeness_studies_completed_total{reason="signal:stow"} 1`)) {
		t.Error("the metrics do not count the signal")
	}
}

// tell sends JSON and returns the status.
func tell(t *testing.T, n *testnode.Node, path, body string) int {
	t.Helper()
	resp, err := http.Post(n.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A node that is killed while studies are quiet announces each of them once when it is back, and none again that it
// has announced.
func TestStudyCompleteAfterKill(t *testing.T) {
	dir := t.TempDir()
	const quiet = "2500ms"
	n := testnode.Start(t, dir, "--quiet-period", "*="+quiet)
	live := hear(t, n, "")
	first := object{number: 82_000}
	stowAll(t, n, true, first)
	eventually(t, "completion of "+first.study(), func() error {
		if len(live.of(first.study())) == 0 {
			return errors.New("not announced")
		}
		return nil
	})
	before := live.of(first.study())
	var waiting []string
	for i := 1; i <= 6; i++ {
		o := object{82_000 + 20*i, 512}
		stowAll(t, n, false, o)
		waiting = append(waiting, o.study())
	}
	for round := range 3 { // in the quiet period, and around its end
		n.Kill()
		time.Sleep(time.Duration(round) * 700 * time.Millisecond) // elsewhere time passes too
		n = testnode.Start(t, dir, "--quiet-period", "*="+quiet)
	}
	for _, study := range waiting {
		eventually(t, "completion of "+study, func() error {
			s := stateOf(t, n, study)
			if !s.Complete || s.Revision != 1 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
	all := hear(t, n, "0/0")
	for _, study := range waiting {
		all.until(t, study, "complete 1 quiet-period 1")
	}
	all.until(t, first.study(), before...)
}

// Two nodes over Kafka and PostgreSQL: a revision is announced once, whoever does it, and the other one goes on when
// the first is gone.
func TestStudyCompleteOfTwoNodes(t *testing.T) {
	c := newCounty(t)
	reader := c.node(t, "review")
	live := hear(t, reader, "")
	const roles = "intake,index,derive,review"
	nodes := []*testnode.Node{c.node(t, roles, "--quiet-period", "*=2s"), c.node(t, roles, "--quiet-period", "*=2s")}
	var studies []string
	send := func(from, to int, nodes ...*testnode.Node) {
		t.Helper()
		for i := from; i < to; i++ {
			o := object{83_000 + 20*i, 512}
			studies = append(studies, o.study())
			stowAll(t, nodes[i%len(nodes)], false, o)
			stowAll(t, nodes[(i+1)%len(nodes)], false, object{83_001 + 20*i, 512})
		}
	}
	send(0, 8, nodes...)
	// Both objects may be apart by more than the period on a slow machine: what counts is each revision, once.
	once := func() {
		t.Helper()
		for _, study := range studies {
			eventually(t, "completion of "+study, func() error {
				s := stateOf(t, reader, study)
				if !s.Complete || s.Instances != 2 {
					return fmt.Errorf("%+v", s)
				}
				said := live.of(study)
				if len(said) == 0 || !strings.HasSuffix(said[len(said)-1], " quiet-period 2") {
					return fmt.Errorf("%q", said)
				}
				return nil
			})
		}
		seen := map[string]bool{}
		live.mu.Lock()
		defer live.mu.Unlock()
		for _, s := range live.said {
			key := fmt.Sprint(s.typ, s.StudyInstanceUID, s.Revision)
			if seen[key] {
				t.Errorf("%s of %s, revision %d was announced twice", s.typ, s.StudyInstanceUID, s.Revision)
			}
			seen[key] = true
		}
	}
	once()
	working := slices.IndexFunc(nodes, func(n *testnode.Node) bool {
		_, metrics := n.Get(t, "/metrics")
		return bytes.Contains(metrics, []byte("tributary_completeness_working 1\n"))
	})
	if working < 0 {
		working = 0
	}
	nodes[working].Kill()
	send(8, 12, nodes[1-working])
	once()
}
