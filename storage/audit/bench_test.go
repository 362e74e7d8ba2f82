package audit_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// province is blobs, log and index of n objects that agree, made up as they are asked for.
type province struct {
	n    int64
	peak atomic.Uint64
}

func (p *province) key(i int64) string {
	return fmt.Sprintf("2026/11/22/01M80VCB7WWJXBASPHBNRF8DYB.p/%012d-1196", i*4096)
}
func (p *province) id(i int64) string { return fmt.Sprintf("01M80VCB7W%016d", i) }

func (p *province) hash(i int64) string { return fmt.Sprintf("%064x", i) }

// look notes how much memory is in use.
func (p *province) look(i int64) {
	if i%20000 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.peak.Store(max(p.peak.Load(), m.HeapInuse))
	}
}

func (p *province) List(_ context.Context, _ time.Time, fn func(blob.Info) error) error {
	for i := range p.n {
		p.look(i)
		err := fn(blob.Info{Key: p.key(i), Bytes: 1196, Meta: blob.Meta{"kind": "object", "object_id": p.id(i)}, Created: time.Unix(0, 0)})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *province) Stat(context.Context, string) (blob.Info, error) {
	return blob.Info{}, blob.ErrNotFound
}

func (p *province) Open(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, blob.ErrNotFound
}

func (p *province) Heads(_ context.Context, topic string) ([]eventlog.Position, error) {
	return []eventlog.Position{{Topic: topic, Offset: p.n - 1}}, nil
}

func (p *province) ReadFrom(_ context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error) {
	out := make([]eventlog.Record, 0, most)
	for i := from.Offset; i < min(from.Offset+int64(most), p.n); i++ {
		p.look(i)
		env, err := event.NewInstance(event.TypeInstanceStored, "/bench", time.Unix(0, 0), &event.Instance{
			ObjectID: p.id(i), Tenant: "default",
			Blob: event.Blob{Key: p.key(i), Bytes: 1196, SHA256: p.hash(i), DatasetSHA256: p.hash(i), TransferSyntaxUID: explicitLE},
			IDs:  event.IDs{StudyInstanceUID: "1.2.3", SeriesInstanceUID: "1.2.4", SOPInstanceUID: fmt.Sprintf("1.2.826.0.1.3680043.10.9.%d", i), SOPClassUID: usStorage},
		})
		if err != nil {
			return nil, err
		}
		env.ID = p.id(i)
		out = append(out, eventlog.Record{Position: eventlog.Position{Topic: topic, Offset: i}, Event: env})
	}
	return out, nil
}

func (p *province) LastApplied(context.Context, string, int32) (int64, string, error) {
	return p.n - 1, p.id(p.n - 1), nil
}

func (p *province) Miscounted(context.Context) (int64, error) { return 0, nil }

func (p *province) EachRow(_ context.Context, fn func(index.RowOf) error) error {
	for i := range p.n {
		p.look(i)
		err := fn(index.RowOf{
			Kind: index.RowInstance, Tenant: "default", ObjectID: p.id(i), EventID: p.id(i), BlobKey: p.key(i), Bytes: 1196, Whole: true,
			SOPInstanceUID: fmt.Sprintf("1.2.826.0.1.3680043.10.9.%d", i), DatasetSHA256: p.hash(i), SHA256: p.hash(i), TransferSyntaxUID: explicitLE,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkVerify compares 200,000 objects: what an object costs, and the largest heap, which must not grow
// with their number.
func BenchmarkVerify(b *testing.B) {
	p := &province{n: 200_000}
	for b.Loop() {
		r, err := audit.Verify(b.Context(), audit.Engines{Blobs: p, Log: p, Index: p, Kept: ingest.Kept}, audit.Options{Dir: b.TempDir()})
		if err != nil || !r.Clean() || r.Rows != p.n {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(int64(b.N)*p.n), "ns/object")
	b.ReportMetric(float64(p.peak.Load())/(1<<20), "MiB-heap")
}
