package dimse

import (
	"fmt"
	"testing"
	"time"
)

// TestTable9_10 runs every event that a peer or a timer can cause (PS3.8 §9.2.3, Table 9-10) in every state
// of an acceptor. Sta3 is a request and the event in one write: the Policy has not answered yet.
// Sta4, Sta5, Sta7 and Sta9 to Sta12 are a requestor's, or those of an acceptor that releases, which we
// never do.
func TestTable9_10(t *testing.T) {
	rq := testRQ().AppendTo(nil)
	events := []struct {
		name string
		pdu  []byte
	}{
		{"A-ASSOCIATE-RQ", rq},
		{"A-ASSOCIATE-AC", everyPDU()[1].AppendTo(nil)},
		{"A-ASSOCIATE-RJ", RejectBusy.AppendTo(nil)},
		{"P-DATA-TF", pdata(PDV{1, true, true, echoRQ()})},
		{"A-RELEASE-RQ", (&ReleaseRQ{}).AppendTo(nil)},
		{"A-RELEASE-RP", (&ReleaseRP{}).AppendTo(nil)},
		{"A-ABORT", (&Abort{}).AppendTo(nil)},
		{"unrecognised PDU", rawPDU(0x20, 0, nil)},
		{"transport closed", nil},
		{"timer", nil},
	}
	states := []struct {
		name    string
		prepare func(p *rawPeer) []byte // brings the server there; the bytes go out with the event
		want    []string                // answers, as events
	}{
		{"Sta2 await request", func(*rawPeer) []byte { return nil }, []string{
			"AC", "ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "closed", "ABORT(2,1)", "closed", "closed",
		}},
		{"Sta3 await policy", func(*rawPeer) []byte { return rq }, []string{
			"ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "closed", "ABORT(2,1)", "AC", "AC",
		}},
		{"Sta6 idle", func(p *rawPeer) []byte { p.associate(); return nil }, []string{
			"ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "RSP 0000", "RP", "ABORT(2,2)", "closed", "ABORT(2,1)", "closed", "ABORT(2,0)",
		}},
		{"Sta6 command", func(p *rawPeer) []byte {
			p.associate()
			return pdata(PDV{1, true, false, echoRQ()[:20]})
		}, []string{
			"ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "ABORT(2,6)", "ABORT(2,2)", "ABORT(2,2)", "closed", "ABORT(2,1)", "closed", "ABORT(2,0)",
		}},
		{"Sta6 data set", func(p *rawPeer) []byte {
			p.associate()
			return pdata(storeCommand(), dataPDV(false, []byte("ab")))
		}, []string{
			"ABORT(2,2)", "ABORT(2,2)", "ABORT(2,2)", "ABORT(2,6)", "ABORT(2,2)", "ABORT(2,2)", "closed", "ABORT(2,1)", "closed", "ABORT(2,0)",
		}},
		{"Sta13 released", func(p *rawPeer) []byte {
			p.associate()
			p.send((&ReleaseRQ{}).AppendTo(nil))
			if a := p.answer(); a != "RP" {
				p.t.Fatalf("answer to A-RELEASE-RQ is %s", a)
			}
			return nil
		}, []string{
			"closed", "closed", "closed", "closed", "closed", "closed", "closed", "closed", "closed", "closed",
		}},
		{"Sta13 aborted", func(p *rawPeer) []byte {
			p.send(rawPDU(0x20, 0, nil))
			if a := p.answer(); a != "ABORT(2,1)" {
				p.t.Fatalf("answer to garbage is %s", a)
			}
			return nil
		}, []string{
			"closed", "closed", "closed", "closed", "closed", "closed", "closed", "closed", "closed", "closed",
		}},
	}
	for _, s := range states {
		for i, e := range events {
			t.Run(fmt.Sprintf("%s/%s", s.name, e.name), func(t *testing.T) {
				t.Parallel()
				var limits Limits
				if e.name == "timer" {
					limits = Limits{ARTIM: 300 * time.Millisecond, Idle: 100 * time.Millisecond, Stall: 100 * time.Millisecond}
				}
				addr := start(t, &Server{Limits: limits})
				p := rawDial(t, addr)
				before := s.prepare(p)
				p.send(before, e.pdu)
				if e.name == "transport closed" {
					closeWrite(t, p)
				}
				if got := p.answer(); got != s.want[i] {
					t.Errorf("answer is %s, want %s", got, s.want[i])
				}
			})
		}
	}
}
