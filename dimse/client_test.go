package dimse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

func TestClientStore(t *testing.T) {
	rec := &recorder{}
	addr := start(t, &Server{Handler: rec})
	c := dial(t, addr)
	limit := c.stream.peerMax - pdvHeader
	for i, size := range []int{0, 1, 2, 1000, limit - 1, limit, limit + 1, 2*limit - 1, 2 * limit, 2*limit + 1, 3<<20 + 1} {
		data := bytes.Repeat([]byte{byte(i), 2, 3}, size/3+1)[:size]
		uid := fmt.Sprintf("1.2.%d", i)
		status, comment, err := c.Store(t.Context(), StoreRequest{
			SOPClassUID: ctStorage, SOPInstanceUID: uid, TransferSyntaxUID: jpegBase, Data: iotest.HalfReader(bytes.NewReader(data)),
		})
		if status != 0 || comment != "" || err != nil {
			t.Fatalf("%d bytes: %04X %q %v", size, status, comment, err)
		}
		got := rec.all()[i]
		if got.sum != sha256.Sum256(data) || got.cmd.AffectedSOPInstanceUID != uid || got.ctx.TransferSyntax != jpegBase {
			t.Errorf("%d bytes: received %+v", size, got)
		}
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Echo(t.Context()); !errors.Is(err, ErrReleased) {
		t.Errorf("after release: %v", err)
	}
}

func TestClientArguments(t *testing.T) {
	c := dial(t, start(t, &Server{}))
	if _, _, err := c.Store(t.Context(), StoreRequest{SOPClassUID: mrStorage, SOPInstanceUID: "1.2", Data: bytes.NewReader(nil)}); !errors.Is(err, ErrNoContext) {
		t.Errorf("class without context: %v", err)
	}
	if _, _, err := c.Store(t.Context(), StoreRequest{SOPClassUID: ctStorage, SOPInstanceUID: "../x", Data: bytes.NewReader(nil)}); err == nil {
		t.Error("a malformed UID is sent")
	}
	if c.Done() {
		t.Error("wrong arguments end the Association")
	}
	if _, ok := c.Accepted(ctStorage, ImplicitVRLittleEndian); ok {
		t.Error("a transfer syntax counts as accepted that was not proposed")
	}
	if err := (ClientConfig{CallingAE: "SEVENTEEN LETTERS", Contexts: []Proposal{{}}}).Validate(); err == nil {
		t.Error("a bad configuration is valid")
	}
}

// TestClientBrokenSource: a source that fails is never taken for its end.
func TestClientBrokenSource(t *testing.T) {
	for _, broken := range []error{errors.New("disk gone"), io.ErrUnexpectedEOF} {
		rec := &recorder{}
		c := dial(t, start(t, &Server{Handler: rec}))
		_, _, err := c.Store(t.Context(), StoreRequest{
			SOPClassUID: ctStorage, SOPInstanceUID: "1.2",
			Data: io.MultiReader(bytes.NewReader(make([]byte, 300<<10)), iotest.ErrReader(broken)),
		})
		if !errors.Is(err, broken) || !c.Done() {
			t.Errorf("Store: %v", err)
		}
		eventually(t, func() bool { return len(rec.all()) == 1 })
		if got := rec.all()[0].err; !errors.Is(got, ErrPeerAbort) {
			t.Errorf("the server saw %v", got)
		}
	}
}

func TestClientContextEnds(t *testing.T) {
	g := newGate()
	defer close(g.proceed)
	c := dial(t, start(t, &Server{Handler: g}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-g.entered; cancel() }()
	_, _, err := c.Store(ctx, StoreRequest{SOPClassUID: ctStorage, SOPInstanceUID: "1.2", Data: bytes.NewReader(make([]byte, 64<<20))})
	if !errors.Is(err, context.Canceled) || !c.Done() {
		t.Errorf("Store: %v", err)
	}
}

// TestClientAborted: the server aborts in the middle of an object.
func TestClientAborted(t *testing.T) {
	c := dial(t, start(t, &Server{Limits: Limits{MaxObjectBytes: 1 << 10, DrainBytes: 1 << 10}}))
	_, _, err := c.Store(t.Context(), StoreRequest{SOPClassUID: ctStorage, SOPInstanceUID: "1.2", Data: bytes.NewReader(make([]byte, 10<<20))})
	if !errors.Is(err, ErrPeerAbort) {
		t.Errorf("Store: %v", err)
	}
}

// TestClientHostileServer feeds a Client answers that break the protocol.
func TestClientHostileServer(t *testing.T) {
	ac := func(max uint32) []byte {
		return (&AssociateAC{
			ProtocolVersion: 1, ApplicationContext: ApplicationContext,
			Contexts: []ContextAnswer{{1, ContextAccepted, ImplicitVRLittleEndian}, {77, ContextAccepted, "1"}},
			User:     UserInformation{MaxLength: max},
		}).AppendTo(nil)
	}
	rsp := func(change func(c *Command)) []byte {
		c := Command{Field: CEchoRSP, MessageIDBeingRespondedTo: 1}
		change(&c)
		return pdata(PDV{1, true, true, c.AppendTo(nil)})
	}
	for name, tc := range map[string]struct {
		answer, response []byte
	}{
		"garbage":         {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), nil},
		"closed":          {nil, nil},
		"abort":           {(&Abort{2, 1}).AppendTo(nil), nil},
		"giant answer":    {rawPDU(2, 0xFFFFFFFF, nil), nil},
		"tiny maximum":    {ac(3), nil},
		"wrong message":   {ac(0), rsp(func(c *Command) { c.MessageIDBeingRespondedTo = 9 })},
		"wrong field":     {ac(0), rsp(func(c *Command) { c.Field = CStoreRSP })},
		"release instead": {ac(0), (&ReleaseRQ{}).AppendTo(nil)},
		"giant PDU":       {ac(0), rawPDU(4, 1<<30, nil)},
		"abort instead":   {ac(100), (&Abort{}).AppendTo(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = ReadPDU(conn, 1<<20)
				_, _ = conn.Write(tc.answer)
				if tc.response != nil {
					_, _ = ReadPDU(conn, 1<<20)
					_, _ = conn.Write(tc.response)
				}
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
			}()
			c, err := Dial(t.Context(), ln.Addr().String(), ClientConfig{Contexts: []Proposal{{AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLittleEndian}}}})
			if err == nil {
				if tc.response == nil {
					t.Error("Dial succeeds")
				}
				if len(c.Contexts()) != 1 {
					t.Errorf("contexts %+v", c.Contexts())
				}
				if _, err = c.Echo(t.Context()); err == nil || !c.Done() {
					t.Errorf("Echo: %v", err)
				}
			}
			<-done
		})
	}
}

