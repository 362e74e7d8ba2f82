package ingest

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// largeFile has a header of 8 MiB.
func largeFile(sop string) []byte {
	b := file(sop, "A")
	for i := range 256 {
		b = append(b, element(0x7FDF, uint16(0x1000+i), "ST", string(bytes.Repeat([]byte("x"), 32<<10)))...)
	}
	return b
}

// TestLargeObjectsShareMemory holds up so many large objects in mid-transfer that the budget is taken:
// another one is told to come again, small ones pass, and the ones that were held up are kept.
func TestLargeObjectsShareMemory(t *testing.T) {
	event.Attach(make([]byte, 4<<10)) // makes the compressor's channels outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		const atOnce = largeBytes/(8<<20) - 1 + overdrafts
		w := newWorld()
		in := New(Config{}, w, w, w)
		admit := func(body io.Reader) error {
			_, err := in.Admit(t.Context(), Arrival{Body: body})
			return err
		}
		more, done := make(chan struct{}), make(chan error, atOnce)
		for i := range atOnce {
			b := largeFile(fmt.Sprintf("1.2.3.%d", i+1))
			first, last := bytes.NewReader(b[:len(b)-100]), bytes.NewReader(b[len(b)-100:])
			go func() { done <- admit(io.MultiReader(first, waiting{more}, last)) }()
			synctest.Wait() // each has all it needs before the next comes: in step, they would share it out
		}
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
		for range atOnce {
			if err := <-done; err != nil {
				t.Errorf("an object that was held up: %v", err)
			}
		}
		if err := admit(bytes.NewReader(largeFile("1.2.3.9"))); err != nil {
			t.Errorf("the object that came again: %v", err)
		}
	})
}

// TestLargeObjectsDoNotStarveEachOther sends more than the budget takes, all in step.
func TestLargeObjectsDoNotStarveEachOther(t *testing.T) {
	event.Attach(make([]byte, 4<<10)) // makes the compressor's channels outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		in := New(Config{}, w, w, w)
		done := make(chan error)
		const senders = 12
		for i := range senders {
			b := largeFile(fmt.Sprintf("1.2.3.%d", i+1))
			go func() {
				_, err := in.Admit(t.Context(), Arrival{Body: pacing{bytes.NewReader(b)}})
				done <- err
			}()
		}
		for range senders {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// pacing lets the others go on after each read.
type pacing struct{ src io.Reader }

func (p pacing) Read(b []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return p.src.Read(b[:min(len(b), 64<<10)])
}

// waiting yields nothing until its channel is closed.
type waiting struct{ until chan struct{} }

func (w waiting) Read([]byte) (int, error) {
	<-w.until
	return 0, io.EOF
}
