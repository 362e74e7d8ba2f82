package slowreader

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections without any buffer.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// serve runs a test within a bubble of time, with a server whose answers are body.
func serve(t *testing.T, body []byte, test func(t *testing.T, l *pipes, ended <-chan error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, ended := newPipes(), make(chan error, 100)
		server := &http.Server{Handler: Limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(body)
			ended <- err
		}), 30*time.Second)}
		stopped := make(chan error)
		go func() { stopped <- server.Serve(l) }()
		test(t, l, ended)
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

// TestNobodyReads: an answer that is not taken ends when its time is over, and the connection with it.
func TestNobodyReads(t *testing.T) {
	serve(t, make([]byte, 10<<20), func(t *testing.T, l *pipes, ended <-chan error) {
		conn := l.dial()
		defer conn.Close()
		ask(t, conn)
		if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil { // some of it is taken
			t.Fatal(err)
		}
		began := time.Now()
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing ended with %v", err)
		}
		if took := time.Since(began); took < 26*time.Second || took > 30*time.Second {
			t.Errorf("after %v", took)
		}
		if n, err := io.Copy(io.Discard, conn); err == nil && n >= 9<<20 {
			t.Error("the client got all of it")
		}
	})
}

// TestSlowButSteady: who goes on reading gets everything, however long that takes, and may ask again much later.
func TestSlowButSteady(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	serve(t, body, func(t *testing.T, l *pipes, ended <-chan error) {
		conn := l.dial()
		defer conn.Close()
		r := bufio.NewReaderSize(conn, 4<<10)
		for range 2 {
			ask(t, conn)
			began := time.Now()
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for {
				_, err := io.CopyN(&got, resp.Body, 4<<10)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("after %d bytes and %v: %v", got.Len(), time.Since(began), err)
				}
				time.Sleep(time.Second) // 4 KiB/s
			}
			if !bytes.Equal(got.Bytes(), body) {
				t.Error("other bytes")
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if time.Since(began) < 4*time.Minute {
				t.Errorf("took only %v: not what this test is for", time.Since(began))
			}
			time.Sleep(10 * time.Minute) // the deadline of the last answer is not that of the next
		}
	})
}

// TestBrokenOff: a handler that gives up breaks the connection as it does without Limit.
func TestBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		server := &http.Server{Handler: Limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(make([]byte, 500))
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			panic(http.ErrAbortHandler)
		}), 0)}
		go func() { _ = server.Serve(l) }()
		conn := l.dial()
		ask(t, conn)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != 500 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
}
