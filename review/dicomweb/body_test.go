package dicomweb

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// slice is a source in memory. It counts how often it is opened.
type slice struct {
	b      []byte
	opened *int
}

func (s slice) open(_ context.Context, off, n int64) (io.ReadCloser, error) {
	if s.opened != nil {
		*s.opened++
	}
	off = min(off, int64(len(s.b)))
	return io.NopCloser(iotest.HalfReader(bytes.NewReader(s.b[off:min(off+n, int64(len(s.b)))]))), nil
}

func readBody(t *testing.T, b body, off, n int64) []byte {
	t.Helper()
	rc, err := b.open(context.Background(), off, n)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := send(&out, rc, n); err != nil {
		t.Fatalf("[%d,+%d): %v", off, n, err)
	}
	if err := rc.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// checkBody compares every range of b with want.
func checkBody(t *testing.T, b body, want []byte) {
	t.Helper()
	if b.length != int64(len(want)) {
		t.Fatalf("length %d, want %d", b.length, len(want))
	}
	for off := range len(want) {
		for n := 0; n <= len(want)-off; n++ {
			if got := readBody(t, b, int64(off), int64(n)); !bytes.Equal(got, want[off:off+n]) {
				t.Fatalf("[%d,+%d): % x, want % x", off, n, got, want[off:off+n])
			}
		}
	}
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a fixture, not a secret
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func bit(b []byte, i int) byte { return b[i/8] >> (i % 8) & 1 }

func TestBitsBody(t *testing.T) {
	data := noise(40)
	for _, bits := range []int{1, 5, 7, 8, 9, 13, 16, 24, 31} {
		for frame := range 5 {
			first := frame * bits
			want := make([]byte, (bits+7)/8)
			for i := range bits {
				want[i/8] |= bit(data[3:], first+i) << (i % 8)
			}
			checkBody(t, bitsBody(slice{b: data}, 3, int64(first), int64(bits)), want)
		}
	}
}

func TestSwapped(t *testing.T) {
	data := noise(27)
	for _, width := range []int64{2, 4, 8} {
		for _, length := range []int64{16, 21} { // 21: a last incomplete word passes as it is
			want := bytes.Clone(data[3 : 3+length])
			for i := int64(0); i+width <= length; i += width {
				for j := range width / 2 {
					want[i+j], want[i+width-1-j] = want[i+width-1-j], want[i+j]
				}
			}
			src := swapped{slice{b: data}, 3, length, width}
			checkBody(t, runBody(src, part10.Range{Offset: 3, Length: length}), want)
			checkBody(t, runBody(src, part10.Range{Offset: 4, Length: 9}), want[1:10])
			if _, err := src.open(context.Background(), 2, 1); err == nil {
				t.Error("a run before the value was read")
			}
		}
	}
}

func TestRunsBody(t *testing.T) {
	data := noise(300 << 10)
	runs := []part10.Range{{Offset: 5, Length: 4}, {Offset: 17, Length: 0}, {Offset: 17, Length: 6}, {Offset: 200 << 10, Length: 5}, {Offset: 40, Length: 3}}
	var want []byte
	for _, r := range runs {
		want = append(want, data[r.Offset:r.Offset+r.Length]...)
	}
	checkBody(t, runsBody(slice{b: data}, runs), want)

	opened := 0
	readBody(t, runsBody(slice{data, &opened}, runs), 0, int64(len(want)))
	if opened != 3 { // the first three are neighbours
		t.Errorf("opened %d times, want 3", opened)
	}
	short := runsBody(slice{b: data[:20]}, runs[:3])
	rc, err := short.open(context.Background(), 0, short.length)
	if err == nil {
		err = send(io.Discard, rc, short.length)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short blob gave %v", err)
	}
}

func TestInflated(t *testing.T) {
	data := noise(100 << 10)
	var packed bytes.Buffer
	packed.WriteString("File Meta")
	z, _ := flate.NewWriter(&packed, flate.BestSpeed)
	_, _ = z.Write(data)
	_ = z.Close()
	blobs := &memBlobs{bytes: map[string][]byte{"k": packed.Bytes()}}
	src := &inflated{stored: stored{blobs, "k"}, dataset: 9}
	for _, r := range []part10.Range{{Offset: 0, Length: 10}, {Offset: 10, Length: 20}, {Offset: 50_000, Length: 300}, {Offset: 60_000, Length: 1}, {Offset: 5, Length: 7}} {
		if got := readBody(t, runBody(src, r), 0, r.Length); !bytes.Equal(got, data[r.Offset:r.Offset+r.Length]) {
			t.Errorf("%+v differs", r)
		}
	}
	if blobs.opened != 2 {
		t.Errorf("inflated %d times, want 2: runs that ascend share a stream", blobs.opened)
	}
	if _, err := src.open(context.Background(), int64(len(data))+1, 1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a run behind the end gave %v", err)
	}
	src.close()
	if blobs.open != 0 {
		t.Errorf("%d readers left open", blobs.open)
	}
}

// send copies exactly n bytes of src to w.
func send(w io.Writer, src io.Reader, n int64) error {
	s, err := begin(src, n)
	if err != nil {
		return err
	}
	defer s.free()
	return s.to(w)
}

// TestManyReaders: a thousand readers at a time hold as much memory as a few hundred.
func TestManyReaders(t *testing.T) {
	held := 0
	var all []func()
	for range 1000 {
		b, done := takeBuffer()
		held += len(b)
		all = append(all, done)
	}
	if most := manyReaders*copyBuffer + 1000*copyBuffer/8; held > most {
		t.Errorf("1,000 readers hold %d bytes, want %d at most", held, most)
	}
	for _, done := range all {
		done()
	}
	b, done := takeBuffer()
	defer done()
	if len(b) != copyBuffer {
		t.Errorf("a reader on its own has a buffer of %d bytes", len(b))
	}
}
