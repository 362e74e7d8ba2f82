package dimse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func closeWrite(t testing.TB, p *rawPeer) {
	t.Helper()
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Log("half-close:", err)
	}
}

// probe is one misbehaving, or legal but rare, peer.
type probe struct {
	name   string
	limits Limits
	run    func(p *rawPeer)
	want   string
	err    error // that the Handler gets from Data
}

// assoc makes a probe that sends PDUs on an Association.
func assoc(name, want string, pdus ...[]byte) probe {
	return probe{name: name, want: want, run: func(p *rawPeer) { p.associate(); p.send(pdus...) }}
}

// opening makes a probe that sends bytes on a fresh connection.
func opening(name, want string, b []byte) probe {
	return probe{name: name, want: want, run: func(p *rawPeer) { p.send(b) }}
}

// changedRQ is testRQ after a change.
func changedRQ(change func(rq *AssociateRQ)) []byte {
	rq := testRQ()
	change(rq)
	return rq.AppendTo(nil)
}

// withItems is testRQ with raw items behind.
func withItems(items ...byte) []byte {
	b := append(testRQ().AppendTo(nil), items...)
	return endPDU(b, 0)
}

// withUserItems is testRQ with raw sub-items behind those of its User Information, which is its last item.
func withUserItems(items ...byte) []byte {
	rq := testRQ()
	rq.User = UserInformation{}
	b := rq.AppendTo(nil)
	b = b[:len(b)-12] // 50H with a 51H
	b = append(b, itemUserInformation, 0, 0, byte(8+len(items)), itemMaxLength, 0, 0, 4, 0, 0, 64, 0)
	return endPDU(append(b, items...), 0)
}

// trickle sends bytes slowly until the server hangs up.
func trickle(p *rawPeer, b byte) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, err := p.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // the pace is the probe
		}
	}()
	p.t.Cleanup(func() { _ = p.Close(); <-gone })
}

func store(change func(c *Command)) []byte {
	c := storeRQ()
	change(&c)
	return pdata(PDV{3, true, true, c.AppendTo(nil)})
}

var (
	quick      = Limits{ARTIM: 200 * time.Millisecond}
	shortStall = Limits{Stall: 150 * time.Millisecond}
	lowRate    = Limits{MinRate: 1 << 20, MinRateGrace: 150 * time.Millisecond}
	smallStore = Limits{MaxObjectBytes: 64 << 10, DrainBytes: 64 << 10}
)

