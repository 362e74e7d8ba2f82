package dimse

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestAnySplit: however a message is cut into PDVs, PDVs packed into PDUs and PDUs into reads, the Handler
// gets the same command and the same bytes.
func TestAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type sent struct {
			cmd  Command
			data []byte
		}
		var pdvs []PDV
		var messages []sent
		for i := range rapid.IntRange(1, 3).Draw(t, "messages") {
			m := sent{cmd: storeRQ(), data: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")}
			if rapid.Bool().Draw(t, "big") {
				m.data = bytes.Repeat(append(m.data, 1), 200)
			}
			m.cmd.MessageID = uint16(i)
			messages = append(messages, m)
			pdvs = append(pdvs, split(t, m.cmd.AppendTo(nil), true)...)
			pdvs = append(pdvs, split(t, m.data, false)...)
		}
		conn := &memConn{chunks: [][]byte{testRQ().AppendTo(nil)}, most: func() int {
			return rapid.SampledFrom([]int{1, 5, 100, 9000, 1 << 20}).Draw(t, "read")
		}}
		var stream []byte
		for len(pdvs) > 0 {
			n := rapid.IntRange(1, min(4, len(pdvs))).Draw(t, "PDVs")
			stream = append(stream, pdata(pdvs[:n]...)...)
			pdvs = pdvs[n:]
		}
		conn.chunks = append(conn.chunks, stream, (&ReleaseRQ{}).AppendTo(nil))

		rec := &recorder{}
		answers := serveBytes(&Server{Policy: openPolicy, Handler: rec}, conn)
		if n := len(answers); n != len(messages)+2 || answers[n-1] != "RP" {
			t.Fatalf("answers %v", answers)
		}
		for i, got := range rec.all() {
			want := messages[i]
			if !reflect.DeepEqual(got.cmd, want.cmd) || got.sum != sha256.Sum256(want.data) || got.err != nil {
				t.Fatalf("message %d: got %+v, want %+v with %d bytes", i, got, want.cmd, len(want.data))
			}
		}
	})
}

// split cuts b into fragments, some of them empty.
func split(t *rapid.T, b []byte, command bool) (pdvs []PDV) {
	for {
		n := rapid.IntRange(0, len(b)).Draw(t, "fragment")
		if len(pdvs) == 6 {
			n = len(b)
		}
		last := n == len(b) && (len(pdvs) == 6 || rapid.Bool().Draw(t, "last"))
		pdvs = append(pdvs, PDV{3, command, last, b[:n]})
		if b = b[n:]; last {
			return pdvs
		}
	}
}
