package render

import (
	"encoding/binary"
	"strings"
)

// table is a lookup table (PS3.3 §C.11.1.1.1): entry 0 is for first and all values below it, the last entry
// for all above.
type table struct {
	first   int
	bits    int // of an entry, 8 to 16
	entries []uint16
}

func (t *table) at(value int) uint16 {
	return t.entries[min(max(value-t.first, 0), len(t.entries)-1)]
}

// most is the largest value that an entry can have.
func (t *table) most() float64 { return float64(uint32(1)<<t.bits - 1) }

// readTable reads an item of a Modality or VOI LUT Sequence; none is nil.
func readTable(item dataset, values Values, signed bool) (*table, error) {
	if len(item["00283006"].Value) == 0 && len(item["00283006"].InlineBinary) == 0 && item["00283006"].BulkDataURI == "" {
		return nil, nil
	}
	t, count, err := descriptor(item, "00283002", signed)
	if err != nil {
		return nil, err
	}
	t.entries, err = lutData(item["00283006"], count, values)
	if err != nil {
		return nil, err
	}
	for _, v := range t.entries { // some devices say 8 and mean 16, or the other way round
		for t.bits < 16 && uint32(v) >= 1<<t.bits {
			t.bits++
		}
	}
	return t, nil
}

// descriptor reads number of entries, first value mapped and bits of an entry.
func descriptor(d dataset, tag string, signed bool) (*table, int, error) {
	n, ok1 := d.number(tag, 0)
	first, ok2 := d.number(tag, 1)
	bits, ok3 := d.number(tag, 2)
	if !ok1 || !ok2 || !ok3 {
		return nil, 0, wrong("a lookup table has no descriptor")
	}
	count, from := int(n), int(first)
	if count < 0 { // the VR was taken for SS
		count &= 0xFFFF
	}
	if count == 0 {
		count = 1 << 16
	}
	if signed && from >= 1<<15 {
		from -= 1 << 16
	}
	if count > 1<<16 || from < -1<<15 || from >= 1<<16 || bits < 8 || bits > 16 {
		return nil, 0, wrong("a lookup table's descriptor is impossible")
	}
	return &table{first: from, bits: int(bits)}, count, nil
}

// lutData returns count entries of an attribute, which are numbers, words or bytes.
func lutData(e element, count int, values Values) ([]uint16, error) {
	if len(e.Value) > 0 {
		if len(e.Value) < count {
			return nil, wrong("a lookup table of %d entries has %d", count, len(e.Value))
		}
		out := make([]uint16, count)
		d := dataset{"": e}
		for i := range out {
			v, ok := d.number("", i)
			if !ok {
				return nil, wrong("a lookup table has an entry that is no number")
			}
			out[i] = uint16(int32(v))
		}
		return out, nil
	}
	b, err := lutBytes(e, values)
	if err != nil {
		return nil, err
	}
	out := make([]uint16, count)
	switch {
	case len(b) >= 2*count:
		for i := range out {
			out[i] = binary.LittleEndian.Uint16(b[2*i:])
		}
	case len(b) == count || len(b) == count+count%2: // bytes, PS3.3 §C.7.6.3.1.5
		for i := range out {
			out[i] = uint16(b[i])
		}
	default:
		return nil, wrong("a lookup table of %d entries has %d bytes", count, len(b))
	}
	return out, nil
}

func lutBytes(e element, values Values) ([]byte, error) {
	path, found := strings.CutPrefix(e.BulkDataURI, "bulkdata/")
	if !found {
		return e.InlineBinary, nil
	}
	return values(path)
}
