package sierra

import (
	"encoding/binary"
	"errors"
)

var (
	errXLI  = errors.New("not XLI data")
	errMuch = errors.New("more samples than the limit")
)

const (
	codeBits = 10
	endCode  = 1<<codeBits - 1 // 1023: end of data; as an entry of the dictionary it garbles some leads
	entries  = endCode         // codes 0 to 1022
)

// xli decodes the chunks of all leads: [lead][sample], at most limit samples in all and maxLeads leads.
func xli(data []byte, limit int64, maxLeads int) ([][]int32, error) {
	var leads [][]int32
	for len(data) > 0 {
		if len(data) < 8 {
			if len(leads) > 0 {
				return leads, nil // padding
			}
			return nil, errXLI
		}
		size := int64(int32(binary.LittleEndian.Uint32(data)))
		if size < 0 || size > int64(len(data)-8) || len(leads) >= maxLeads {
			return nil, errXLI
		}
		residue := int32(int16(binary.LittleEndian.Uint16(data[6:])))
		raw, err := lzw(data[8:8+size], 2*limit)
		if err != nil {
			return nil, err
		}
		samples, err := undelta(raw, residue)
		if err != nil {
			return nil, err
		}
		limit -= int64(len(samples))
		leads = append(leads, samples)
		data = data[8+size:]
	}
	return leads, nil
}

// lzw decompresses one chunk to at most limit bytes.
func lzw(data []byte, limit int64) ([]byte, error) {
	// An entry is an earlier one and a byte; entries below 256 are bytes.
	var prefix, length [entries]uint16
	var last [entries]byte
	for i := range 256 {
		last[i], length[i] = byte(i), 1
	}
	out := make([]byte, 0, min(limit, int64(8*len(data))))
	next, previous := 256, -1
	bits, have := uint32(0), 0
	for i := 0; ; {
		for ; have < codeBits && i < len(data); i++ {
			bits, have = bits<<8|uint32(data[i]), have+8
		}
		if have < codeBits {
			return out, nil
		}
		have -= codeBits
		code := int(bits >> have & (1<<codeBits - 1))
		if code == endCode {
			return out, nil
		}
		if code > next || code == next && (previous < 0 || next >= entries) {
			return nil, errXLI
		}
		if previous >= 0 && next < entries {
			begin := code
			if code == next {
				begin = previous
			}
			for begin >= 256 {
				begin = int(prefix[begin])
			}
			prefix[next], last[next], length[next] = uint16(previous), byte(begin), length[previous]+1
			next++
		}
		n := int(length[code])
		if int64(len(out)+n) > limit {
			return nil, errMuch
		}
		at := len(out)
		for range n {
			out = append(out, 0)
		}
		for c, j := code, at+n-1; j >= at; j-- {
			out[j] = last[c]
			c = int(prefix[c])
		}
		previous = code
	}
}

// undelta joins high and low bytes and undoes the second difference.
func undelta(raw []byte, residue int32) ([]int32, error) {
	if len(raw)%2 != 0 {
		raw = append(raw, 0)
	}
	n := len(raw) / 2
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(int16(uint16(raw[i])<<8 | uint16(raw[n+i])))
	}
	const most = 1 << 22 // real ones stay within 16 bits; beyond this the data are no deltas
	for i := 2; i < n; i++ {
		z := 2*out[i-1] - out[i-2] - residue
		if z > most || z < -most {
			return nil, errXLI
		}
		residue, out[i] = out[i]-64, z
	}
	return out, nil
}

// rebuild turns the stored residues of III, aVR, aVL and aVF, which follow I and II, into the leads.
func rebuild(leads [][]int32) {
	one, two, three, avr, avl, avf := leads[0], leads[1], leads[2], leads[3], leads[4], leads[5]
	for i := range one {
		a, b := one[i], two[i]
		c := b - a - three[i]
		three[i] = c
		avr[i] = -avr[i] - (a+b)>>1 // an arithmetic shift rounds down
		avl[i] = (a-c)>>1 - avl[i]
		avf[i] = (b+c)>>1 - avf[i]
	}
}
