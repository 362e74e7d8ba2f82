package e2e

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/blob/s3blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// servers are the engines of several nodes.
type servers struct{ blobs, log, index string }

func (s servers) flags() []string {
	return []string{"--blobs", s.blobs, "--log", s.log, "--index", s.index}
}

// dump is all that the index says.
func (s servers) dump(t *testing.T) string {
	t.Helper()
	db, err := index.OpenPostgres(t.Context(), s.index, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b bytes.Buffer
	if err := db.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFsckOnServers audits and rebuilds what lies in a bucket, in several partitions of Kafka and in
// PostgreSQL, while another process has all of them open, as nodes do.
func TestFsckOnServers(t *testing.T) {
	bucket, kafka, postgres := testengine.StartS3(t, testengine.S3Buckets("tributary")), testengine.StartKafka(t), testengine.StartPostgres(t)
	bucket.Setenv(t)
	at := servers{bucket.URL("tributary", "fsck"), kafka.URL("fsck") + "?partitions=3&replication=1&min-insync=1", postgres.Schema(t)}
	ctx := t.Context()
	blobs, err := s3blob.Open(ctx, at.blobs, s3blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	log, err := kafkalog.Open(ctx, at.log, kafkalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	db, err := index.OpenPostgres(ctx, at.index, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const objects = 90 // of five studies, which fill all partitions
	in := ingest.New(ingest.Config{}, blobs, log, late{db})
	var all errgroup.Group
	all.SetLimit(8)
	for i := range objects {
		all.Go(func() error {
			o := object{number: 30000 + i, pixels: 256}
			_, err := in.Admit(ctx, ingest.Arrival{Body: bytes.NewReader(o.file()), Origin: event.Origin{Door: "import"}})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := rebuild.FromLog(ctx, rebuild.OfMany(log), db, rebuild.Options{}); err != nil {
		t.Fatal(err)
	}
	want := at.dump(t)
	dir := t.TempDir()
	check := func(what string, wantCode int, counts map[audit.Code]int64, more ...string) {
		t.Helper()
		code, r := fsck(t, dir, append(at.flags(), more...)...)
		if code != wantCode || !maps.Equal(r.Counts, counts) || r.Events < objects {
			t.Errorf("%s: exit %d, %v of %d events, want %v\n%+v", what, code, r.Counts, r.Events, counts, r.Findings)
		}
	}
	check("whole", 0, nil, "--full")

	_, schema, _ := strings.Cut(at.index, "schema=") // pgx takes a plus sign as it is
	if err := postgres.Exec(ctx, `DELETE FROM "`+schema+`".instances WHERE sop_instance_uid LIKE '%.30007.1'`); err != nil {
		t.Fatal(err)
	}
	check("a row gone", 1, map[audit.Code]int64{audit.RowMissing: 1, audit.IndexMiscounted: 1})
	check("repair", 0, map[audit.Code]int64{audit.RowMissing: 1, audit.IndexMiscounted: 1}, "--repair")
	check("repaired", 0, nil, "--full")
	if got := at.dump(t); got != want {
		t.Error("the index that repair made differs")
	}
	if r := reindex(t, dir, at.flags()...); r.Index.Records != objects {
		t.Errorf("%+v", r)
	}
	if got := at.dump(t); got != want {
		t.Error("the index that was made from Kafka differs")
	}

	again := servers{at.blobs, kafka.URL("again") + "?partitions=2&replication=1&min-insync=1", postgres.Schema(t)}
	if r := reindex(t, dir, append(again.flags(), "--from", "blobs")...); r.Blobs.Made != objects || r.Index.Records != objects {
		t.Errorf("%+v", r)
	}
	if got := again.dump(t); got != want {
		t.Error("the index that was made from the bucket differs")
	}

	versions, _, err := db.Lookup(ctx, ingest.DefaultTenant, object{number: 30011}.instance())
	if err != nil || len(versions) != 1 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	if err := blobs.Delete(ctx, versions[0].BlobKey); err != nil {
		t.Fatal(err)
	}
	check("a blob gone", 1, map[audit.Code]int64{audit.BlobMissing: 1})
	check("a blob gone, repair", 1, map[audit.Code]int64{audit.BlobMissing: 1}, "--repair")
}
