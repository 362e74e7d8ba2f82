package byterange

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		header string
		size   int64
		off, n int64
		part   bool
		ok     bool
	}{
		{"", 10, 0, 10, false, true},
		{"bytes=0-", 10, 0, 10, true, true},
		{"bytes=0-0", 10, 0, 1, true, true},
		{"bytes=9-", 10, 9, 1, true, true},
		{"bytes=5-100", 10, 5, 5, true, true},
		{"bytes=-3", 10, 7, 3, true, true},
		{"bytes=-30", 10, 0, 10, true, true},
		{"bytes= 2-3 ", 10, 2, 2, true, true},
		{"bytes=0-99999999999999999999999", 10, 0, 10, true, true},

		{"bytes=10-", 10, 0, 0, false, false},
		{"bytes=99999999999999999999999-", 10, 0, 0, false, false},
		{"bytes=-0", 10, 0, 0, false, false},
		{"bytes=11-12,13-", 10, 0, 0, false, false},
		{"bytes=" + strings.Repeat("0-,", 1000) + "0-", 10, 0, 0, false, false},
		{"bytes=" + strings.Repeat("0-0,", Max) + "0-0", 10, 0, 0, false, false},

		// RFC 9110 §14.2: a server may send the whole body instead.
		{"bytes=0-1,4-5", 10, 0, 10, false, true},
		{"items=0-1", 10, 0, 10, false, true},
		{"bytes=5-4", 10, 0, 10, false, true},
		{"bytes=a-b", 10, 0, 10, false, true},
		{"bytes=-", 10, 0, 10, false, true},
		{"bytes=", 10, 0, 10, false, true},
		{"bytes=0-", 0, 0, 0, false, true},
	} {
		off, n, part, ok := Parse(c.header, c.size)
		if part != c.part || ok != c.ok || ok && (off != c.off || n != c.n) {
			t.Errorf("%.60q of %d: (%d, %d, %v, %v), want (%d, %d, %v, %v)", c.header, c.size, off, n, part, ok, c.off, c.n, c.part, c.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("bytes=0-1,-5", int64(10))
	f.Add("bytes=9223372036854775807-9223372036854775807", int64(1<<62))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		off, n, part, ok := Parse(header, size)
		if ok && (off < 0 || n < 0 || off > size-n || part && n == 0 || !part && n != size) {
			t.Fatalf("%q of %d: off %d, n %d, part %v", header, size, off, n, part)
		}
	})
}
