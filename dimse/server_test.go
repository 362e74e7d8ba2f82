package dimse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate is a Handler that says when a message is in hand and waits for leave to read it.
type gate struct {
	entered chan *Message
	proceed chan struct{}
}

func newGate() *gate { return &gate{make(chan *Message, 100), make(chan struct{})} }

func (g *gate) ServeDIMSE(_ context.Context, w ResponseWriter, m *Message) error {
	g.entered <- m
	<-g.proceed
	if m.Data != nil {
		if _, err := io.Copy(io.Discard, m.Data); err != nil {
			return err
		}
	}
	return w.Status(StatusSuccess, "")
}

func TestBusy(t *testing.T) {
	for name, limits := range map[string]Limits{"in all": {MaxAssociations: 2}, "per IP": {MaxPerIP: 2}} {
		t.Run(name, func(t *testing.T) {
			addr := start(t, &Server{Limits: limits})
			first, second := rawDial(t, addr), rawDial(t, addr)
			first.associate()
			second.associate()
			third := rawDial(t, addr) // says nothing: the refusal does not wait for a request
			if got := third.answer(); got != "RJ(2,3,2)" {
				t.Errorf("third peer is answered %s", got)
			}
			first.send((&ReleaseRQ{}).AppendTo(nil))
			if got := first.answer(); got != "RP" {
				t.Fatalf("release is answered %s", got)
			}
			_ = first.Close()
			eventually(t, func() bool {
				p := rawDial(t, addr)
				defer p.Close()
				p.send(testRQ().AppendTo(nil))
				return p.answer() == "AC"
			})
		})
	}
}

// eventually retries until ok; it fails only at the test's own deadline.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("never came true")
}

func TestPerDevice(t *testing.T) {
	policy := func(_ context.Context, rq *AssociateRQ, _ Peer) Decision {
		return Decision{Device: rq.CallingAETitle, MaxPerDevice: 1, Contexts: AcceptStorage(any2, nil)}
	}
	addr := start(t, &Server{Policy: policy})
	first, second := rawDial(t, addr), rawDial(t, addr)
	first.associate()
	second.send(testRQ().AppendTo(nil))
	if got := second.answer(); got != "RJ(2,3,2)" {
		t.Errorf("second Association is answered %s", got)
	}
	other := rawDial(t, addr)
	other.send(changedRQ(func(rq *AssociateRQ) { rq.CallingAETitle = "OTHER" }))
	if got := other.answer(); got != "AC" {
		t.Errorf("another device is answered %s", got)
	}
}

func TestBudget(t *testing.T) {
	g := newGate()
	s := &Server{Handler: g, Limits: Limits{MaxBytesInFlight: 1 << 20, BudgetWait: 50 * time.Millisecond}}
	addr := start(t, s)
	s.budget.add(1<<20 - entryCost/2) // as if others were receiving
	first, second := rawDial(t, addr), rawDial(t, addr)
	first.associate()
	second.associate()
	message := append(pdata(storeCommand()), pdata(dataPDV(true, make([]byte, 1000)))...)
	first.send(message)
	<-g.entered
	second.send(message)
	if got := second.answer(); got != "RSP A700" {
		t.Errorf("beyond the budget: %s", got)
	}
	close(g.proceed)
	if got := first.answer(); got != "RSP 0000" {
		t.Errorf("within the budget: %s", got)
	}
	second.send(message)
	if got := second.answer(); got != "RSP 0000" {
		t.Errorf("after a place came free: %s", got)
	}
	eventually(t, func() bool {
		s.budget.mu.Lock()
		defer s.budget.mu.Unlock()
		return s.budget.used == 1<<20-entryCost/2 && len(s.budget.waiting) == 0
	})
}

// TestBackPressure: what the Handler does not read stays with the sender.
func TestBackPressure(t *testing.T) {
	g := newGate()
	addr := start(t, &Server{Handler: g})
	p := rawDial(t, addr)
	p.associate()
	p.send(pdata(storeCommand()))
	<-g.entered
	pdu := pdata(dataPDV(false, make([]byte, 120<<10)))
	_ = p.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	var sent int
	for range 1000 { // 120 MB
		n, err := p.Write(pdu)
		sent += n
		if err != nil {
			break
		}
	}
	if sent == 1000*len(pdu) {
		t.Error("the sender was never held up")
	}
	_ = p.SetDeadline(time.Now().Add(30 * time.Second))
	close(g.proceed)
	rest := pdu[sent%len(pdu):]
	p.send(rest, pdata(dataPDV(true, nil)))
	if got := p.answer(); got != "RSP 0000" {
		t.Errorf("answer is %s", got)
	}
}

