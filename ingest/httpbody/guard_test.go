package httpbody

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// drip yields one byte after each pause.
type drip struct {
	pause time.Duration
	left  int
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(d.pause)
	d.left--
	p[0] = 'x'
	return 1, nil
}

func TestGuardRate(t *testing.T) {
	for name, tc := range map[string]struct {
		pause time.Duration
		left  int
		slow  bool
	}{
		"within grace":    {time.Second, 9, false},
		"10 bytes/second": {100 * time.Millisecond, 1000, true},
		"2 KiB/s":         {time.Second / 2048, 60_000, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := httptest.NewRequest("POST", "/", &drip{tc.pause, tc.left})
				g := NewGuard(httptest.NewRecorder(), r, Pace{}, 1<<20)
				_, err := io.Copy(io.Discard, g)
				if g.Slow() != tc.slow || (err != nil) != tc.slow {
					t.Errorf("slow %v, error %v; want slow %v", g.Slow(), err, tc.slow)
				}
			})
		})
	}
}

func TestGuardLimit(t *testing.T) {
	for n, over := range map[int]bool{0: false, 9: false, 10: false, 11: true, 1000: true} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", n)))
		g := NewGuard(httptest.NewRecorder(), r, Pace{}, 10)
		_, err := io.Copy(io.Discard, g)
		if (reject.CodeOf(err) == reject.TooLarge) != over || (err != nil) != over || (g.Err() != nil) != over {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestGuardStallAndCut(t *testing.T) {
	errs := make(chan error, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := NewGuard(w, r, Pace{Stall: 20 * time.Millisecond}, 1<<20)
		_, err := io.Copy(io.Discard, g)
		errs <- err
		w.WriteHeader(http.StatusRequestTimeout)
	}))
	defer srv.Close()
	for _, cut := range []bool{false, true} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello")
		if cut {
			c.Close()
		}
		err = <-errs
		if reject.CodeOf(err) != reject.Aborted || errors.Is(err, errSlow) == cut {
			t.Errorf("cut %v: %v", cut, err)
		}
		if !cut {
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != http.StatusRequestTimeout {
				t.Errorf("answer %v, %v", res, err)
			}
		}
	}
}
