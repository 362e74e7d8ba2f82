package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// county is production in small: an S3 server, Kafka and PostgreSQL, each a process of its own, and nodes
// that keep nothing themselves.
type county struct {
	s3    *testengine.S3
	kafka *testengine.Kafka
	pg    *testengine.Postgres
	flags []string // that every node has
	nodes int
}

func newCounty(t *testing.T) *county {
	t.Helper()
	c := &county{
		s3: testengine.StartS3(t, testengine.S3Buckets("county")), kafka: testengine.StartKafka(t), pg: testengine.StartPostgres(t),
	}
	c.s3.Setenv(t)
	c.flags = []string{
		"--blobs", c.s3.URL("county", "blobs"), "--log", c.kafka.URL("county") + "?replication=1&partitions=6", "--index", c.pg.Schema(t),
	}
	return c
}

// node starts a node of the county with some roles, over a folder of its own.
func (c *county) node(t *testing.T, roles string, flags ...string) *testnode.Node {
	t.Helper()
	c.nodes++
	name := fmt.Sprintf("node%d", c.nodes)
	return testnode.Start(t, t.TempDir(), append(append([]string{"--roles", roles, "--node", name}, c.flags...), flags...)...)
}

// eventually waits for a condition that other processes bring about; it fails after a time in which any
// machine would have done so.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// instances is how many instances readers of a node find.
func instances(ctx context.Context, n *testnode.Node) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/dicom-web/instances?limit=5000", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return 0, nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", resp.Status, body)
	}
	var rows []json.RawMessage
	err = json.Unmarshal(body, &rows)
	return len(rows), err
}

// findable waits until readers find so many instances.
func findable(t *testing.T, n *testnode.Node, want int) {
	t.Helper()
	eventually(t, "instances that readers find", func() error {
		got, err := instances(t.Context(), n)
		if err == nil && got != want {
			err = fmt.Errorf("%d, want %d", got, want)
		}
		return err
	})
}

// TestCounty: two intake nodes, two indexers and a reader over shared engines. What any door took, the
// reader gives back bit for bit, once; a node goes and comes while devices send.
func TestCounty(t *testing.T) {
	c := newCounty(t)
	intakes := []*testnode.Node{c.node(t, "intake"), c.node(t, "intake")}
	c.node(t, "index")
	c.node(t, "index")
	reader := c.node(t, "review")

	const many = 24
	var objects []object
	for i := range many {
		pixels := 32 << 10
		if i%12 == 5 {
			pixels = 12 << 20 // several parts
		}
		objects = append(objects, object{number: 70_000 + i, pixels: pixels})
	}
	var senders sync.WaitGroup
	for i, o := range objects {
		senders.Go(func() {
			via := doors[i%len(doors)]
			if sh := shipBytes(t, intakes[i%2], via, "object.dcm", o.file()); sh.letter() != "S" {
				t.Errorf("%s: %+v", via, sh)
			}
		})
	}
	senders.Wait()
	findable(t, reader, many)
	for _, o := range objects {
		if got, status := retrieve(t, reader, o); status != http.StatusOK || !bytes.HasSuffix(got, o.dataset()) {
			t.Errorf("%s: %d, %d bytes", o.instance(), status, len(got))
		}
	}

	// Sent again to the other node: there already.
	for i, o := range objects[:6] {
		if sh := shipBytes(t, intakes[1-i%2], device.ViaUpload, "again.dcm", o.file()); sh.Status != device.Duplicate {
			t.Errorf("sent again: %+v", sh)
		}
	}

	// A node of another role does not have its doors.
	if sh := shipBytes(t, reader, device.ViaUpload, "object.dcm", objects[0].file()); sh.letter() != "R" {
		t.Errorf("a reader took an object: %+v", sh)
	}
	if _, err := os.Stat(intakes[0].Dir + "/index.db"); err == nil {
		t.Error("an intake node has an index of its own")
	}
}
