package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// opTimeout bounds one request: a 2 GiB object to a slow server takes half a minute.
const opTimeout = 5 * time.Minute

// maxKept is how much of an answer is kept; the rest is counted only.
const maxKept = 16 << 20

// wire is an HTTP/1.1 connection that writes bodies straight from memory: on a machine that client and
// server share, what the client does not need is the server's.
type wire struct {
	addr string // host:port
	conn net.Conn
	r    *bufio.Reader
	room []byte
}

func dialWire(ctx context.Context, addr string) (*wire, error) {
	w := &wire{addr: addr, room: make([]byte, 256<<10)}
	return w, w.dial(ctx)
}

func (w *wire) dial(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", w.addr)
	if err != nil {
		return err
	}
	w.conn, w.r = conn, bufio.NewReaderSize(conn, 64<<10)
	return nil
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// answer is an HTTP response whose body was read to its end.
type answer struct {
	status int
	header http.Header
	kept   []byte // the first maxKept bytes of the body
	size   int64  // of the whole body
}

// ask sends a request and reads the answer. fields are header lines that end in CRLF; body nil sends none.
// keep false counts the body only.
func (w *wire) ask(ctx context.Context, method, path, fields string, body net.Buffers, keep bool) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	if w.conn == nil {
		if err := w.dial(ctx); err != nil {
			return answer{}, err
		}
	}
	a, err := w.exchange(ctx, method, path, fields, body, keep)
	if err != nil {
		w.close()
		return a, fmt.Errorf("%s %s: %w", method, cutQuery(path), err)
	}
	return a, nil
}

func (w *wire) exchange(ctx context.Context, method, path, fields string, body net.Buffers, keep bool) (answer, error) {
	if err := w.conn.SetDeadline(time.Now().Add(opTimeout)); err != nil {
		return answer{}, err
	}
	conn := w.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	size := 0
	for _, b := range body {
		size += len(b)
	}
	head := method + " " + path + " HTTP/1.1\r\nHost: " + w.addr + "\r\n" + fields
	if method != http.MethodGet {
		head += "Content-Length: " + strconv.Itoa(size) + "\r\n"
	}
	out := append(net.Buffers{[]byte(head + "\r\n")}, body...)
	if _, err := out.WriteTo(w.conn); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	for {
		n, err := resp.Body.Read(w.room)
		a.size += int64(n)
		if keep && len(a.kept) < maxKept {
			a.kept = append(a.kept, w.room[:n]...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return a, err
		}
	}
	if resp.Close {
		w.close()
	}
	return a, nil
}

// begin sends a GET, reads as far as the first byte of the body, and hangs up.
func (w *wire) begin(ctx context.Context, path, fields string) (status int, err error) {
	if w.conn == nil {
		if err := w.dial(ctx); err != nil {
			return 0, err
		}
	}
	defer w.close()
	if err := w.conn.SetDeadline(time.Now().Add(opTimeout)); err != nil {
		return 0, err
	}
	conn := w.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(w.conn, "GET "+path+" HTTP/1.1\r\nHost: "+w.addr+"\r\n"+fields+"\r\n"); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(w.r, nil)
	if err == nil {
		_, err = io.ReadFull(resp.Body, w.room[:1])
	}
	if err != nil {
		return 0, fmt.Errorf("GET %s: %w", cutQuery(path), err)
	}
	return resp.StatusCode, nil
}

// expect fails when the status is none of those wanted.
func (a answer) expect(statuses ...int) error {
	for _, s := range statuses {
		if a.status == s {
			return nil
		}
	}
	return fmt.Errorf("answered %d: %s", a.status, brief(a.kept))
}

// brief returns the start of an answer, for an error message.
func brief(b []byte) string {
	return string(bytes.Join(bytes.Fields(b[:min(len(b), 200)]), []byte(" ")))
}

func cutQuery(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}
