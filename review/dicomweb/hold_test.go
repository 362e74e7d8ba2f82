package dicomweb

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/semaphore"
)

// TestHoldIsBounded: who waits for memory that slow clients have is told to come again, and keeps nothing.
func TestHoldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{held: semaphore.NewWeighted(heldMemory)}
		free, err := s.hold(t.Context(), heldMemory)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.hold(t.Context(), heldSmall+1)
		var f *failure
		if !errors.As(err, &f) || f.status != http.StatusServiceUnavailable {
			t.Errorf("behind others: %v", err)
		}
		free()
		if free, err = s.hold(t.Context(), heldMemory); err != nil {
			t.Fatal(err)
		}
		free()
	})
}
