package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is an engine that answers with what it was sent, and counts it.
type echo struct {
	addr string
	wg   sync.WaitGroup

	mu  sync.Mutex
	got []byte
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{addr: l.Addr().String()}
	e.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.wg.Go(func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for {
					n, err := c.Read(buf)
					e.mu.Lock()
					e.got = append(e.got, buf[:n]...)
					e.mu.Unlock()
					if _, werr := c.Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); e.wg.Wait() })
	return e
}

func (e *echo) received() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.got)
}

func start(t *testing.T) (*Proxy, *echo) {
	t.Helper()
	e := newEcho(t)
	p, err := Listen(e.addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, e
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

func set(t *testing.T, p *Proxy, f Faults) {
	t.Helper()
	if err := p.Set(f); err != nil {
		t.Fatal(err)
	}
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

// quiet checks that nothing comes for a moment.
func quiet(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %d bytes, %v; want silence", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
}

// wasReset checks that the connection breaks, and is not merely closed.
func wasReset(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("connection ended with %v, want a reset", err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestForwards(t *testing.T) {
	p, _ := start(t)
	c := dial(t, p)
	whole := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	go func() {
		_, _ = c.Write(whole)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, whole) {
		t.Fatalf("%d bytes, %v; want %d and a proper end", len(got), err, len(whole))
	}
}

func TestSlowLine(t *testing.T) {
	p, _ := start(t)
	set(t, p, Faults{Latency: 5 * time.Millisecond, Jitter: 5 * time.Millisecond, BytesPerSecond: 100_000})
	c := dial(t, p)
	begin := time.Now()
	say(t, c, string(make([]byte, 1000)))
	hear(t, c, string(make([]byte, 1000)))
	if took := time.Since(begin); took < 30*time.Millisecond { // 10 ms a way at this rate, and the latency
		t.Errorf("1,000 bytes there and back in %v", took)
	}
}

func TestRefuse(t *testing.T) {
	p, _ := start(t)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	set(t, p, Faults{Refuse: true})
	if other, err := net.Dial("tcp", p.Addr()); err == nil {
		other.Close()
		t.Error("a connection was taken")
	}
	say(t, c, "b")
	hear(t, c, "b")
	set(t, p, Faults{})
	d := dial(t, p)
	say(t, d, "c")
	hear(t, d, "c")
}

func TestReset(t *testing.T) {
	p, _ := start(t)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	if n := p.ResetAll(); n != 1 {
		t.Errorf("%d connections reset", n)
	}
	wasReset(t, c)
}

func TestResetAfter(t *testing.T) {
	p, e := start(t)
	set(t, p, Faults{ResetAfter: 1000})
	c := dial(t, p)
	say(t, c, string(make([]byte, 900))) // and 100 bytes of its echo
	got, err := io.ReadAll(c)
	if len(got) > 100 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes, %v; want at most 100 and a reset", len(got), err)
	}
	if n := len(e.received()); n != 900 {
		t.Errorf("the engine got %d bytes", n)
	}
}

func TestPartition(t *testing.T) {
	p, e := start(t)
	c := dial(t, p)
	say(t, c, "a")
	hear(t, c, "a")
	set(t, p, Faults{Hold: Both})
	say(t, c, "b")
	d := dial(t, p)
	say(t, d, "c")
	quiet(t, c)
	quiet(t, d)
	if got := e.received(); string(got) != "a" {
		t.Errorf("the engine got %q through a partition", got)
	}
	set(t, p, Faults{})
	hear(t, c, "b")
	hear(t, d, "c")
}

func TestHalfOpen(t *testing.T) {
	p, e := start(t)
	set(t, p, Faults{Hold: ToClient})
	c := dial(t, p)
	say(t, c, "a")
	eventually(t, "the engine hears", func() bool { return string(e.received()) == "a" })
	quiet(t, c)
	set(t, p, Faults{})
	hear(t, c, "a")
}

func TestDropAnswers(t *testing.T) {
	p, e := start(t)
	p.DropAnswers(1, func(request []byte) bool { return bytes.Contains(request, []byte("COMMIT")) })
	c := dial(t, p)
	say(t, c, "SELECT")
	hear(t, c, "SELECT")
	say(t, c, "COMMIT")
	wasReset(t, c)
	if got := e.received(); string(got) != "SELECTCOMMIT" {
		t.Errorf("the engine got %q", got)
	}
	if left := p.Stats().Pending; left != 0 {
		t.Errorf("%d answers still to be lost", left)
	}
	d := dial(t, p)
	say(t, d, "COMMIT")
	hear(t, d, "COMMIT")
}

func TestEngineAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p, err := Listen(l.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr())
	if errors.Is(err, syscall.ECONNRESET) {
		return // before the dial had returned
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wasReset(t, c)
}

// TestCloseInAPartition leaves nothing behind: goleak looks at the end.
func TestCloseInAPartition(t *testing.T) {
	p, _ := start(t)
	set(t, p, Faults{Hold: Both})
	c := dial(t, p)
	say(t, c, "a")
	eventually(t, "the connection is there", func() bool { return p.Stats().Open == 1 })
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	wasReset(t, c)
	if err := p.Set(Faults{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Set after Close = %v", err)
	}
}
