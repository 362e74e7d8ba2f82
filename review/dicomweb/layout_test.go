package dicomweb

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// TestLargeLayouts reads frames of instances with very large tables side by side: few are decoded at a
// time, one is kept once however many use it, too many different ones are refused, and nothing stays.
func TestLargeLayouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayouts()
		hold, decoding := make(chan struct{}), make(chan struct{}, 100)
		decode := func() (*layout, error) {
			decoding <- struct{}{}
			<-hold
			return &layout{frames: part10.FrameTable{Fragments: make([]part10.Range, layoutBudget)}}, nil
		}
		var users []func()
		const readers = 16
		got := make(chan func(), readers)
		for range readers {
			go func() {
				_, done, err := l.load(t.Context(), "same", decode)
				if err != nil {
					t.Error(err)
				}
				got <- done
			}()
		}
		synctest.Wait()
		if n := len(decoding); n != decodeAtOnce {
			t.Errorf("%d decode at a time, want %d", n, decodeAtOnce)
		}
		close(hold)
		for range readers {
			users = append(users, <-got)
		}
		if n := len(decoding); n != decodeAtOnce || len(l.inUse) != 1 {
			t.Errorf("decoded %d times, %d kept; want those that had begun, and one", n, len(l.inUse))
		}
		for i := range largeInUse - 1 {
			_, done, err := l.load(t.Context(), fmt.Sprint(i), decode)
			if err != nil {
				t.Fatal(err)
			}
			users = append(users, done)
		}
		var refused *failure
		if _, _, err := l.load(t.Context(), "too many", decode); !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable {
			t.Errorf("one too many: %v", err)
		}
		for _, done := range users {
			done()
		}
		if len(l.inUse) != 0 || len(l.turns) != 0 {
			t.Errorf("%d layouts and %d turns are left", len(l.inUse), len(l.turns))
		}
		if _, done, err := l.load(t.Context(), "later", decode); err != nil {
			t.Error(err)
		} else {
			done()
		}
	})
}
