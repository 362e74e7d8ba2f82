package s3blob

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

func never() bool { return false }

func bytesOf(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func testRecord(t testing.TB, payload []byte, meta blob.Meta) record {
	t.Helper()
	text, err := encodeMeta(meta)
	if err != nil {
		t.Fatal(err)
	}
	var s sums
	s.add(payload)
	return record{payload: int64(len(payload)), created: time.Unix(1_790_000_000, 5e6).UTC(), meta: text, sums: s.encode()}
}

func TestRecord(t *testing.T) {
	key := newKey(time.Unix(1_790_000_000, 0), bareSuffix)
	for _, n := range []int{0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 3*pieceBytes + 7} {
		for _, meta := range []blob.Meta{nil, {"door": "upload"}, {"k": strings.Repeat("a", 9000), "name": "王^小明"}} {
			want := testRecord(t, bytesOf(n, 1), meta)
			b := want.encode(key)
			got, err := decodeRecord(key, b)
			if err != nil || !got.same(&want) {
				t.Fatalf("%d bytes: %+v, %v; want %+v", n, got, err, want)
			}
			if len(b) < 1000 {
				if got, err := decodeHeader(key, encodeHeader(b)); err != nil || !got.same(&want) {
					t.Fatalf("header: %+v, %v", got, err)
				}
			}
			if _, err := decodeRecord(newKey(time.Unix(1_790_000_000, 0), bareSuffix), b); !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("another blob's record was accepted: %v", err)
			}
			for i := range min(len(b), 600) {
				b[i] ^= 0x10
				if _, err := decodeRecord(key, b); !errors.Is(err, blob.ErrCorrupt) {
					t.Fatalf("record with byte %d changed: %v", i, err)
				}
				b[i] ^= 0x10
				if _, err := decodeRecord(key, b[:i]); !errors.Is(err, blob.ErrCorrupt) {
					t.Fatalf("record cut at %d: %v", i, err)
				}
			}
		}
	}
}

func FuzzRecord(f *testing.F) {
	key := newKey(time.Unix(1_790_000_000, 0), trailerSuffix)
	for _, n := range []int{0, 10, pieceBytes + 1} {
		r := testRecord(f, bytesOf(n, 1), blob.Meta{"a": strings.Repeat("b", n%100)})
		f.Add(r.encode(key))
		// With a sum that fits, so that what lies behind it is reached.
		b := r.encode(key)
		f.Add(b[:len(b)-recordTail])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, err := decodeRecord(key, in); err == nil {
			checkRecord(t, key, r)
		}
		sealed := (&record{}).encode(key)[:0]
		sealed = append(sealed, in...)
		sealed = le32(sealed, recordSum(key, in))
		sealed = le32(sealed, uint32(len(sealed)+4))
		if r, err := decodeRecord(key, sealed); err == nil {
			checkRecord(t, key, r)
		}
		_, _ = decodeHeader(key, string(in))
		_, _ = trailerBytes(in)
	})
}

func le32(b []byte, n uint32) []byte {
	return append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// checkRecord: what is accepted survives being written again.
func checkRecord(t *testing.T, key string, r record) {
	again, err := decodeRecord(key, r.encode(key))
	if err != nil || !again.same(&r) {
		t.Fatalf("decode(encode(r)) = %+v, %v; want %+v", again, err, r)
	}
	_, _ = r.info(key)
}

// TestInflate: a record cannot blow up.
func TestInflate(t *testing.T) {
	packed := deflate(make([]byte, 1<<20))
	for _, n := range []int64{0, 100, 1<<20 - 1, 1<<20 + 1} {
		if out, err := inflate(packed, n); err == nil {
			t.Errorf("1 MiB was taken for %d bytes: %d", n, len(out))
		}
	}
	if out, err := inflate(packed, 1<<20); err != nil || len(out) != 1<<20 {
		t.Errorf("inflate = %d bytes, %v", len(out), err)
	}
}

func TestPieces(t *testing.T) {
	for _, at := range []int64{0, largeFrom, maxBlobBytes - 100*largePieceBytes} {
		index, from, _ := pieceAt(at)
		if from > at {
			t.Fatalf("the piece at %d begins at %d", at, from)
		}
		for range 50 { // pieces follow one another without a gap
			i, f, to := pieceAt(from)
			if i != index || f != from || to <= f {
				t.Fatalf("piece %d at %d = %d [%d,%d)", index, from, i, f, to)
			}
			if j, _, _ := pieceAt(to - 1); j != i {
				t.Fatalf("byte %d is in piece %d, want %d", to-1, j, i)
			}
			if got := sumsBytes(to); got != 4*(i+1) {
				t.Fatalf("sums of %d bytes take %d, want %d", to, got, 4*(i+1))
			}
			index, from = index+1, to
		}
	}
	if n := sumsBytes(maxBlobBytes); n+recordHead+recordTail+maxMetaBytes > maxRecordBytes {
		t.Errorf("the record of the largest blob has %d bytes of sums", n)
	}
	if sumsBytes(0) != 0 || sumsBytes(-1) != 0 {
		t.Error("nothing has sums")
	}
}

// TestParts: 10,000 parts hold the largest blob that S3 takes, and none is larger than S3 takes.
func TestParts(t *testing.T) {
	s := &Store{cfg: Config{PartBytes: defaultPartBytes}}
	var total int64
	for n := 1; n <= maxParts; n++ {
		if s.partBytes(n) > 5<<30 {
			t.Fatalf("part %d has %d bytes", n, s.partBytes(n))
		}
		total += s.partBytes(n)
	}
	if total < maxBlobBytes {
		t.Errorf("parts hold %d bytes, want %d", total, int64(maxBlobBytes))
	}
}

func TestPart(t *testing.T) {
	data := bytesOf(5*chunkBytes+123, 3)
	for name, c := range map[string]struct {
		budget, limit int64
		file          bool
	}{
		"all in memory":       {10 * chunkBytes, 10 * chunkBytes, false},
		"budget used up":      {2 * chunkBytes, 10 * chunkBytes, true},
		"no budget":           {0, 10 * chunkBytes, true},
		"larger than a limit": {10 * chunkBytes, chunkBytes, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := &budget{max: c.budget}
			p := &part{budget: b, dir: dir, limit: c.limit, sum: algorithm{name: checksumSHA256, sign: true}.start()}
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 50_001)
				if err := p.write(rest[:n], never); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if (p.file != nil) != c.file || b.used.Load() > c.budget {
				t.Errorf("file %v, %d bytes of memory", p.file != nil, b.used.Load())
			}
			touched := 0
			r := &body{part: p, touch: func() { touched++ }}
			if err := iotest.TestReader(struct{ io.Reader }{r}, data); err != nil {
				t.Error(err)
			}
			if _, err := r.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) || touched == 0 {
				t.Errorf("read %d bytes, %v, touched %d times", len(got), err, touched)
			}
			r.stop()
			if _, err := r.Read(make([]byte, 1)); !errors.Is(err, errStopped) {
				t.Errorf("read after stop = %v", err)
			}
			p.free()
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 || b.used.Load() != 0 {
				t.Errorf("%d files, %d bytes of memory left, %v", len(left), b.used.Load(), err)
			}
		})
	}
}

