package twinsha

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"testing"
)

// modes runs a test with the instructions, where there are any, and without.
func modes(t *testing.T, f func(t *testing.T, fresh func() *Pair)) {
	t.Helper()
	t.Run("accelerated", func(t *testing.T) {
		if !accelerated {
			t.Skip("this processor has no SHA instructions")
		}
		f(t, func() *Pair { return &Pair{whole: lane{state: initial}, rest: lane{state: initial}} })
	})
	t.Run("plain", func(t *testing.T) {
		f(t, func() *Pair { return &Pair{std: &[2]hash.Hash{sha256.New(), sha256.New()}} })
	})
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(b) // never fails
	return b
}

func TestEveryLengthAndOffset(t *testing.T) {
	data := random(400)
	modes(t, func(t *testing.T, fresh func() *Pair) {
		for n := range data {
			for _, skip := range []int{0, 1, 55, 56, 63, 64, 65, 128, 130, 200} {
				if skip > n {
					continue
				}
				p := fresh()
				p.Skip(data[:skip])
				_, _ = p.Write(data[skip:n])
				whole, rest := p.Sums()
				if whole != sha256.Sum256(data[:n]) || rest != sha256.Sum256(data[skip:n]) {
					t.Fatalf("%d bytes, %d skipped: wrong sums", n, skip)
				}
			}
		}
	})
}

func TestPieces(t *testing.T) {
	data := random(300_000)
	modes(t, func(t *testing.T, fresh func() *Pair) {
		for round := range 200 {
			r := rand.New(rand.NewPCG(1, uint64(round)))
			skip := r.IntN(2000)
			p, at := fresh(), 0
			step := func(end int, add func([]byte)) {
				for at < end {
					n := min(end-at, 1+r.IntN([]int{3, 70, 5000, 200_000}[r.IntN(4)]))
					add(data[at : at+n])
					at += n
				}
			}
			step(skip, p.Skip)
			step(len(data)/2, func(b []byte) { _, _ = p.Write(b) })
			if whole, rest := p.Sums(); whole != sha256.Sum256(data[:at]) || rest != sha256.Sum256(data[skip:at]) {
				t.Fatalf("round %d: wrong sums half way", round)
			}
			step(len(data), func(b []byte) { _, _ = p.Write(b) })
			if whole, rest := p.Sums(); whole != sha256.Sum256(data) || rest != sha256.Sum256(data[skip:]) {
				t.Fatalf("round %d: wrong sums after Sums", round)
			}
		}
	})
}

func TestNewChooses(t *testing.T) {
	p := New()
	p.Skip([]byte("preamble"))
	_, _ = p.Write([]byte("abc"))
	if whole, rest := p.Sums(); whole != sha256.Sum256([]byte("preambleabc")) || rest != sha256.Sum256([]byte("abc")) {
		t.Error("wrong sums")
	}
}

func FuzzPair(f *testing.F) {
	f.Add([]byte("abc"), uint16(1), uint16(2))
	f.Add(bytes.Repeat([]byte{0x80}, 300), uint16(64), uint16(191))
	f.Fuzz(func(t *testing.T, data []byte, skip, cut uint16) {
		s := min(int(skip), len(data))
		c := min(s+int(cut), len(data))
		p := New()
		p.Skip(data[:s])
		_, _ = p.Write(data[s:c])
		_, _ = p.Write(data[c:])
		if whole, rest := p.Sums(); whole != sha256.Sum256(data) || rest != sha256.Sum256(data[s:]) {
			t.Fatal("wrong sums")
		}
	})
}

func BenchmarkPair(b *testing.B) {
	data := random(128 << 10)
	for name, fresh := range map[string]func() *Pair{
		"one pass": New,
		"two":      func() *Pair { return &Pair{std: &[2]hash.Hash{sha256.New(), sha256.New()}} },
	} {
		b.Run(name, func(b *testing.B) {
			p := fresh()
			p.Skip(data[:410])
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				_, _ = p.Write(data)
			}
		})
	}
}

// TestSound: a processor that the tests run on must not need the way out.
func TestSound(t *testing.T) {
	if !Sound() {
		t.Error("the instructions give other sums than crypto/sha256")
	}
}
