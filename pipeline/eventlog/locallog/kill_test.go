package locallog_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
)

// victimPath names the variable that makes this test binary append to a log until it is killed.
const victimPath = "TRIBUTARY_TEST_LOG"

// victim prints the id of each event after it was acknowledged.
func victim(path string) {
	log, err := locallog.Open(context.Background(), path, locallog.Options{CheckpointBytes: 256 << 10})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var wg sync.WaitGroup
	var out sync.Mutex
	for range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				events := []event.Envelope{numbered(n), numbered(n)}[:1+n%2]
				events[0].Data = []byte(`"` + strings.Repeat("x", n*37%9000) + `"`)
				if _, err := log.Append(context.Background(), events...); err != nil {
					fmt.Println("error", err)
					return
				}
				out.Lock()
				for _, e := range events {
					fmt.Println(e.ID)
				}
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

// Every append that was acknowledged before a kill -9 is there afterwards, once, and the log goes on.
func TestKill(t *testing.T) {
	kills := 20
	if !testing.Short() {
		kills = 60
	}
	path := filepath.Join(t.TempDir(), "log.db")
	acked := map[string]bool{}
	for kill := range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), victimPath+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Error(lines.Text())
			}
			acked[lines.Text()] = true // the last line may be cut: it is removed below
			if n == 5+kill*17%90 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}
	log := open(t, path, locallog.Options{})
	found, last := map[string]bool{}, int64(0)
	for {
		records, err := log.ReadFrom(t.Context(), event.TopicInstances, eventlog.Position{Offset: last + 1}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			if found[r.Event.ID] || r.Offset <= last {
				t.Fatalf("record %s at %d is there twice or out of order", r.Event.ID, r.Offset)
			}
			found[r.Event.ID], last = true, r.Offset
		}
	}
	for id := range acked {
		if len(id) == 26 && !found[id] {
			t.Errorf("acknowledged event %s is lost", id)
		}
	}
	t.Logf("%d kills, %d acknowledged, %d found", kills, len(acked), len(found))
}
