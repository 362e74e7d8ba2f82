package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

var (
	engines = flag.Bool("engines", false, "measure a node over S3, Kafka and PostgreSQL beside the embedded one (make bench-engines)")
	only    = flag.String("workloads", "W1,W2,W3,W4", "with -engines: what to run")
	whole   = flag.Bool("whole", false, "with -engines: all objects instead of a tenth")
)

// TestBenchEngines measures the same workloads on a node over shared engines and on the embedded one, and
// what the engines do by themselves. It is no test of anything; it is here because the engines are.
func TestBenchEngines(t *testing.T) {
	if !*engines {
		t.Skip("measures for minutes; make bench-engines")
	}
	s3 := testengine.StartS3(t, testengine.S3Buckets("bench"))
	s3.Setenv(t)
	broker := testengine.StartKafka(t)
	pg := testengine.StartPostgres(t, "fsync=on")

	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "the engines by themselves, 100 KiB a blob\t1 client\t4 clients\t")
	for _, limit := range []struct {
		name string
		op   func(t *testing.T) (func(ctx context.Context, n int64) error, func())
	}{
		{"S3 PUT, per s", func(t *testing.T) (func(context.Context, int64) error, func()) { return putS3(s3.Client(t)) }},
		{"Kafka append, acks of all, per s", func(*testing.T) (func(context.Context, int64) error, func()) { return appendKafka(broker) }},
		{"PostgreSQL commit, per s", func(t *testing.T) (func(context.Context, int64) error, func()) { return commitPG(t, pg) }},
	} {
		fmt.Fprintf(out, "%s\t%.0f\t%.0f\t\n", limit.name, rate(t, 1, limit.op), rate(t, 4, limit.op))
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(t.TempDir(), "bench.json")
	opt := options{
		only: *only, systems: "tributary,shared", quick: !*whole, reps: 1, dir: t.TempDir(), json: file, w3Bytes: 1 << 30, slice: 5 * time.Second,
		shared: "--blobs " + s3.URL("bench", "node-NUMBER") + " --log " + broker.URL("benchNUMBER") + "?partitions=6&replication=1 --index " + pg.URL() + "&schema=benchNUMBER",
	}
	if *whole {
		opt.w3Bytes = 2 << 30
	}
	if err := run(t.Context(), opt, io.Discard, os.Stderr); err != nil {
		t.Error(err)
	}
	printEngines(t, file)
}

// rate is how often an operation works in a second with some clients.
func rate(t *testing.T, clients int, prepare func(t *testing.T) (func(ctx context.Context, n int64) error, func())) float64 {
	t.Helper()
	const long = 3 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var done, next atomic.Int64
	var work sync.WaitGroup
	start := time.Now()
	for range clients {
		op, end := prepare(t)
		defer end()
		work.Go(func() {
			for ctx.Err() == nil {
				if err := op(ctx, next.Add(1)); err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				done.Add(1)
			}
		})
	}
	work.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}

func putS3(client *minio.Core) (func(ctx context.Context, n int64) error, func()) {
	block := bytes.Repeat([]byte{7}, 100<<10)
	return func(ctx context.Context, n int64) error {
		_, err := client.Client.PutObject(ctx, "bench", fmt.Sprintf("limit/%d", n), bytes.NewReader(block), int64(len(block)), minio.PutObjectOptions{})
		return err
	}, func() {}
}

func appendKafka(broker *testengine.Kafka) (func(ctx context.Context, n int64) error, func()) {
	// Another one may have made it.
	_, _ = (&kafka.Client{Addr: kafka.TCP(broker.Brokers()...)}).CreateTopics(context.Background(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: "limit", NumPartitions: 1, ReplicationFactor: 1}},
	})
	w := &kafka.Writer{
		Addr: kafka.TCP(broker.Brokers()...), Topic: "limit", RequiredAcks: kafka.RequireAll, BatchSize: 1,
	}
	value := bytes.Repeat([]byte{7}, 3<<10)
	return func(ctx context.Context, _ int64) error {
			return w.WriteMessages(ctx, kafka.Message{Value: value})
		}, func() {
			_ = w.Close() // nothing waits in it
		}
}

func commitPG(t *testing.T, pg *testengine.Postgres) (func(ctx context.Context, n int64) error, func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pg.URL())
	if err == nil {
		_, err = conn.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS limits (n BIGINT, body BYTEA)")
	}
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte{7}, 1<<10)
	return func(ctx context.Context, n int64) error {
			_, err := conn.Exec(ctx, "INSERT INTO limits VALUES ($1, $2)", n, value)
			return err
		}, func() {
			_ = conn.Close(context.Background()) // the server ends with the test
		}
}

// printEngines prints the two nodes side by side.
func printEngines(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Results []result `json:"results"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	type key struct{ workload, line string }
	var order []key
	cells := map[key]map[string]result{}
	for _, r := range doc.Results {
		k := key{r.Workload, r.Line}
		if cells[k] == nil {
			cells[k] = map[string]result{}
			order = append(order, k)
		}
		cells[k][r.System] = r
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "\tline\tunit\tembedded\tp99 ms\tshared\tp99 ms\tshared ÷ embedded\tshared MiB over idle\t")
	for _, k := range order {
		e, s := cells[k]["tributary"], cells[k]["shared"]
		ratio := ""
		if e.Value > 0 && s.Value > 0 {
			ratio = fmt.Sprintf("%.2f", s.Value/e.Value)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%.1f\t%s\t%.1f\t%s\t%.0f\t\n",
			k.workload, k.line, e.Unit, figure(e.Value), e.P99, figure(s.Value), s.P99, ratio, s.OverIdle)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
}