// probes are numbered by their place; the handler answers 0000H after reading all.
var probes = []probe{
	// Before there is an Association.
	opening("garbage", "ABORT(2,1)", bytes.Repeat([]byte{0xAA}, 100)),
	opening("HTTP GET", "ABORT(2,1)", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
	opening("TLS ClientHello to a plain port", "ABORT(2,1)", []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC}),
	{name: "silence", limits: quick, want: "closed", run: func(*rawPeer) {}},
	{name: "truncated request", limits: quick, want: "closed", run: func(p *rawPeer) { p.send(testRQ().AppendTo(nil)[:100]) }},
	{name: "request byte by byte", limits: quick, want: "closed", run: func(p *rawPeer) {
		p.send(rawPDU(1, 200<<10, nil))
		trickle(p, 0)
	}},
	opening("request of 0xFFFFFFFF bytes", "ABORT(2,6)", rawPDU(1, 0xFFFFFFFF, []byte{0, 1})),
	opening("request of 10 bytes", "ABORT(2,6)", rawPDU(1, 10, make([]byte, 10))),
	opening("request of 67 bytes", "ABORT(2,6)", rawPDU(1, 67, make([]byte, 67))),
	opening("item of 0xFFFF bytes", "ABORT(2,6)", withItems(0x10, 0, 0xFF, 0xFF)),
	opening("item header cut", "ABORT(2,6)", withItems(0x10, 0)),
	opening("context without room for its id", "ABORT(2,6)", withItems(0x20, 0, 0, 2, 9, 0)),
	opening("context without abstract syntax", "ABORT(2,6)", withItems(0x20, 0, 0, 4, 9, 0, 0, 0)),
	opening("syntax longer than its context", "ABORT(2,6)", withItems(0x20, 0, 0, 8, 9, 0, 0, 0, 0x30, 0, 0, 9)),
	opening("even context id", "ABORT(2,6)", changedRQ(func(rq *AssociateRQ) { rq.Contexts[0].ID = 2 })),
	opening("context id twice", "ABORT(2,6)", changedRQ(func(rq *AssociateRQ) { rq.Contexts[0].ID = 3 })),
	opening("65 transfer syntaxes", "ABORT(2,6)", changedRQ(func(rq *AssociateRQ) { rq.Contexts[0].TransferSyntaxes = make([]string, 65) })),
	opening("maximum length of 3 bytes", "ABORT(2,6)", withUserItems(0x51, 0, 0, 3, 0, 1, 0)),
	opening("maximum length 4", "ABORT(2,6)", changedRQ(func(rq *AssociateRQ) { rq.User.MaxLength = 4 })),
	opening("sub-item longer than user information", "ABORT(2,6)", withUserItems(0x55, 0, 0xFF, 0xFF)),
	opening("user identity longer than its item", "ABORT(2,6)", withUserItems(0x58, 0, 0, 4, 1, 0, 0, 9)),
	opening("role selection without roles", "ABORT(2,6)", withUserItems(0x54, 0, 0, 3, 0, 1, '1')),
	opening("no presentation context", "AC", changedRQ(func(rq *AssociateRQ) { rq.Contexts = nil })),
	opening("no user information", "AC", func() []byte {
		b := withUserItems()
		return endPDU(b[:len(b)-12], 0)
	}()),
	opening("wrong application context", "RJ(1,1,2)", changedRQ(func(rq *AssociateRQ) { rq.ApplicationContext = "1.2.3" })),
	opening("no application context", "RJ(1,1,2)", changedRQ(func(rq *AssociateRQ) { rq.ApplicationContext = "" })),
	opening("protocol version 2 only", "RJ(1,2,2)", changedRQ(func(rq *AssociateRQ) { rq.ProtocolVersion = 2 })),
	opening("unknown called AE title", "RJ(1,1,7)", changedRQ(func(rq *AssociateRQ) { rq.CalledAETitle = "OTHER" })),
	opening("unwelcome calling AE title", "RJ(1,1,3)", changedRQ(func(rq *AssociateRQ) { rq.CallingAETitle = "BAD" })),
	opening("user identity, extended negotiation, window", "AC", withUserItems(
		0x58, 0, 0, 9, 2, 0, 0, 2, 'm', 'e', 0, 1, 'x',
		0x56, 0, 0, 5, 0, 1, '1', 1, 1, 0x53, 0, 0, 4, 0, 0, 0, 0)),
	opening("unknown item and sub-item", "AC", func() []byte {
		return endPDU(append(withUserItems(0x5F, 0, 0, 2, 1, 2), 0x77, 0, 0, 1, 0), 0)
	}()),
	{name: "half-close before the request", want: "closed", run: func(p *rawPeer) { closeWrite(p.t, p) }},

	// On an Association: the protocol broken.
	assoc("P-DATA-TF of 100 MB", "ABORT(2,6)", rawPDU(4, 100<<20, make([]byte, 4096))),
	assoc("empty P-DATA-TF", "ABORT(2,6)", rawPDU(4, 0, nil)),
	assoc("PDV longer than its PDU", "ABORT(2,6)", rawPDU(4, 6, []byte{0, 0, 1, 0, 1, 3})),
	assoc("PDV of 0xFFFFFFFF bytes", "ABORT(2,6)", rawPDU(4, 6, []byte{0xFF, 0xFF, 0xFF, 0xFF, 1, 3})),
	assoc("PDV of 0 bytes", "ABORT(2,6)", rawPDU(4, 6, []byte{0, 0, 0, 0, 1, 3})),
	assoc("PDV of 1 byte", "ABORT(2,6)", rawPDU(4, 6, []byte{0, 0, 0, 1, 1, 3})),
	assoc("P-DATA-TF with 3 bytes behind its PDV", "ABORT(2,6)", rawPDU(4, 11, []byte{0, 0, 0, 4, 1, 1, 0, 0, 0, 0, 0})),
	assoc("command on a context never proposed", "ABORT(2,6)", pdata(PDV{99, true, true, echoRQ()})),
	assoc("command on context 0", "ABORT(2,6)", pdata(PDV{0, true, true, echoRQ()})),
	assoc("command set without Command Field", "ABORT(2,6)", pdata(PDV{1, true, true, []byte{0, 0, 0x10, 1, 2, 0, 0, 0, 1, 0}})),
	assoc("command set cut", "ABORT(2,6)", pdata(PDV{1, true, true, echoRQ()[:30]})),
	assoc("empty command set", "ABORT(2,6)", pdata(PDV{1, true, true, nil})),
	assoc("command set of 20 KiB", "ABORT(2,6)", pdata(PDV{1, true, false, make([]byte, 20<<10)})),
	assoc("response that nobody asked for", "ABORT(2,6)", store(func(c *Command) { c.Field, c.HasData = CStoreRSP, false })),
	assoc("data set before a command", "ABORT(2,6)", pdata(dataPDV(true, []byte("x")))),
	assoc("context changes within a command", "ABORT(2,6)", pdata(PDV{1, true, false, echoRQ()[:9]}, PDV{3, true, true, echoRQ()[9:]})),
	assoc("command within a data set", "ABORT(2,6)", pdata(storeCommand(), dataPDV(false, nil), storeCommand())),
	assoc("context changes within a message", "ABORT(2,6)", pdata(storeCommand(), PDV{5, false, true, []byte("x")})),
	assoc("empty fragments without end", "ABORT(2,6)", pdata(storeCommand()), bytes.Repeat(pdata(dataPDV(false, nil)), maxEmptyFragments+9)),
	assoc("second A-ASSOCIATE-RQ", "ABORT(2,2)", testRQ().AppendTo(nil)),
	assoc("unknown PDU type", "ABORT(2,1)", rawPDU(8, 4, make([]byte, 4))),
	assoc("A-RELEASE-RQ of 5 bytes", "ABORT(2,6)", rawPDU(5, 5, make([]byte, 5))),
	assoc("A-RELEASE-RQ in mid data set", "ABORT(2,2)", pdata(storeCommand(), dataPDV(false, []byte("x"))), (&ReleaseRQ{}).AppendTo(nil)),
	{name: "A-ABORT in mid data set", want: "closed", err: ErrPeerAbort, run: func(p *rawPeer) {
		p.associate()
		p.send(pdata(storeCommand(), dataPDV(false, []byte("x"))), (&Abort{}).AppendTo(nil))
	}},
	{name: "half-close in mid data set", want: "closed", err: io.ErrUnexpectedEOF, run: func(p *rawPeer) {
		p.associate()
		p.send(pdata(storeCommand(), dataPDV(false, []byte("x"))))
		closeWrite(p.t, p)
	}},
	{name: "half-close in mid PDV", want: "closed", err: io.ErrUnexpectedEOF, run: func(p *rawPeer) {
		p.associate()
		p.send(pdata(storeCommand()), pdata(dataPDV(true, make([]byte, 999)))[:500])
		closeWrite(p.t, p)
	}},
	{name: "stall in mid data set", limits: shortStall, want: "ABORT(2,0)", err: os.ErrDeadlineExceeded, run: func(p *rawPeer) {
		p.associate()
		p.send(pdata(storeCommand(), dataPDV(false, []byte("x"))))
	}},
	{name: "data set byte by byte", limits: lowRate, want: "ABORT(2,0)", err: os.ErrDeadlineExceeded, run: func(p *rawPeer) {
		p.associate()
		p.send(pdata(storeCommand()), rawPDU(4, 10006, []byte{0, 0, 0x27, 0x12, 3, 2}))
		trickle(p, 7)
	}},
	{name: "command byte by byte", limits: shortStall, want: "ABORT(2,0)", run: func(p *rawPeer) {
		p.associate()
		p.send(rawPDU(4, 10006, []byte{0, 0, 0x27, 0x12, 3, 3}))
		trickle(p, 0)
	}},
	{name: "idle association", limits: Limits{Idle: 100 * time.Millisecond}, want: "ABORT(2,0)", run: func(p *rawPeer) { p.associate() }},
	{name: "endless data set", limits: smallStore, want: "ABORT(0,0)", err: ErrTooLarge, run: func(p *rawPeer) {
		p.associate()
		p.send(pdata(storeCommand()))
		for range 40 {
			p.send(pdata(dataPDV(false, make([]byte, 8<<10))))
		}
	}},

	// On an Association: answered with a status.
	assoc("C-ECHO", "RSP 0000", pdata(PDV{1, true, true, echoRQ()})),
	assoc("SOP class is not the context's", "RSP 0122", store(func(c *Command) { c.AffectedSOPClassUID = mrStorage }), pdata(dataPDV(true, []byte("x")))),
	assoc("SOP Instance UID ../../../tmp/x", "RSP 0117", store(func(c *Command) { c.AffectedSOPInstanceUID = "../../../tmp/x" }), pdata(dataPDV(true, []byte("x")))),
	assoc("SOP Instance UID is empty", "RSP 0117", store(func(c *Command) { c.AffectedSOPInstanceUID = "" }), pdata(dataPDV(true, []byte("x")))),
	assoc("C-STORE without data set", "RSP C000", store(func(c *Command) { c.HasData = false })),
	assoc("unknown Command Field", "RSP 0211", store(func(c *Command) { c.Field, c.HasData = 0x0666, false })),
	assoc("C-CANCEL for nothing", "RSP 0000", store(func(c *Command) { c.Field, c.HasData, c.MessageIDBeingRespondedTo = CCancelRQ, false, 3 }), pdata(PDV{1, true, true, echoRQ()})),
	{name: "a little over the limit", limits: smallStore, want: "RSP A700", err: ErrTooLarge, run: func(p *rawPeer) {
		p.associate()
		p.send(pdata(storeCommand()))
		for i := range 9 {
			p.send(pdata(dataPDV(i == 8, make([]byte, 8<<10))))
		}
	}},

	// Legal and rare.
	assoc("command and data PDV in one PDU", "RSP 0000", pdata(storeCommand(), dataPDV(true, []byte("abc")))),
	assoc("command in three fragments", "RSP 0000", pdata(PDV{1, true, false, echoRQ()[:9]}, PDV{1, true, false, echoRQ()[9:11]}, PDV{1, true, true, echoRQ()[11:]})),
	assoc("last data PDV empty", "RSP 0000", pdata(storeCommand()), pdata(dataPDV(false, []byte("abc"))), pdata(dataPDV(true, nil))),
	assoc("empty data set", "RSP 0000", pdata(storeCommand(), dataPDV(true, nil))),
	assoc("200,000 nested sequences", "RSP 0000", append([][]byte{pdata(storeCommand())}, nestedSequences()...)...),
	assoc("reserved control bits", "RSP 0000", rawPDU(4, uint32(6+len(echoRQ())), append([]byte{0, 0, 0, byte(2 + len(echoRQ())), 1, 0xFF}, echoRQ()...))),
	assoc("PDU slightly over the maximum", "RSP 0000", pdata(storeCommand()), pdata(dataPDV(true, make([]byte, 128<<10)))),
}

