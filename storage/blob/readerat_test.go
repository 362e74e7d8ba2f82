package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// memory serves one blob and counts what it was asked for.
type memory struct {
	bytes []byte
	asked int
	fault error
}

func (m *memory) Open(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	m.asked++
	if m.fault != nil {
		return io.NopCloser(iotest.ErrReader(m.fault)), nil //nolint:nilerr // it comes while reading
	}
	end := int64(len(m.bytes))
	if n >= 0 {
		end = min(end, off+n)
	}
	return io.NopCloser(bytes.NewReader(m.bytes[off:end])), nil
}

func TestAt(t *testing.T) {
	for _, size := range []int{0, 1, 1000, 8 << 20, 8<<20 + 1, 40<<20 + 17} {
		m := &memory{bytes: make([]byte, size)}
		random := rand.NewChaCha8([32]byte{1})
		if _, err := random.Read(m.bytes); err != nil {
			t.Fatal(err)
		}
		at, err := blob.At(t.Context(), m, "k", int64(size))
		if err != nil {
			if size > 0 {
				t.Fatal(size, err)
			}
			continue
		}
		if err := iotest.TestReader(io.NewSectionReader(at, 0, int64(min(size, 5000))), m.bytes[:min(size, 5000)]); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		whole, err := io.ReadAll(io.NewSectionReader(at, 0, int64(size)+10))
		if err != nil || !bytes.Equal(whole, m.bytes) {
			t.Errorf("%d bytes: read %d, %v", size, len(whole), err)
		}
		if most := size>>20 + 2; m.asked > most {
			t.Errorf("%d bytes: the store was asked %d times", size, m.asked)
		}
		if _, err := at.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("read before the beginning")
		}
	}
}

func TestAtTellsFaults(t *testing.T) {
	m := &memory{bytes: make([]byte, 9<<20), fault: blob.ErrCorrupt}
	at, err := blob.At(t.Context(), m, "k", 9<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at.ReadAt(make([]byte, 10), 0); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("%v, want %v", err, blob.ErrCorrupt)
	}
	if _, err := blob.At(t.Context(), m, "k", 100); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("%v, want %v", err, blob.ErrCorrupt)
	}
	m.fault = nil
	m.bytes = m.bytes[:100]
	if _, err := blob.At(t.Context(), m, "k", 200); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v of a blob that is shorter than told", err)
	}
}
