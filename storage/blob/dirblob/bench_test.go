package dirblob_test

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
)

// BenchmarkCommit100KiB stores objects of 100 KiB, each durable, on the disk of the temporary folder.
func BenchmarkCommit100KiB(b *testing.B) {
	for _, layout := range []struct {
		name string
		opt  dirblob.Options
	}{
		{"packs", dirblob.Options{}},
		{"no prewrite", dirblob.Options{PrewriteBytes: -1}},
		{"files", dirblob.Options{SmallBytes: -1}},
	} {
		for _, writers := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("%s/%d", layout.name, writers), func(b *testing.B) {
				s := open(b, b.TempDir(), layout.opt)
				data := blobtest.Bytes(100<<10, 1)
				b.SetBytes(int64(len(data)))
				b.ResetTimer()
				var wg sync.WaitGroup
				for g := range writers {
					wg.Go(func() {
						for i := g; i < b.N; i += writers {
							if _, err := blobtest.Put(s, data, nil); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
			})
		}
	}
}

// BenchmarkLarge stores one object of 512 MiB in pieces as a PDU carries them, and reads it back.
func BenchmarkLarge(b *testing.B) {
	const size, piece = 512 << 20, 64 << 10
	s := open(b, b.TempDir(), dirblob.Options{})
	data := blobtest.Bytes(piece, 1)
	put := func(b *testing.B) string {
		w, err := s.Create(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for range size / piece {
			if _, err := w.Write(data); err != nil {
				b.Fatal(err)
			}
		}
		info, err := w.Commit(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		return info.Key
	}
	var key string
	b.Run("write", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if key != "" {
				if err := s.Delete(b.Context(), key); err != nil {
					b.Fatal(err)
				}
			}
			key = put(b)
		}
	})
	b.Run("read", func(b *testing.B) {
		if key == "" {
			key = put(b)
		}
		b.SetBytes(size)
		for b.Loop() {
			r, err := s.Open(b.Context(), key, 0, -1)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
