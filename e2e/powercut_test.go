package e2e

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// TestPowerCutLosesTheEndOfTheLog takes the newest records away from the log, as a power cut may that comes
// before they were synced (docs/decisions/0006). Blobs were synced before anybody heard of success, so the
// node makes the events again: everything acknowledged is there, once, and the quarantine too.
func TestPowerCutLosesTheEndOfTheLog(t *testing.T) {
	dir := t.TempDir()
	s := rand.Uint64()
	t.Logf("seed %d", s)
	rng := rand.New(rand.NewPCG(s, 2))
	next := 9500
	var sent []object
	for round := range 3 {
		n := testnode.Start(t, dir)
		for _, via := range []string{device.ViaDICOM, device.ViaSTOW, device.ViaUpload, device.ViaTus} {
			target := device.Target{Via: via, Address: n.URL, CalledAE: n.AET, CallingAE: "KIT"}
			if via == device.ViaDICOM {
				target.Address = n.DICOM
			}
			sender := target.Open(nil)
			for range 10 {
				o := object{number: next, pixels: 512 + rng.IntN(64<<10)&^255}
				next++
				if out, err := sender.Send(t.Context(), o.sendable(t)); err != nil || out.Status != device.Stored {
					t.Fatalf("object %d by %s: %+v, %v", o.number, via, out, err)
				}
				sent = append(sent, o)
			}
			_ = sender.Close()
		}
		cut := object{number: 9400 + round, pixels: 4 << 10}.file()
		resp, err := http.Post(n.URL+"/upload", "", bytes.NewReader(cut[:len(cut)-100]))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		n.Get(t, "/dicom-web/studies?limit=1") // the index has all of it, and will be ahead of the log
		n.Kill()
		cutLog(t, filepath.Join(dir, "log.db-wal"), rng)

		n = testnode.Start(t, dir)
		if _, body := n.Get(t, "/metrics"); !regexp.MustCompile(`(?m)^tributary_ingest_adopted_total [1-9]`).Match(body) {
			t.Errorf("round %d: no event was made again: the test took nothing away", round)
		}
		for _, o := range sent {
			got, code := retrieve(t, n, o)
			if code != http.StatusOK || !bytes.HasSuffix(got, o.dataset()) {
				t.Errorf("round %d: object %d: status %d, %d bytes", round, o.number, code, len(got))
			}
			var rows []json.RawMessage
			_, body := n.Get(t, "/dicom-web/instances?SOPInstanceUID="+o.instance())
			if err := json.Unmarshal(body, &rows); err != nil || len(rows) != 1 {
				t.Errorf("round %d: object %d is in the index %d times (%v)", round, o.number, len(rows), err)
			}
		}
		var kept []json.RawMessage
		_, body := n.Get(t, "/quarantine")
		if err := json.Unmarshal(body, &kept); err != nil || len(kept) != round+1 {
			t.Errorf("round %d: %d entries in quarantine (%v)", round, len(kept), err)
		}
		if _, body := n.Get(t, "/conflicts"); string(bytes.TrimSpace(body)) != "[]" {
			t.Errorf("round %d: conflicts %s", round, body)
		}
		if err := n.Stop(); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

// cutLog wipes the end of a write-ahead log from somewhere in its second half on. What lies in it was not
// copied into the main file yet: the log is far too short for that.
func cutLog(t *testing.T, path string, rng *rand.Rand) {
	t.Helper()
	wal, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(wal, "\x00"))
	if used < 64<<10 {
		t.Fatalf("the write-ahead log has %d bytes: nothing to lose", used)
	}
	clear(wal[used/2+rng.IntN(used/2):])
	if err := os.WriteFile(path, wal, 0o600); err != nil {
		t.Fatal(err)
	}
}
