package journal

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// victimDir names the variable that makes this test binary write to a journal until it is killed.
const victimDir = "TRIBUTARY_TEST_JOURNAL"

const (
	victims   = 4
	documents = 3 // of each
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	os.Exit(m.Run())
}

// victim has writers that count, each in three documents of its own in turn, and says what was acknowledged:
// the writer, the document, its count, negative when that removed it. Each goes on from its highest count.
func victim(dir string) {
	j, err := Open(dir, Options{SegmentBytes: 8 << 10})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var all sync.WaitGroup
	var out sync.Mutex
	for g := range victims {
		n := 0
		for _, k := range j.Keys() {
			if doc, _, err := j.Get(k); err == nil && int(k[0]) == g {
				n = max(n, count(doc))
			}
		}
		all.Go(func() {
			for n++; ; n++ {
				key, said := Key{byte(g), byte(n % documents)}, n
				var err error
				if n%7 == 0 {
					said, err = -n, j.Remove(key)
				} else {
					err = []func(Key, Tag, []byte) error{j.Put, j.PutLazily}[n%2](key, 1, []byte(fmt.Sprint(n, " ", strings.Repeat("x", n*37%900))))
				}
				out.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println(g, n%documents, said)
				}
				out.Unlock()
			}
		})
	}
	all.Wait()
}

func count(doc []byte) int {
	digits, _, _ := strings.Cut(string(doc), " ")
	n, _ := strconv.Atoi(digits)
	return n
}

// TestKill kills a writer with SIGKILL at random places, in commits, new segments and compactions: the last
// change that was acknowledged of each document is there, or the one after it.
func TestKill(t *testing.T) {
	kills := 40
	if testing.Short() {
		kills = 15
	}
	dir := t.TempDir()
	acked := map[Key]int{}
	lines := 0
	for kill := range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), victimDir+"="+dir)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out := bufio.NewScanner(pipe)
		for left := 20 + kill*29%200; out.Scan(); left-- {
			var g, doc, n int
			if _, err := fmt.Sscan(out.Text(), &g, &doc, &n); err != nil {
				t.Fatalf("victim says %q", out.Text())
			}
			acked[Key{byte(g), byte(doc)}] = n
			lines++
			if left == 0 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		j := open(t, dir)
		for key, said := range acked {
			last, next := max(said, -said), max(said, -said)+documents // next may have been in flight
			doc, _, err := j.Get(key)
			switch got := count(doc); {
			case err == nil && (got == said || got == next):
				acked[key] = got
			case err != nil && said < 0:
			case err != nil && next%7 == 0:
				acked[key] = -next
			default:
				t.Fatalf("kill %d: document %v has count %d, %v; %d was acknowledged as %d", kill, key[:2], got, err, last, said)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d changes acknowledged", lines)
}
