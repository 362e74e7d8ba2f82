package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/faultproxy"
	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// fleet is a county whose nodes reach each engine over a line that tests break.
type fleet struct {
	t     *testing.T
	s3    *testengine.S3
	kafka *testengine.Kafka
	pg    *testengine.Postgres

	// Lines between nodes and engines. That of S3 is two proxies: requests first, then connections.
	requests                *faultproxy.HTTP
	s3Line, kafkaLine, line *faultproxy.Proxy // line is PostgreSQL's

	at     servers // as nodes see the engines
	direct servers // as the test does, around the proxies where there is a way around
	posts  []*post

	completes bool // quiet periods are short: in the end every study is announced
}

// newFleet starts engines and lines, and no node. What the lines do by chance follows from seed.
func newFleet(t *testing.T, seed uint64) *fleet {
	t.Helper()
	f := &fleet{t: t, s3: testengine.StartS3(t, testengine.S3Buckets("fleet")), pg: testengine.StartPostgres(t)}
	f.s3.Setenv(t)
	f.s3Line, f.line = f.tcp(f.s3.Addr(), seed), f.tcp(strings.TrimPrefix(hostOf(t, f.pg.URL()), "//"), seed+1)
	f.kafka = testengine.StartKafka(t, testengine.KafkaBehind(func(addr string) string {
		f.kafkaLine = f.tcp(addr, seed+2)
		return f.kafkaLine.Addr()
	}))
	trust := x509.NewCertPool()
	authority, err := os.ReadFile(f.s3.CAFile())
	if err != nil || !trust.AppendCertsFromPEM(authority) {
		t.Fatalf("the S3 server's authority: %v", err)
	}
	if f.requests, err = faultproxy.ListenHTTP("https://"+f.s3Line.Addr(), trust, seed+3); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.requests.Close() })
	ca := filepath.Join(t.TempDir(), "proxy.pem")
	if err := os.WriteFile(ca, f.requests.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	f.direct = servers{f.s3.URL("fleet", "blobs"), f.kafka.URL("fleet") + "?replication=1&partitions=6", f.pg.Schema(t)}
	f.at = f.direct
	f.at.blobs = "s3://fleet/blobs?" + url.Values{
		"endpoint": {f.requests.URL()}, "region": {testengine.S3Region}, "path-style": {"true"}, "ca": {ca}, "part-size": {"5MiB"},
	}.Encode()
	f.at.index = strings.Replace(f.direct.index, hostOf(t, f.direct.index), f.line.Addr(), 1)
	return f
}

func hostOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func (f *fleet) tcp(upstream string, seed uint64) *faultproxy.Proxy {
	f.t.Helper()
	p, err := faultproxy.Listen(upstream, seed)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = p.Close() })
	return p
}

// set changes what a line does.
func (f *fleet) set(p *faultproxy.Proxy, faults faultproxy.Faults) {
	if err := p.Set(faults); err != nil {
		f.t.Errorf("set a line: %v", err)
	}
}

// heal mends all lines. Engines are the test's to start.
func (f *fleet) heal() {
	f.requests.Set(faultproxy.HTTPFaults{})
	for _, p := range []*faultproxy.Proxy{f.s3Line, f.kafkaLine, f.line} {
		f.set(p, faultproxy.Faults{})
	}
}

// post is a place in the fleet where one node after the other runs, over one folder.
type post struct {
	name, dir string
	flags     []string
	bin       string

	mu     sync.Mutex
	node   *testnode.Node // nil between two of them
	errors string         // that those before logged
}

// post makes a place for a node with some roles, and starts one there.
func (f *fleet) post(roles string, flags ...string) *post {
	f.t.Helper()
	p := &post{name: fmt.Sprintf("%s%d", strings.ReplaceAll(roles, ",", "-"), len(f.posts)), dir: f.t.TempDir(), bin: testnode.Binary(f.t)}
	p.flags = append([]string{"--roles", roles, "--node", p.name}, append(f.at.flags(), flags...)...)
	f.posts = append(f.posts, p)
	f.t.Cleanup(func() {
		n := p.take()
		if n != nil {
			_ = syscall.Kill(n.PID, syscall.SIGCONT) // it may be gone
			n.Kill()
		}
		if !f.t.Failed() {
			return
		}
		f.t.Logf("errors of %s:\n%s", p.name, p.errors)
		if n != nil {
			f.t.Logf("last lines of %s:\n%s", p.name, n.Log())
		}
	})
	if err := p.start(); err != nil {
		f.t.Fatal(err)
	}
	return p
}

// start starts a node; the one before must have ended.
func (p *post) start() error {
	n, err := testnode.Launch(p.bin, p.dir, p.flags...)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.node = n
	return nil
}

