package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// TestDiskFull fills a small disk by every door: devices hear A700H, 503 or 507 and nothing else, what was
// acknowledged is there, and the node goes on by itself when there is room again.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tributary-test", disk, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("a small disk cannot be mounted (root may): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(disk, "data")
	n := testnode.Start(t, dir, "--reserve", "8000000")
	pid := n.PID
	l := &ledger{acked: map[int]bool{}, sent: map[int]object{}}
	fill := func(until int) (refused int) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var mu sync.Mutex
		var devices sync.WaitGroup
		for d := range 8 {
			via, rng := doors[d%len(doors)], rand.New(rand.NewPCG(6, uint64(d)))
			devices.Go(func() {
				s := sender(n, via)
				defer func() { _ = s.Close() }()
				for ctx.Err() == nil {
					o := l.draw(rng)
					out, err := s.Send(ctx, o.sendable(t))
					l.answered(o, err == nil && out.Kept())
					if err == nil && out.Kept() {
						continue
					}
					text := out.Code
					if err != nil {
						text = err.Error()
					}
					if !errors.Is(err, context.Canceled) && !strings.Contains(text, "503") && !strings.Contains(text, "507") && !strings.Contains(text, "A7") {
						t.Errorf("%s on a full disk: %+v, %v", via, out, err)
					}
					mu.Lock()
					if refused++; refused >= until {
						cancel()
					}
					mu.Unlock()
				}
			})
		}
		devices.Wait()
		return refused
	}
	fill(40)
	if status, engines, err := readiness(t.Context(), n, "/readyz"); err != nil || status != http.StatusServiceUnavailable || engines["blobs"] == "ok" || engines["log"] != "ok" {
		t.Errorf("on a full disk: %d %v, %v", status, engines, err)
	}
	if len(l.acked) == 0 {
		t.Fatal("nothing was taken before the disk was full")
	}
	full := len(l.acked)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node takes objects again", func() error {
		sh := shipBytes(t, n, device.ViaUpload, "small.dcm", object{number: 99_000_000, pixels: 512}.file())
		return sh.err
	})
	fill(40)
	if len(l.acked) <= full {
		t.Error("nothing was taken when there was room again")
	}
	if n.PID != pid {
		t.Error("the node was restarted")
	}
	if err := n.Stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
	check(t, testnode.Binary(t), dir, l, 0, "--reserve=-1")
	if code, r := fsck(t, dir, "--full"); code != 0 {
		t.Errorf("fsck: exit %d, %v", code, r.Counts)
	}
	t.Logf("%d objects sent, %d acknowledged", len(l.sent), len(l.acked))
}