func TestUnreadDataIsDrained(t *testing.T) {
	refuse := HandlerFunc(func(_ context.Context, w ResponseWriter, m *Message) error {
		var some [3]byte
		if _, err := io.ReadFull(m.Data, some[:]); err != nil {
			return err
		}
		if err := w.Pending(StatusPending, nil); !errors.Is(err, ErrUnreadData) {
			return errors.New("Pending before the data was read")
		}
		if err := w.Status(StatusNotAuthorized, "no\nway"); err != nil {
			return err
		}
		if err := w.Status(0, ""); !errors.Is(err, ErrAnswered) {
			return errors.New("a second status")
		}
		return nil
	})
	c := dial(t, start(t, &Server{Handler: refuse}))
	for range 2 {
		status, comment, err := c.Store(t.Context(), StoreRequest{
			SOPClassUID: ctStorage, SOPInstanceUID: "1.2", TransferSyntaxUID: jpegBase, Data: bytes.NewReader(make([]byte, 5<<20)),
		})
		if status != StatusNotAuthorized || comment != "no?way" || err != nil {
			t.Fatalf("got %04X %q, %v", status, comment, err)
		}
	}
}

// TestNoEOFRead: a Handler that knows the length need not read to io.EOF, and gets no byte of the next
// message.
func TestNoEOFRead(t *testing.T) {
	addr := start(t, &Server{Handler: HandlerFunc(func(_ context.Context, w ResponseWriter, m *Message) error {
		var all [6]byte
		if _, err := io.ReadFull(m.Data, all[:]); err != nil {
			return err
		}
		if err := w.Status(uint16(all[5]), ""); err != nil {
			return err
		}
		if n, err := m.Data.Read(all[:]); n != 0 || err != io.EOF {
			return ErrAbort
		}
		return nil
	})})
	p := rawDial(t, addr)
	p.associate()
	p.send(pdata(storeCommand(), dataPDV(true, []byte("data\x00\x01")), storeCommand(), dataPDV(true, []byte("data\x00\x02"))))
	for _, want := range []string{"RSP 0001", "RSP 0002"} {
		if got := p.answer(); got != want {
			t.Errorf("answer is %s, want %s", got, want)
		}
	}
}

func TestHandlerEndings(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(w ResponseWriter, m *Message) error
		want string
	}{
		"no status":   {func(ResponseWriter, *Message) error { return nil }, "RSP 0110"},
		"error":       {func(ResponseWriter, *Message) error { return errors.New("disk on fire") }, "RSP 0110"},
		"abort":       {func(ResponseWriter, *Message) error { return ErrAbort }, "ABORT(0,0)"},
		"panic":       {func(ResponseWriter, *Message) error { panic("patient name") }, "ABORT(0,0)"},
		"index panic": {func(_ ResponseWriter, m *Message) error { _ = []int{}[m.Cmd.MessageID]; return nil }, "ABORT(0,0)"},
		"too large, no status": {func(_ ResponseWriter, m *Message) error {
			_, err := io.Copy(io.Discard, m.Data)
			return err
		}, "RSP A700"},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			s := &Server{
				Handler: HandlerFunc(func(_ context.Context, w ResponseWriter, m *Message) error {
					if m.Cmd.Field == CEchoRQ {
						return w.Status(StatusSuccess, "")
					}
					return tc.do(w, m)
				}),
				Log:    slog.New(slog.NewTextHandler(&log, nil)),
				Limits: Limits{MaxObjectBytes: 1 << 10},
			}
			addr := start(t, s)
			p := rawDial(t, addr)
			p.associate()
			p.send(pdata(storeCommand(), dataPDV(true, make([]byte, 2000))))
			if got := p.answer(); got != tc.want {
				t.Errorf("answer is %s, want %s", got, tc.want)
			}
			checkEcho(t, addr)
			if text := log.String(); strings.Contains(text, "patient name") {
				t.Errorf("the panic's value is logged: %s", text)
			}
		})
	}
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestPolicyPanic(t *testing.T) {
	addr := start(t, &Server{Policy: func(_ context.Context, rq *AssociateRQ, peer Peer) Decision {
		if rq.CallingAETitle == "BAD" {
			panic("policy")
		}
		return openPolicy(context.Background(), rq, peer)
	}})
	p := rawDial(t, addr)
	p.send(changedRQ(func(rq *AssociateRQ) { rq.CallingAETitle = "BAD" }))
	if got := p.answer(); got != "ABORT(0,0)" {
		t.Errorf("answer is %s", got)
	}
	checkEcho(t, addr)
}

