package device

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// tusNode is a node with one upload. Each PATCH or HEAD takes the next fault: "" for none.
type tusNode struct {
	mu      sync.Mutex
	created int
	got     []byte
	size    int
	patch   []string
	head    []string
}

func (n *tusNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := func(faults *[]string) (fault string) {
		if len(*faults) > 0 {
			fault, *faults = (*faults)[0], (*faults)[1:]
		}
		return fault
	}
	switch r.Method {
	case http.MethodPost:
		n.created++
		n.got = nil
		n.size, _ = strconv.Atoi(r.Header.Get("Upload-Length"))
		w.Header().Set("Location", fmt.Sprint("/upload/tus/", n.created))
		w.WriteHeader(http.StatusCreated)
	case http.MethodHead:
		if fault := next(&n.head); fault != "" {
			status, _ := strconv.Atoi(fault)
			w.WriteHeader(status)
			return
		}
		w.Header().Set("Upload-Offset", strconv.Itoa(len(n.got)))
	case http.MethodPatch:
		if r.Header.Get("Upload-Offset") != strconv.Itoa(len(n.got)) {
			w.WriteHeader(http.StatusConflict)
			return
		}
		switch fault := next(&n.patch); fault {
		case "":
			some, _ := io.ReadAll(r.Body)
			n.got = append(n.got, some...)
			w.Header().Set("Tributary-Status", Stored)
			w.Header().Set("Tributary-Receipt-Id", "01R")
			w.WriteHeader(http.StatusNoContent)
		case "answer lost":
			some, _ := io.ReadAll(r.Body)
			n.got = append(n.got, some...)
			panic(http.ErrAbortHandler)
		default: // takes half of the rest and answers so
			half := make([]byte, (n.size-len(n.got))/2)
			_, _ = io.ReadFull(r.Body, half)
			n.got = append(n.got, half...)
			status, _ := strconv.Atoi(fault)
			w.WriteHeader(status)
		}
	case http.MethodGet:
		if len(n.got) < n.size {
			w.WriteHeader(http.StatusAccepted)
			_, _ = fmt.Fprintf(w, `{"status":"receiving","offset":%d}`, len(n.got))
			return
		}
		_, _ = io.WriteString(w, `{"id":"01R","status":"stored"}`)
	}
}

func TestTusGoesOn(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789"), 1000)
	for name, c := range map[string]struct {
		patch, head []string
		sends       int // until the object is kept
		created     int
	}{
		"at once":                         {sends: 1, created: 1},
		"cut for being slow":              {patch: []string{"500", "500"}, sends: 1, created: 1},
		"held by an earlier request":      {patch: []string{"423"}, sends: 1, created: 1},
		"the answer got lost":             {patch: []string{"answer lost"}, sends: 1, created: 1},
		"busy while asked for the offset": {patch: []string{"503"}, head: []string{"503", "503"}, sends: 1, created: 1},
		"away for long":                   {patch: []string{"503"}, head: []string{"503", "503", "503", "503", "503", "503", "503", "503", "503"}, sends: 2, created: 1},
		"forgotten":                       {patch: []string{"503"}, head: []string{"404"}, sends: 2, created: 2},
	} {
		t.Run(name, func(t *testing.T) {
			node := &tusNode{patch: c.patch, head: c.head}
			server := httptest.NewServer(node)
			defer server.Close()
			s := &tusSender{Target: Target{Via: ViaTus, Address: server.URL}, pause: time.Millisecond}
			o, err := Bytes("x.bin", whole)
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; ; n++ {
				out, err := s.Send(t.Context(), o)
				if n < c.sends {
					if !Temporary(err) {
						t.Fatalf("send %d: %+v, %v; want a temporary error", n, out, err)
					}
					continue
				}
				if err != nil || out.Status != Stored || out.ID != "01R" {
					t.Fatalf("send %d: %+v, %v", n, out, err)
				}
				break
			}
			if !bytes.Equal(node.got, whole) || node.created != c.created {
				t.Errorf("the node has %d of %d bytes in upload %d, want %d", len(node.got), len(whole), node.created, c.created)
			}
		})
	}
}