// nestedSequences is 200,000 times sequence and item of undefined length, as data PDUs.
func nestedSequences() (pdus [][]byte) {
	b := bytes.Repeat([]byte{8, 0, 0x40, 0x11, 'S', 'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF}, 200_000)
	for len(b) > 0 {
		n := min(len(b), 100<<10)
		pdus = append(pdus, pdata(dataPDV(n == len(b), b[:n])))
		b = b[n:]
	}
	return pdus
}

func TestProbes(t *testing.T) {
	policy := func(ctx context.Context, rq *AssociateRQ, peer Peer) Decision {
		if rq.CallingAETitle == "BAD" {
			return Decision{Reject: &RejectCallingAE}
		}
		return ForCalledAE(openPolicy, "SCP")(ctx, rq, peer)
	}
	for i, pr := range probes {
		t.Run(fmt.Sprintf("%02d %s", i+1, pr.name), func(t *testing.T) {
			t.Parallel()
			rec := &recorder{}
			addr := start(t, &Server{Policy: policy, Handler: rec, Limits: pr.limits})
			p := rawDial(t, addr)
			pr.run(p)
			if got := p.answer(); got != pr.want {
				t.Errorf("answer is %s, want %s", got, pr.want)
			}
			if pr.err != nil {
				if all := rec.all(); len(all) != 1 || !errors.Is(all[0].err, pr.err) {
					t.Errorf("handler saw %+v, want %v", all, pr.err)
				}
			}
			checkEcho(t, addr)
		})
	}
}

// TestGiantRequests opens 40 connections which announce 4 GiB each.
func TestGiantRequests(t *testing.T) {
	addr := start(t, &Server{Limits: Limits{MaxPerIP: 64}})
	var peers []*rawPeer
	for range 40 {
		p := rawDial(t, addr)
		p.send(rawPDU(1, 0xFFFFFFFF, []byte{0}))
		peers = append(peers, p)
	}
	for _, p := range peers {
		if got := p.answer(); got != "ABORT(2,6)" {
			t.Errorf("answer is %s", got)
		}
	}
	checkEcho(t, addr)
}

// TestOpaqueData checks that hostile data sets arrive byte for byte.
func TestOpaqueData(t *testing.T) {
	rec := &recorder{}
	p := rawDial(t, start(t, &Server{Handler: rec}))
	p.associate()
	h := sha256.New()
	p.send(pdata(storeCommand()))
	for _, pdu := range nestedSequences() {
		h.Write(pdu[pduHeader+pdvHeader:])
		p.send(pdu)
	}
	if got := p.answer(); got != "RSP 0000" {
		t.Fatalf("answer is %s", got)
	}
	if all := rec.all(); len(all) != 1 || !bytes.Equal(all[0].sum[:], h.Sum(nil)) || all[0].size != 4_000_000 {
		t.Errorf("received %+v", all)
	}
}

// TestResponseFields checks what a response repeats of its request.
func TestResponseFields(t *testing.T) {
	p := rawDial(t, start(t, &Server{}))
	p.associate()
	p.send(pdata(storeCommand(), dataPDV(true, []byte("abc"))))
	pdu, err := ReadPDU(p, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	c, err := DecodeCommand(pdu.(*PDataTF).PDVs[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	if c.Field != CStoreRSP || c.MessageIDBeingRespondedTo != 9 || c.HasData || c.AffectedSOPClassUID != ctStorage || c.AffectedSOPInstanceUID != "1.2.3.4" {
		t.Errorf("response is %+v", c)
	}
	if pdv := pdu.(*PDataTF).PDVs[0]; pdv.ContextID != 3 || !pdv.Command || !pdv.Last {
		t.Errorf("PDV is %+v", pdv)
	}
}