// findHandler answers a C-FIND with its identifier, again and again, until it is cancelled or has done n.
func findHandler(n int) Handler {
	return HandlerFunc(func(_ context.Context, w ResponseWriter, m *Message) error {
		if m.Cmd.Field != CFindRQ {
			return w.Status(StatusSuccess, "")
		}
		id, err := io.ReadAll(m.Data)
		if err != nil {
			return err
		}
		canceled := w.Canceled()
		for range n {
			select {
			case <-canceled:
				return w.Status(StatusCanceled, "")
			default:
			}
			if err := w.Pending(StatusPending, bytes.NewReader(id)); err != nil {
				return err
			}
		}
		if n > 1000 {
			<-canceled
			return w.Status(StatusCanceled, "")
		}
		return w.Final(StatusSuccess, "", bytes.NewReader([]byte("end")), US(TagCompletedSuboperations, uint16(n)))
	})
}

func TestFind(t *testing.T) {
	c := dial(t, start(t, &Server{Handler: findHandler(5)}))
	pc, _ := c.Accepted(patFind, "")
	for range 3 {
		var got []string
		rsp, err := c.Do(t.Context(), Request{
			Context: pc, Command: Command{Field: CFindRQ, AffectedSOPClassUID: patFind}, Data: bytes.NewReader([]byte("identifier")),
			Pending: func(r *Response) error { got = append(got, string(r.Data)); return nil },
		})
		if err != nil || rsp.Command.Status != 0 || string(rsp.Data) != "end" || len(got) != 5 || got[4] != "identifier" {
			t.Fatalf("%+v, %v, pending %q", rsp, err, got)
		}
		if n, ok := rsp.Command.Uint16(TagCompletedSuboperations); !ok || n != 5 {
			t.Errorf("sub-operations %d, %v", n, ok)
		}
		if status, err := c.Echo(t.Context()); status != 0 || err != nil { // the watcher left the stream in order
			t.Fatalf("C-ECHO after C-FIND: %04X, %v", status, err)
		}
	}
}

