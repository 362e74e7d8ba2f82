package ingest

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// largeFile has a header of 1 MiB.
func largeFile(sop string) []byte {
	b := file(sop, "A")
	for i := range 1024 {
		b = append(b, element(0x7FDF, uint16(0x1000+i), "ST", string(bytes.Repeat([]byte("x"), 1024)))...)
	}
	return b
}

// TestLargeObjectsTakeTurns holds up largeAtOnce large objects in mid-transfer: another large one is told
// to come again, small ones pass, and the ones that were held up are kept.
func TestLargeObjectsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		in := New(Config{}, w, w, w)
		admit := func(body io.Reader) error {
			_, err := in.Admit(t.Context(), Arrival{Body: body})
			return err
		}
		more, done := make(chan struct{}), make(chan error, largeAtOnce)
		for i := range largeAtOnce {
			b := largeFile(fmt.Sprintf("1.2.3.%d", i+1))
			first, last := bytes.NewReader(b[:len(b)-100]), bytes.NewReader(b[len(b)-100:])
			go func() { done <- admit(io.MultiReader(first, waiting{more}, last)) }()
		}
		synctest.Wait()
		begin := time.Now()
		if err := admit(bytes.NewReader(largeFile("1.2.3.9"))); reject.CodeOf(err) != reject.OutOfResources {
			t.Errorf("one large object too many: %v", err)
		}
		if waited := time.Since(begin); waited != largeWait {
			t.Errorf("it waited %v, want %v", waited, largeWait)
		}
		if err := admit(bytes.NewReader(file("1.2.4", "B"))); err != nil {
			t.Errorf("a small object: %v", err)
		}
		close(more)
		for range largeAtOnce {
			if err := <-done; err != nil {
				t.Errorf("an object that was held up: %v", err)
			}
		}
		if err := admit(bytes.NewReader(largeFile("1.2.3.9"))); err != nil {
			t.Errorf("the object that came again: %v", err)
		}
	})
}

// waiting yields nothing until its channel is closed.
type waiting struct{ until chan struct{} }

func (w waiting) Read([]byte) (int, error) {
	<-w.until
	return 0, io.EOF
}