// TestPartWaits: while parts of the blob are under way, memory is waited for.
func TestPartWaits(t *testing.T) {
	b := &budget{max: 2 * chunkBytes}
	b.take(2 * chunkBytes)
	p := &part{budget: b, dir: t.TempDir(), limit: 1 << 30, sum: algorithm{name: checksumCRC32C}.start()}
	defer p.free()
	waits := 0
	err := p.write(bytesOf(2*chunkBytes, 1), func() bool {
		waits++
		b.give(chunkBytes)
		return true
	})
	if err != nil || waits != 2 || p.file != nil {
		t.Errorf("write = %v, waited %d times, file %v", err, waits, p.file != nil)
	}
}

func TestKeys(t *testing.T) {
	at := time.Date(2026, 11, 22, 23, 59, 59, 999e6, time.UTC)
	var keys []string
	for i := range 100 {
		key := newKey(at.Add(time.Duration(i)*time.Hour), []string{bareSuffix, trailerSuffix}[i%2])
		keys = append(keys, key)
		named, err := parseKey(key)
		if err != nil || !named.Equal(at.Add(time.Duration(i)*time.Hour)) {
			t.Errorf("parse %s = %v, %v", key, named, err)
		}
		if before := keyBefore(named); before >= key || before <= newKey(named.Add(-time.Millisecond), trailerSuffix) {
			t.Errorf("%s does not divide what is older from %s", before, key)
		}
	}
	if !slices.IsSorted(keys) || !strings.HasPrefix(keys[0], "2026/11/22/") || !strings.HasPrefix(keys[1], "2026/11/23/") {
		t.Errorf("keys %v", keys[:2])
	}
	for _, t0 := range []time.Time{{}, time.Unix(0, 0), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := keyBefore(t0); got != "" {
			t.Errorf("keyBefore(%v) = %q", t0, got)
		}
	}
}

// TestCompositeChecksum compares with an example worked out by hand: the sum of the parts' sums.
func TestCompositeChecksum(t *testing.T) {
	a := algorithm{name: checksumCRC32C}
	one := a.start()
	one.add([]byte("123456789")) // CRC32C E3069283, RFC 3720 §B.4's check value
	sum := a.raw(&one)
	if !bytes.Equal(sum, []byte{0xE3, 0x06, 0x92, 0x83}) {
		t.Fatalf("CRC32C = %x", sum)
	}
	whole := a.start()
	whole.add(append(slices.Clone(sum), sum...))
	if got := a.composite([][]byte{sum, sum}); !strings.HasSuffix(got, "-2") || got != a.sumHeader(a.raw(&whole)).Get(a.header())+"-2" {
		t.Errorf("composite = %s", got)
	}
}

func TestRecordCache(t *testing.T) {
	var c recordCache
	big := record{sums: make([]byte, cacheItemBytes/2)}
	for i := range 100 {
		c.put(string(rune('a'+i)), big)
	}
	if c.bytes > cacheBytes || len(c.records) == 0 || len(c.records) != len(c.order) {
		t.Errorf("%d bytes, %d records, %d in order", c.bytes, len(c.records), len(c.order))
	}
	c.put("huge", record{sums: make([]byte, cacheItemBytes+1)})
	if _, ok := c.get("huge"); ok {
		t.Error("a record larger than its share is kept")
	}
	last := c.order[len(c.order)-1]
	c.forget(last)
	if _, ok := c.get(last); ok || len(c.records) != len(c.order) {
		t.Error("forgotten record is there")
	}
}
