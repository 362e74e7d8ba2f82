package dimse

import (
	"bytes"
	"reflect"
	"testing"
)

// FuzzReadPDU: what decodes survives the round trip.
func FuzzReadPDU(f *testing.F) {
	for _, p := range everyPDU() {
		f.Add(p.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := ReadPDU(bytes.NewReader(in), 16<<10)
		if err != nil {
			return
		}
		again, err := ReadPDU(bytes.NewReader(p.AppendTo(nil)), 32<<10)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("decode(encode(p)) = %+v, %v; want %+v", again, err, p)
		}
	})
}

// FuzzAssociateRQ feeds a server a first PDU: it answers with at most one PDU before what follows, and ends.
func FuzzAssociateRQ(f *testing.F) {
	f.Add(testRQ().AppendTo(nil)[pduHeader:])
	f.Add(everyPDU()[0].AppendTo(nil)[pduHeader:])
	f.Add(withUserItems(0x5F, 0, 0, 2, 1, 2)[pduHeader:])
	f.Fuzz(func(t *testing.T, body []byte) {
		conn := &memConn{chunks: [][]byte{rawPDU(1, uint32(len(body)), body)}}
		if answers := serveBytes(&Server{Policy: openPolicy, Handler: &recorder{}}, conn); len(answers) > 1 {
			t.Fatalf("answers %v", answers)
		}
	})
}

// FuzzPData feeds a server anything on an Association.
func FuzzPData(f *testing.F) {
	f.Add(pdata(PDV{1, true, true, echoRQ()}), uint16(100))
	f.Add(pdata(storeCommand(), dataPDV(true, []byte("abc"))), uint16(1))
	f.Add(append(pdata(storeCommand(), dataPDV(false, nil)), (&ReleaseRQ{}).AppendTo(nil)...), uint16(7))
	f.Add(append(pdata(storeCommand(), dataPDV(false, nil)), (&Abort{}).AppendTo(nil)...), uint16(9000))
	f.Fuzz(func(t *testing.T, in []byte, step uint16) {
		conn := &memConn{
			chunks: [][]byte{testRQ().AppendTo(nil), in},
			most:   func() int { return int(step)%1000 + 1 },
		}
		rec := &recorder{}
		serveBytes(&Server{Policy: openPolicy, Handler: rec, Limits: Limits{MaxObjectBytes: 1 << 10, DrainBytes: 1 << 10}}, conn)
		for _, got := range rec.all() {
			if got.size > 1<<10 {
				t.Fatalf("%d bytes pass the limit", got.size)
			}
		}
	})
}

// FuzzCommand: what decodes survives the round trip.
func FuzzCommand(f *testing.F) {
	for _, c := range everyCommand() {
		f.Add(c.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := DecodeCommand(in)
		if err != nil {
			return
		}
		again, err := DecodeCommand(c.AppendTo(nil))
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("decode(encode(c)) = %+v, %v; want %+v", again, err, c)
		}
	})
}
