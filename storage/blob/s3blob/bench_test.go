package s3blob_test

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/s3blob"
)

// BenchmarkCommit100KiB commits small blobs from several writers at once.
func BenchmarkCommit100KiB(b *testing.B) {
	server := testengine.StartS3(b)
	server.Setenv(b)
	data := blobtest.Bytes(100<<10, 1)
	for _, writers := range []int{1, 4, 8} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			s := open(b, server.URL("tributary", fmt.Sprint("bench/", writers)), s3blob.Options{})
			b.SetBytes(int64(len(data)))
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if _, err := blobtest.Put(s, data, blob.Meta{"door": "storescp"}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
		})
	}
}

// BenchmarkLarge writes and reads a blob of 512 MiB.
func BenchmarkLarge(b *testing.B) {
	const size = 512 << 20
	server := testengine.StartS3(b)
	server.Setenv(b)
	s := open(b, server.URL("tributary", "bench/large"), s3blob.Options{})
	piece := blobtest.Bytes(64<<10, 1)
	write := func(b *testing.B) blob.Info {
		w, err := s.Create(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer w.Abort()
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				b.Fatal(err)
			}
		}
		info, err := w.Commit(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		return info
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			info := write(b)
			b.StopTimer()
			if err := s.Delete(b.Context(), info.Key); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	b.Run("read", func(b *testing.B) {
		info := write(b)
		b.SetBytes(size)
		for b.Loop() {
			r, err := s.Open(b.Context(), info.Key, 0, -1)
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r); err != nil || n != size {
				b.Fatal(n, err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("range of 100 KiB", func(b *testing.B) {
		info := write(b)
		for i := int64(0); b.Loop(); i++ {
			if _, err := blobtest.Get(s, info.Key, i*7919*4096%size, 100<<10); err != nil {
				b.Fatal(err)
			}
		}
	})
}
