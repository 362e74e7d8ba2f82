package pinyin

import (
	"encoding/binary"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	library "github.com/mozillazg/go-pinyin"
	"golang.org/x/text/unicode/norm"
)

var update = flag.Bool("update", false, "write table.bin anew from the library")

// toneless returns the readings of the library without tones, each once.
func toneless(list string) string {
	var out []string
	for v := range strings.SplitSeq(list, ",") {
		var b strings.Builder
		for _, r := range norm.NFD.String(strings.ReplaceAll(norm.NFC.String(v), "ü", "v")) {
			switch {
			case r >= 'a' && r <= 'z':
				b.WriteRune(r)
			case r == '\u0308': // ü with a tone: u, then the diaeresis
				s := strings.TrimSuffix(b.String(), "u")
				b.Reset()
				b.WriteString(s + "v")
			}
		}
		if s := b.String(); s != "" && !slices.Contains(out, s) && len(out) < maxReadings {
			out = append(out, s)
		}
	}
	return strings.Join(out, ",")
}

func packTable() []byte {
	numbers := map[string]uint16{"": 0}
	lists := []string{""}
	number := func(r rune) uint16 {
		list := toneless(library.PinyinDict[int(r)])
		n, ok := numbers[list]
		if !ok {
			n = uint16(len(lists))
			numbers[list] = n
			lists = append(lists, list)
		}
		return n
	}
	var dense, runes, sparse []byte
	for r := rune(firstDense); r <= lastDense; r++ {
		dense = binary.LittleEndian.AppendUint16(dense, number(r))
	}
	for _, r := range slices.Sorted(maps.Keys(library.PinyinDict)) {
		if r >= firstDense && r <= lastDense {
			continue
		}
		if n := number(rune(r)); n > 0 {
			runes = binary.LittleEndian.AppendUint32(runes, uint32(r))
			sparse = binary.LittleEndian.AppendUint16(sparse, n)
		}
	}
	text := strings.Join(lists, "\n") + "\n"
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(lists)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	return slices.Concat(append(out, text...), dense, runes, sparse)
}

// TestTable holds that the table is the library's. go test -update writes it anew.
func TestTable(t *testing.T) {
	want := packTable()
	if *update {
		if err := os.WriteFile("table.bin", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if packed != string(want) {
		t.Fatal("table.bin is not what the library has: go test ./parsers/pinyin -run TestTable -update")
	}
	for r := range library.PinyinDict {
		if got, want := strings.Join(readings().of(rune(r)), ","), toneless(library.PinyinDict[r]); got != want {
			t.Fatalf("%c: %s, want %s", r, got, want)
		}
	}
	for _, r := range []rune{0, -1, 'a', 'é', 'ひ', '한', 0x33FF, 0xA000, 0x10FFFF, 0x7FFFFFFF} {
		if _, ok := library.PinyinDict[int(r)]; !ok && len(readings().of(r)) > 0 {
			t.Errorf("%U has readings", r)
		}
	}
}
