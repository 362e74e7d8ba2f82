package dimse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ctStorage = "1.2.840.10008.5.1.4.1.1.2"
	mrStorage = "1.2.840.10008.5.1.4.1.1.4"
	patFind   = "1.2.840.10008.5.1.4.1.2.1.1"
	jpegBase  = "1.2.840.10008.1.2.4.50"
)

// received is what a recorder got of one message.
type received struct {
	cmd  Command
	ctx  PresentationContext
	sum  [32]byte
	size int64
	err  error // of Data
}

// recorder is a Handler that hashes what comes and answers 0000H.
type recorder struct {
	mu   sync.Mutex
	list []received
}

func (r *recorder) ServeDIMSE(_ context.Context, w ResponseWriter, m *Message) error {
	h := sha256.New()
	got := received{cmd: m.Cmd, ctx: m.Context}
	if m.Data != nil {
		got.size, got.err = io.Copy(h, m.Data)
	}
	h.Sum(got.sum[:0])
	r.mu.Lock()
	r.list = append(r.list, got)
	r.mu.Unlock()
	switch {
	case errors.Is(got.err, ErrTooLarge):
		return w.Status(StatusOutOfResources, "too large")
	case got.err != nil:
		return got.err
	}
	return w.Status(StatusSuccess, "")
}

func (r *recorder) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.list...)
}

func any2(string) bool { return true }

// openPolicy accepts everything.
func openPolicy(context.Context, *AssociateRQ, Peer) Decision {
	return Decision{Contexts: AcceptContexts(any2, nil), SCPRole: any2}
}

// start serves s on a free loopback port until the test ends.
func start(t testing.TB, s *Server) (addr string) {
	t.Helper()
	if s.Policy == nil {
		s.Policy = openPolicy
	}
	if s.Handler == nil {
		s.Handler = &recorder{}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.listen(ln); err != nil { // again in Serve; tests reach into what it sets up
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-s.emptied // killed ones end too
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// rawPeer speaks bytes.
type rawPeer struct {
	t testing.TB
	net.Conn
}

func rawDial(t testing.TB, addr string) *rawPeer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &rawPeer{t, conn}
}

// send writes; the server may close meanwhile, which the answer tells.
func (p *rawPeer) send(b ...[]byte) { _, _ = p.Write(bytes.Join(b, nil)) }

// answer describes the next PDU of the server.
func (p *rawPeer) answer() string {
	pdu, err := ReadPDU(p, 1<<20)
	if err != nil {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return "nothing"
		}
		return "closed"
	}
	return describe(pdu)
}

func describe(pdu PDU) string {
	switch v := pdu.(type) {
	case *AssociateAC:
		return "AC"
	case *AssociateRJ:
		return fmt.Sprintf("RJ(%d,%d,%d)", v.Result, v.Source, v.Reason)
	case *Abort:
		return fmt.Sprintf("ABORT(%d,%d)", v.Source, v.Reason)
	case *ReleaseRQ:
		return "RQ"
	case *ReleaseRP:
		return "RP"
	case *PDataTF:
		c, err := DecodeCommand(v.PDVs[0].Data)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("RSP %04X", c.Status)
	}
	return fmt.Sprintf("%T", pdu)
}

// associate opens an Association with testRQ.
func (p *rawPeer) associate() {
	p.t.Helper()
	p.send(testRQ().AppendTo(nil))
	if a := p.answer(); a != "AC" {
		p.t.Fatalf("answer to A-ASSOCIATE-RQ is %s", a)
	}
}

// testRQ proposes Verification (1), CT (3), MR (5) and Patient Root FIND (7).
func testRQ() *AssociateRQ {
	both := []string{ImplicitVRLittleEndian, ExplicitVRLittleEndian}
	return &AssociateRQ{
		ProtocolVersion: 1, CalledAETitle: "SCP", CallingAETitle: "SCU", ApplicationContext: ApplicationContext,
		Contexts: []ProposedContext{{1, Verification, both}, {3, ctStorage, both}, {5, mrStorage, both}, {7, patFind, both}},
		User:     UserInformation{MaxLength: 16384, ImplementationClassUID: "1.2.3"},
	}
}

func pdata(pdvs ...PDV) []byte { return (&PDataTF{PDVs: pdvs}).AppendTo(nil) }

func echoRQ() []byte {
	c := Command{Field: CEchoRQ, MessageID: 7, AffectedSOPClassUID: Verification}
	return c.AppendTo(nil)
}

func storeRQ() Command {
	return Command{
		Field: CStoreRQ, MessageID: 9, AffectedSOPClassUID: ctStorage, AffectedSOPInstanceUID: "1.2.3.4", HasData: true,
	}
}

func storeCommand() PDV {
	c := storeRQ()
	return PDV{3, true, true, c.AppendTo(nil)}
}

func dataPDV(last bool, b []byte) PDV { return PDV{3, false, last, b} }

// rawPDU makes a PDU whose header says n bytes.
func rawPDU(kind byte, n uint32, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind, 0}, n), body...)
}

// dial opens a Client for Verification, CT and MR.
func dial(t testing.TB, addr string, change ...func(*ClientConfig)) *Client {
	t.Helper()
	config := ClientConfig{CalledAE: "SCP", Contexts: []Proposal{
		{AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLittleEndian}},
		{AbstractSyntax: ctStorage, TransferSyntaxes: []string{ExplicitVRLittleEndian}},
		{AbstractSyntax: ctStorage, TransferSyntaxes: []string{jpegBase}},
		{AbstractSyntax: patFind, TransferSyntaxes: []string{ImplicitVRLittleEndian}},
	}}
	for _, f := range change {
		f(&config)
	}
	c, err := Dial(t.Context(), addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c
}

func checkEcho(t testing.TB, addr string) {
	t.Helper()
	c := dial(t, addr)
	if status, err := c.Echo(t.Context()); err != nil || status != 0 {
		t.Fatalf("next peer's C-ECHO: %04X, %v", status, err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatalf("next peer's release: %v", err)
	}
}

// memConn is a connection whose reads come from chunks, one at a time at most, and then end.
type memConn struct {
	chunks [][]byte
	most   func() int // bytes per read, nil for all
	wrote  bytes.Buffer
}

func (c *memConn) Read(p []byte) (int, error) {
	for len(c.chunks) > 0 && len(c.chunks[0]) == 0 {
		c.chunks = c.chunks[1:]
	}
	if len(c.chunks) == 0 {
		return 0, io.EOF
	}
	if c.most != nil {
		p = p[:min(len(p), c.most())]
	}
	n := copy(p, c.chunks[0])
	c.chunks[0] = c.chunks[0][n:]
	return n, nil
}
func (c *memConn) Write(p []byte) (int, error)      { return c.wrote.Write(p) }
func (c *memConn) Close() error                     { return nil }
func (c *memConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// serveBytes runs an Association on the given reads and returns what the server wrote.
func serveBytes(s *Server, conn *memConn) []string {
	ln := &net.TCPListener{}
	if err := s.listen(ln); err != nil {
		panic(err)
	}
	newSession(context.Background(), s, conn).run()
	var answers []string
	for r := bytes.NewReader(conn.wrote.Bytes()); ; {
		pdu, err := ReadPDU(r, 1<<20)
		if err != nil {
			return answers
		}
		answers = append(answers, describe(pdu))
	}
}