func TestShutdownInStore(t *testing.T) {
	for name, cancelled := range map[string]bool{"Shutdown": false, "context": true} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			s := &Server{Policy: openPolicy, Handler: g}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			served := make(chan error, 1)
			go func() { served <- s.Serve(ctx, ln) }()

			idle, silent, busy := rawDial(t, ln.Addr().String()), rawDial(t, ln.Addr().String()), rawDial(t, ln.Addr().String())
			idle.associate()
			busy.associate()
			busy.send(pdata(storeCommand(), dataPDV(false, []byte("first half"))))
			<-g.entered

			down := make(chan error, 1)
			if cancelled {
				cancel()
				down <- nil
			} else {
				go func() { down <- s.Shutdown(context.Background()) }()
			}
			if got := idle.answer(); got != "ABORT(0,0)" {
				t.Errorf("idle Association is answered %s", got)
			}
			if got := silent.answer(); got != "closed" {
				t.Errorf("connection without Association is answered %s", got)
			}
			if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
				p := &rawPeer{t, conn}
				if got := p.answer(); got != "closed" {
					t.Errorf("new connection is answered %s", got)
				}
				_ = conn.Close()
			}
			close(g.proceed)
			busy.send(pdata(dataPDV(true, []byte("second half"))))
			if got := busy.answer(); got != "RSP 0000" {
				t.Errorf("message in hand is answered %s", got)
			}
			if got := busy.answer(); got != "ABORT(0,0)" {
				t.Errorf("after the message in hand: %s", got)
			}
			_, _, _ = idle.Close(), silent.Close(), busy.Close()
			if err := errors.Join(<-down, <-served); err != nil {
				t.Error(err)
			}
			if err := s.Serve(context.Background(), ln); !errors.Is(err, ErrServerClosed) {
				t.Errorf("Serve after the end: %v", err)
			}
		})
	}
}

func TestShutdownOutOfTime(t *testing.T) {
	seen := make(chan error, 1)
	entered := make(chan struct{})
	s := &Server{Policy: openPolicy, Handler: HandlerFunc(func(ctx context.Context, _ ResponseWriter, m *Message) error {
		close(entered)
		_, err := io.Copy(io.Discard, m.Data)
		<-ctx.Done()
		seen <- err
		return err
	})}
	addr := start(t, s)
	p := rawDial(t, addr)
	p.associate()
	p.send(pdata(storeCommand()))
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-seen; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("handler saw %v", err)
	}
}

func TestNegotiation(t *testing.T) {
	find := func(uid string) bool { return uid == patFind }
	policy := func(context.Context, *AssociateRQ, Peer) Decision {
		return Decision{
			IdentityVerified: true,
			SCPRole:          func(uid string) bool { return uid == ctStorage },
			Contexts: FirstContext(
				AcceptStorage(func(uid string) bool { return uid == ctStorage || uid == mrStorage }, func(uid string) bool { return uid != "1.2.3" }),
				AcceptContexts(find, nil),
			),
		}
	}
	p := rawDial(t, start(t, &Server{Policy: policy}))
	p.send(changedRQ(func(rq *AssociateRQ) {
		rq.Contexts = []ProposedContext{
			{1, Verification, []string{jpegBase, ExplicitVRBigEndian}},
			{3, ctStorage, []string{"1.2.3", jpegBase, ImplicitVRLittleEndian}},
			{5, mrStorage, []string{"1.2.3"}},
			{7, "1.2.3.4", []string{ImplicitVRLittleEndian}},
			{9, patFind, []string{ExplicitVRLittleEndian, ImplicitVRLittleEndian}},
			{11, ctStorage, nil},
		}
		rq.User.Roles = []RoleSelection{{ctStorage, true, true}, {patFind, true, true}, {"1.2.3.4", true, true}}
		rq.User.Identity = &UserIdentity{Kind: IdentityUsername, ResponseRequested: true, Primary: []byte("x")}
	}))
	pdu, err := ReadPDU(p, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	ac := pdu.(*AssociateAC)
	want := []ContextAnswer{
		{1, ContextAccepted, ExplicitVRBigEndian},
		{3, ContextAccepted, jpegBase},
		{5, ContextTransferSyntaxesUnsupported, ImplicitVRLittleEndian},
		{7, ContextAbstractSyntaxNotSupported, ImplicitVRLittleEndian},
		{9, ContextAccepted, ExplicitVRLittleEndian},
		{11, ContextTransferSyntaxesUnsupported, ImplicitVRLittleEndian},
	}
	for i, pc := range ac.Contexts {
		if pc != want[i] {
			t.Errorf("context %d: %+v, want %+v", pc.ID, pc, want[i])
		}
	}
	if r := ac.User.Roles; len(r) != 2 || r[0] != (RoleSelection{ctStorage, true, true}) || r[1] != (RoleSelection{patFind, true, false}) {
		t.Errorf("roles %+v", r)
	}
	if ac.User.MaxLength != 131072 || ac.User.IdentityAnswer == nil || ac.User.ImplementationClassUID != DefaultImplementationClassUID {
		t.Errorf("user information %+v", ac.User)
	}
}

func TestPoliciesReject(t *testing.T) {
	addr := start(t, &Server{Policy: func(context.Context, *AssociateRQ, Peer) Decision {
		return Decision{Reject: &RejectCongestion}
	}})
	_, err := Dial(t.Context(), addr, ClientConfig{Contexts: []Proposal{{AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLittleEndian}}}})
	var rj *AssociateRJ
	if !errors.As(err, &rj) || *rj != RejectCongestion {
		t.Errorf("Dial: %v", err)
	}
}
