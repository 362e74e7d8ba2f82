package pinyin

import (
	_ "embed"
	"encoding/binary"
	"sort"
	"strings"
	"sync"
)

// table.bin is, little endian: the number of lists (uint32) and of bytes of their text (uint32); the text, a list a
// line, the readings of a list divided by commas, the first list empty; the number of a list (uint16) for each character
// from firstDense to lastDense; then, for each other character that has readings, its code point (uint32), all of them
// first and in order, and the number of its list (uint16).
//
//go:embed table.bin
var packed string

// The unified ideographs of the basic plane and of extension A lie close together.
const (
	firstDense = 0x3400
	lastDense  = 0x9FFF
)

// maxReadings is how many readings of a character are kept, the likeliest first.
const maxReadings = 3

type table struct {
	lists  [][]string
	dense  string // uint16 each
	runes  string // uint32 each
	sparse string // uint16 each
}

// readings is opened when it is first needed: most commands never do.
var readings = sync.OnceValue(func() *table {
	lists, size := int(long(packed, 0)), int(long(packed, 1))
	t := &table{lists: make([][]string, 0, lists)}
	for line := range strings.Lines(packed[8 : 8+size]) {
		t.lists = append(t.lists, strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == '\n' }))
	}
	rest := packed[8+size:]
	t.dense, rest = rest[:2*(lastDense-firstDense+1)], rest[2*(lastDense-firstDense+1):]
	n := len(rest) / 6
	t.runes, t.sparse = rest[:4*n], rest[4*n:]
	return t
})

func long(s string, i int) uint32  { return binary.LittleEndian.Uint32([]byte(s[4*i : 4*i+4])) }
func short(s string, i int) uint16 { return binary.LittleEndian.Uint16([]byte(s[2*i : 2*i+2])) }

// of returns the readings of a character, the likeliest first; none of what is no Han character.
func (t *table) of(r rune) []string {
	if r >= firstDense && r <= lastDense {
		return t.lists[short(t.dense, int(r-firstDense))]
	}
	if r < 0x3000 {
		return nil
	}
	n := len(t.runes) / 4
	at := sort.Search(n, func(i int) bool { return long(t.runes, i) >= uint32(r) }) //nolint:gosec // no rune is negative here
	if at == n || long(t.runes, at) != uint32(r) {                                  //nolint:gosec // likewise
		return nil
	}
	return t.lists[short(t.sparse, at)]
}
