package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/dimse"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// TestShutdownUnderLoad ends a node with SIGTERM while every door is busy: it must end well, and each
// object is acknowledged and there, or not acknowledged.
func TestShutdownUnderLoad(t *testing.T) {
	dir, bin := filepath.Join(t.TempDir(), "data"), testnode.Binary(t)
	l := &ledger{acked: map[int]bool{}, sent: map[int]object{}}
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		n, err := testnode.Launch(bin, dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var devices sync.WaitGroup
		for d, via := range []string{device.ViaDICOM, device.ViaDICOM, device.ViaDICOM, device.ViaSTOW, device.ViaUpload, device.ViaTus} {
			own := rand.New(rand.NewPCG(uint64(round), uint64(d)))
			devices.Go(func() { play(ctx, t, n, via, l, own) })
		}
		until(t, "some objects", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.acked) >= 40*(round+1)
		})
		if err := n.Stop(); err != nil {
			t.Errorf("the node ended with %v\n%s", err, n.Log())
		}
		cancel()
		devices.Wait()
	}
	check(t, bin, dir, l, 0)
	t.Logf("%d objects sent, %d acknowledged", len(l.sent), len(l.acked))
}

// TestShutdownFinishes lets an upload that is under way end after SIGTERM, and takes nothing new.
func TestShutdownFinishes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	address, args := serveArgs(t, dir)
	p := begin(t, args...)
	p.ready(t, address)
	n := &testnode.Node{URL: "http://" + address, DICOM: args[len(args)-1]}
	o := object{number: 4000, pixels: 1 << 20}
	file := o.file()
	pr, pw := io.Pipe()
	status := make(chan int, 1)
	go func() {
		resp, err := http.Post(n.URL+"/upload", "application/dicom", pr)
		if err != nil {
			status <- 0
			return
		}
		defer resp.Body.Close()
		status <- resp.StatusCode
	}()
	if _, err := pw.Write(file[:len(file)/2]); err != nil {
		t.Fatal(err)
	}
	// An Association that does nothing must not hold the node up.
	c, err := dimse.Dial(t.Context(), n.DICOM, dimse.ClientConfig{Contexts: []dimse.Proposal{{AbstractSyntax: usStorage, TransferSyntaxes: []string{explicitLE}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "draining", func() bool { return strings.Contains(p.err.String(), "draining") })
	until(t, "no new connections", func() bool {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(n.URL + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err != nil
	})
	if _, err := pw.Write(file[len(file)/2:]); err != nil {
		t.Fatal(err)
	}
	pw.Close()
	if got := <-status; got != http.StatusCreated {
		t.Errorf("the upload under way: %d", got)
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("exit %d\n%s", code, p.err.String())
	}
	checkObjects(t, testnode.Start(t, dir), o)
}

// TestShutdownGivesUp cuts off what does not end within --drain.
func TestShutdownGivesUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir, "--drain", "1s")
	o := object{number: 4100, pixels: 1 << 20}
	pr, pw := io.Pipe()
	defer pw.Close()
	kept := make(chan bool, 2)
	go func() {
		resp, err := http.Post(n.URL+"/upload", "application/dicom", pr)
		if err == nil {
			resp.Body.Close()
		}
		kept <- err == nil && resp.StatusCode == http.StatusCreated
	}()
	if _, err := pw.Write(o.file()[:1000]); err != nil {
		t.Fatal(err)
	}
	stuck := object{number: 4101, pixels: 1 << 20}.sendable(t)
	whole := stuck.Open
	hold, release := io.Pipe()
	defer release.Close()
	stuck.Open = func() (io.ReadCloser, error) {
		r, err := whole()
		if err != nil {
			return nil, err
		}
		return io.NopCloser(io.MultiReader(io.LimitReader(r, 300<<10), hold)), nil
	}
	s := sender(n, device.ViaDICOM, stuck)
	go func() {
		out, err := s.Send(context.WithoutCancel(t.Context()), stuck)
		kept <- err == nil && out.Kept()
	}()
	until(t, "both under way", func() bool {
		_, body := n.Get(t, "/metrics")
		return strings.Contains(string(body), "tributary_dimse_associations_open 1")
	})
	if err := n.Stop(); err != nil {
		t.Errorf("the node ended with %v\n%s", err, n.Log())
	}
	release.CloseWithError(io.ErrUnexpectedEOF)
	pw.CloseWithError(io.ErrUnexpectedEOF)
	for range 2 {
		if <-kept {
			t.Error("a transfer that was cut off was acknowledged")
		}
	}
	n = testnode.Start(t, dir)
	for _, path := range []string{"/dicom-web/instances", "/quarantine"} {
		if _, body := n.Get(t, path); strings.Contains(string(body), "{") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// TestRestart keeps objects, quarantine and conflicts, through an end in order and a kill.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir)
	objects := series(4200, 5, 4<<10)
	for _, o := range objects {
		shipBytes(t, n, device.ViaUpload, "object", o.file())
	}
	other := object{number: 4200, pixels: 8 << 10} // the same UID, other bytes
	if sh := shipBytes(t, n, device.ViaUpload, "other", other.file()); sh.Status != "conflict" {
		t.Errorf("other bytes under a known UID: %+v", sh.Outcome)
	}
	cut := shipBytes(t, n, device.ViaUpload, "cut", objects[1].file()[:3000])
	if cut.Status != device.Quarantined {
		t.Errorf("cut: %+v", cut.Outcome)
	}
	views := func(n *testnode.Node) (all []string) {
		for _, path := range []string{"/dicom-web/studies", "/dicom-web/instances?includefield=all", "/quarantine", "/conflicts"} {
			status, body := n.Get(t, path)
			all = append(all, fmt.Sprint(path, status, strings.ReplaceAll(string(body), n.URL, "")))
		}
		return all
	}
	before := views(n)
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	for _, end := range []string{"an end in order", "a kill"} {
		n = testnode.Start(t, dir)
		for i, after := range views(n) {
			if after != before[i] {
				t.Errorf("after %s:\n%.1000s\nbefore:\n%.1000s", end, after, before[i])
			}
		}
		checkObjects(t, n, objects...)
		cut.checkQuarantined(t, n, device.ViaUpload)
		n.Kill()
	}
}
