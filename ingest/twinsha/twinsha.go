// Package twinsha computes two SHA-256 sums (FIPS 180-4) of nearly the same bytes in one pass: that of a
// whole stream, and that of the stream from some offset on. The SHA instructions of amd64 wait for their
// own results half of the time; two sums that take turns cost little more than one.
package twinsha

import (
	"crypto/fips140"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// Pair is two sums under way. The zero value is unusable; not safe for concurrent use.
type Pair struct {
	whole, rest lane
	std         *[2]hash.Hash // instead of the lanes where the processor lacks the instructions
}

// New returns the sums of nothing.
func New() *Pair {
	if !accelerated || fips140.Enabled() || !Sound() {
		return &Pair{std: &[2]hash.Hash{sha256.New(), sha256.New()}}
	}
	return lanes()
}

func lanes() *Pair { return &Pair{whole: lane{state: initial}, rest: lane{state: initial}} }

// Sound reports whether this processor's instructions give the sums that crypto/sha256 gives. It is found
// out once, on bytes in uneven pieces; where they do not, crypto/sha256 does the work.
var Sound = sync.OnceValue(func() bool {
	if !accelerated {
		return true
	}
	data := make([]byte, 4099)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	p, skipped := lanes(), data[:357]
	p.Skip(skipped)
	rest := data[len(skipped):]
	for n := 1; len(rest) > 0; n = n*3 + 1 {
		n = min(n, len(rest))
		_, _ = p.Write(rest[:n]) // it never fails
		rest = rest[n:]
	}
	whole, tail := p.Sums()
	return whole == sha256.Sum256(data) && tail == sha256.Sum256(data[len(skipped):])
})

// Skip adds p to the sum of the whole stream only.
func (p *Pair) Skip(b []byte) {
	if p.std != nil {
		p.std[0].Write(b)
		return
	}
	b = p.whole.begin(b)
	if n := len(b) / block; n > 0 {
		idle := initial
		blocks(&p.whole.state, &idle, &b[0], &b[0], n, &constants)
		b = b[n*block:]
	}
	p.whole.keep(b)
}

// Write adds b to both sums. It never fails.
func (p *Pair) Write(b []byte) (int, error) {
	if p.std != nil {
		p.std[0].Write(b)
		p.std[1].Write(b)
		return len(b), nil
	}
	x, y := p.whole.begin(b), p.rest.begin(b)
	if n := min(len(x), len(y)) / block; n > 0 {
		blocks(&p.whole.state, &p.rest.state, &x[0], &y[0], n, &constants)
		x, y = x[n*block:], y[n*block:]
	}
	p.whole.end(x)
	p.rest.end(y)
	return len(b), nil
}

// Sums returns the sum of all bytes, and that of the bytes that were not skipped. More may be added.
func (p *Pair) Sums() (whole, rest [sha256.Size]byte) {
	if p.std != nil {
		p.std[0].Sum(whole[:0])
		p.std[1].Sum(rest[:0])
		return whole, rest
	}
	return p.whole.sum(), p.rest.sum()
}

// block is what SHA-256 works on at a time, bytes.
const block = sha256.BlockSize

// state is the working variables in the order that the instructions want: F E B A, H G D C.
type state [8]uint32

var initial = state{0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667, 0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372}

// lane is one sum.
type lane struct {
	state state
	bytes uint64
	tail  [block]byte // the last bytes%block of them
}

// begin counts b and completes the block under way with its first bytes; it returns the others.
func (l *lane) begin(b []byte) []byte {
	have := int(l.bytes % block)
	l.bytes += uint64(len(b))
	if have == 0 {
		return b
	}
	n := copy(l.tail[have:], b)
	if have+n == block {
		l.one(&l.tail[0])
	}
	return b[n:]
}

// end takes what is left of a write: less than two blocks.
func (l *lane) end(b []byte) {
	if len(b) >= block {
		l.one(&b[0])
		b = b[block:]
	}
	l.keep(b)
}

// keep notes the bytes behind the last whole block. With none, the tail is as begin left it.
func (l *lane) keep(b []byte) { copy(l.tail[:], b) }

// one adds one block. The other lane idles, which costs no time.
func (l *lane) one(b *byte) {
	idle := initial
	blocks(&l.state, &idle, b, b, 1, &constants)
}

// sum pads a copy (FIPS 180-4 §5.1.1).
func (l lane) sum() (out [sha256.Size]byte) {
	bits := l.bytes * 8
	var pad [block + 8]byte
	pad[0] = 0x80
	n := block - int(l.bytes%block)
	if n < 9 {
		n += block
	}
	binary.BigEndian.PutUint64(pad[n-8:], bits)
	l.end(l.begin(pad[:n]))
	for i, at := range [8]int{3, 2, 7, 6, 1, 0, 5, 4} { // A to H
		binary.BigEndian.PutUint32(out[4*i:], l.state[at])
	}
	return out
}
