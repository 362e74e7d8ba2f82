package dirblob

import (
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"
)

func TestJoinedSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "data")
		cut := rapid.IntRange(0, len(data)).Draw(t, "cut")
		a, b := data[:cut], data[cut:]
		got := joined(crc32.Checksum(a, castagnoli), crc32.Checksum(b, castagnoli), int64(len(b)))
		if want := crc32.Checksum(data, castagnoli); got != want {
			t.Fatalf("%08x, want %08x", got, want)
		}
	})
}

func TestSumOfPieces(t *testing.T) {
	data := make([]byte, 3*sumEvery+77)
	for i := range data {
		data[i] = byte(i ^ i>>9)
	}
	for _, n := range []int{0, 1, sumEvery - 1, sumEvery, sumEvery + 1, 3 * sumEvery, len(data)} {
		var s sums
		for at := 0; at < n; at += 100_003 {
			s.add(data[at:min(n, at+100_003)])
		}
		if got, want := s.payload(), crc32.Checksum(data[:n], castagnoli); got != want {
			t.Errorf("%d bytes: %08x, want %08x", n, got, want)
		}
	}
}
