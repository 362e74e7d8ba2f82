package render

import "encoding/binary"

// readPalette reads the three tables of PALETTE COLOR, plain or segmented (PS3.3 §C.7.6.3.1.5, §C.7.9).
func (m *Module) readPalette(top dataset, values Values) error {
	for i, tags := range [3][3]string{
		{"00281101", "00281201", "00281221"},
		{"00281102", "00281202", "00281222"},
		{"00281103", "00281203", "00281223"},
	} {
		t, count, err := descriptor(top, tags[0], m.Signed)
		if err != nil {
			return err
		}
		if _, ok := top[tags[1]]; ok {
			t.entries, err = lutData(top[tags[1]], count, values)
		} else {
			t.entries, err = segmented(top[tags[2]], count, t.bits, values)
		}
		if err != nil {
			return err
		}
		m.palette[i] = t
	}
	// Some devices say 16 bits and write 8: then nothing would be more than black.
	all8 := true
	for _, t := range m.palette {
		for _, v := range t.entries {
			all8 = all8 && v < 1<<8
		}
	}
	for _, t := range m.palette {
		switch {
		case all8:
			t.bits = 8
		case t.bits <= 8: // said 8, wrote 16
			t.bits = 16
		}
	}
	return nil
}

// segmented expands a segmented palette to count entries (PS3.3 §C.7.9.2): discrete runs, straight lines and
// repetitions of earlier segments, which may not name repetitions themselves.
func segmented(e element, count, bits int, values Values) ([]uint16, error) {
	b, err := lutBytes(e, values)
	if err != nil {
		return nil, err
	}
	s := segments{out: make([]uint16, 0, count), count: count}
	if bits <= 8 && e.VR == "OB" {
		for _, v := range b {
			s.in = append(s.in, uint16(v))
		}
	} else {
		for i := 0; i+1 < len(b); i += 2 {
			s.in = append(s.in, binary.LittleEndian.Uint16(b[i:]))
		}
	}
	for pos := 0; pos < len(s.in) && len(s.out) < count; {
		if pos, err = s.expand(pos, true); err != nil {
			return nil, err
		}
	}
	if len(s.out) != count {
		return nil, wrong("a segmented palette of %d entries expands to %d", count, len(s.out))
	}
	return s.out, nil
}

type segments struct {
	in, out []uint16
	count   int
}

var errSegments = wrong("a segmented palette breaks off or is longer than its descriptor says")

// expand adds the segment at pos and returns where the next one begins.
func (s *segments) expand(pos int, indirect bool) (int, error) {
	if pos+2 > len(s.in) {
		return 0, errSegments
	}
	op, n := s.in[pos], int(s.in[pos+1])
	pos += 2
	switch {
	case op == 0: // discrete
		if pos+n > len(s.in) || len(s.out)+n > s.count {
			return 0, errSegments
		}
		s.out = append(s.out, s.in[pos:pos+n]...)
		return pos + n, nil
	case op == 1: // linear
		if pos >= len(s.in) || len(s.out) == 0 || len(s.out)+n > s.count {
			return 0, errSegments
		}
		from, to := float64(s.out[len(s.out)-1]), float64(s.in[pos])
		for i := 1; i <= n; i++ {
			s.out = append(s.out, uint16(from+(to-from)*float64(i)/float64(n)+0.5))
		}
		return pos + 1, nil
	case op == 2 && indirect: // n segments from an offset in words
		if pos+2 > len(s.in) {
			return 0, errSegments
		}
		at := int(s.in[pos]) | int(s.in[pos+1])<<16
		for range n {
			var err error
			if at >= pos-2 {
				return 0, errSegments
			}
			before := len(s.out)
			if at, err = s.expand(at, false); err != nil {
				return 0, err
			}
			if len(s.out) == before { // an empty segment repeated has no end
				return 0, errSegments
			}
		}
		return pos + 2, nil
	}
	return 0, wrong("a segmented palette has a segment of an unknown kind")
}