func TestFindCanceled(t *testing.T) {
	c := dial(t, start(t, &Server{Handler: findHandler(2000)}))
	pc, _ := c.Accepted(patFind, "")
	enough := errors.New("enough")
	rsp, err := c.Do(t.Context(), Request{
		Context: pc, Command: Command{Field: CFindRQ, AffectedSOPClassUID: patFind}, Data: bytes.NewReader([]byte("identifier")),
		Pending: func(*Response) error { return enough },
	})
	if !errors.Is(err, enough) || rsp == nil || rsp.Command.Status != StatusCanceled {
		t.Fatalf("%+v, %v", rsp, err)
	}
	if status, err := c.Echo(t.Context()); status != 0 || err != nil {
		t.Errorf("C-ECHO after C-CANCEL: %04X, %v", status, err)
	}
}

// TestWatcher: what else a peer sends while a response is due.
func TestWatcher(t *testing.T) {
	c := Command{Field: CFindRQ, MessageID: 4, AffectedSOPClassUID: patFind, HasData: true}
	find := pdata(PDV{7, true, true, c.AppendTo(nil)}, PDV{7, false, true, []byte("id")})
	for name, tc := range map[string]struct {
		send []byte
		want []string
	}{
		"abort":             {(&Abort{}).AppendTo(nil), []string{"closed"}},
		"release":           {(&ReleaseRQ{}).AppendTo(nil), []string{"ABORT(2,2)"}},
		"next message":      {pdata(PDV{1, true, true, echoRQ()}), []string{"RSP 0000", "RSP 0000"}},
		"half a message":    {pdata(PDV{1, true, true, echoRQ()})[:30], []string{"RSP 0000"}},
		"unknown PDU":       {rawPDU(9, 0, nil), []string{"ABORT(2,1)"}},
		"cancel of another": {store(func(c *Command) { c.Field, c.HasData, c.MessageIDBeingRespondedTo = CCancelRQ, false, 99 }), []string{"RSP 0000"}},
	} {
		t.Run(name, func(t *testing.T) {
			entered, proceed := make(chan struct{}, 1), make(chan struct{})
			p := rawDial(t, start(t, &Server{Handler: HandlerFunc(func(_ context.Context, w ResponseWriter, m *Message) error {
				if m.Data != nil {
					_, _ = io.Copy(io.Discard, m.Data)
					canceled := w.Canceled()
					entered <- struct{}{}
					if name == "abort" || name == "release" || name == "unknown PDU" {
						<-canceled
					} else {
						<-proceed
					}
				}
				return w.Status(StatusSuccess, "")
			})}))
			p.associate()
			p.send(find)
			<-entered
			p.send(tc.send)
			close(proceed)
			for _, want := range tc.want {
				if got := p.answer(); got != want {
					t.Errorf("answer is %s, want %s", got, want)
				}
			}
			if name == "half a message" {
				p.send(pdata(PDV{1, true, true, echoRQ()})[30:])
				if got := p.answer(); got != "RSP 0000" {
					t.Errorf("answer is %s", got)
				}
			}
		})
	}
}