// now returns the node that runs, nil when there is none.
func (p *post) now() *testnode.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.node
}

// take is now for who ends the node.
func (p *post) take() *testnode.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.node
	p.node = nil
	if n != nil {
		p.errors += n.Errors() + "\n"
	}
	return n
}

func (p *post) kill() {
	if n := p.take(); n != nil {
		n.Kill()
	}
}

// stop ends the node in good order.
func (p *post) stop() error {
	n := p.take()
	if n == nil {
		return nil
	}
	if err := n.Stop(); err != nil {
		return fmt.Errorf("%s ended with %w\n%s", p.name, err, n.Log())
	}
	return nil
}

// restart is stop and start.
func (p *post) restart(t *testing.T) {
	t.Helper()
	if err := errors.Join(p.stop(), p.start()); err != nil {
		t.Fatal(err)
	}
}

func (p *post) pause()  { p.signal(syscall.SIGSTOP) }
func (p *post) resume() { p.signal(syscall.SIGCONT) }

func (p *post) signal(sig syscall.Signal) {
	if n := p.now(); n != nil {
		_ = syscall.Kill(n.PID, sig) // it may be gone
	}
}

// metric reads a figure of a node as /metrics tells it, the sum over its labels.
func metric(ctx context.Context, n *testnode.Node, name string) (float64, error) {
	if n == nil {
		return 0, errors.New("no node")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var sum float64
	found := false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+value, true
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("%s has no %s (status %d)", n.URL, name, resp.StatusCode)
	}
	return sum, nil
}

// wantMetric waits until a figure is as it should be.
func wantMetric(t *testing.T, p *post, name string, good func(float64) bool) {
	t.Helper()
	eventually(t, p.name+": "+name, func() error {
		v, err := metric(t.Context(), p.now(), name)
		if err == nil && !good(v) {
			err = fmt.Errorf("it is %g", v)
		}
		return err
	})
}

// blames waits until a node's /readyz names exactly these engines as those at fault, and tributary_engine_up
// with it; none for a node that is well.
func blames(t *testing.T, p *post, path string, faulty ...string) {
	t.Helper()
	want := map[string]bool{}
	for _, name := range faulty {
		want[name] = true
	}
	eventually(t, fmt.Sprintf("%s%s blames %v", p.name, path, faulty), func() error {
		status, engines, err := readiness(t.Context(), p.now(), path)
		if err != nil {
			return err
		}
		if wantStatus := map[bool]int{false: http.StatusOK, true: http.StatusServiceUnavailable}[len(want) > 0]; status != wantStatus {
			return fmt.Errorf("status %d, want %d: %v", status, wantStatus, engines)
		}
		for name, said := range engines {
			if (said != "ok") != want[name] {
				return fmt.Errorf("%s: %s", name, said)
			}
			up, err := metric(t.Context(), p.now(), fmt.Sprintf("tributary_engine_up{engine=%q}", name))
			if err != nil {
				return err
			}
			if (up == 0) != want[name] {
				return fmt.Errorf("tributary_engine_up of %s is %g", name, up)
			}
		}
		for name := range want {
			if engines[name] == "" {
				return fmt.Errorf("%s is not told of: %v", name, engines)
			}
		}
		return nil
	})
}

// readiness asks a node how its engines are.
func readiness(ctx context.Context, n *testnode.Node, path string) (status int, engines map[string]string, err error) {
	if n == nil {
		return 0, nil, errors.New("no node")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var said struct{ Engines map[string]string }
	status, err = fetchJSON(ctx, n.URL+path, &said)
	return status, said.Engines, err
}

// drained waits until nothing lies in the spools of nodes.
func drained(t *testing.T, posts ...*post) {
	t.Helper()
	for _, p := range posts {
		wantMetric(t, p, "tributary_log_spool_events", func(v float64) bool { return v == 0 })
	}
}

// twisted is an object with other bytes under its UIDs; twist 0 changes nothing.
type twisted struct {
	object
	twist byte
}

func (o twisted) dataset() []byte {
	b := o.object.dataset()
	b[len(b)-1] ^= o.twist
	return b
}

func (o twisted) file() []byte {
	b := o.object.file()
	b[len(b)-1] ^= o.twist
	return b
}

// got reads an instance from a reader and tells which of the candidates it is.
func got(t *testing.T, reader *testnode.Node, candidates ...twisted) (which int, status int) {
	t.Helper()
	body, status := retrieve(t, reader, candidates[0].object)
	for i, c := range candidates {
		if status == http.StatusOK && bytes.HasSuffix(body, c.dataset()) {
			return i, status
		}
	}
	return -1, status
}
