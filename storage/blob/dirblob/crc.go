package dirblob

import "hash/crc32"

// joined returns the CRC of a and then b, given those of each and the length of b in bytes. A CRC is the
// remainder of a polynomial over GF(2), whose highest power is the lowest bit; n bytes more multiply it by
// x^8n.
func joined(a, b uint32, n int64) uint32 {
	for k := 0; n > 0; k++ {
		if n&1 == 1 {
			a = product(a, powers[k])
		}
		n >>= 1
	}
	return a ^ b
}

// powers are x^(8·2^k), what 2^k bytes multiply by.
var powers = func() (p [63]uint32) {
	p[0] = 1 << (31 - 8)
	for k := 1; k < len(p); k++ {
		p[k] = product(p[k-1], p[k-1])
	}
	return p
}()

// product returns a·b modulo the polynomial of Castagnoli.
func product(a, b uint32) (sum uint32) {
	for ; a != 0; a <<= 1 {
		if a>>31 == 1 {
			sum ^= b
		}
		carry := b & 1
		b >>= 1
		if carry == 1 {
			b ^= crc32.Castagnoli
		}
	}
	return sum
}
