package event_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// A letter about a record of any size fits where logs take the least.
func TestLettersAreSmall(t *testing.T) {
	for _, n := range []int{10, 512 << 10, 512<<10 + 1, 4 << 20} {
		failed := event.Envelope{ID: "1", Type: event.TypeInstanceStored, Source: "/x", Topic: event.TopicInstances, Key: "1.2", Data: bytes.Repeat([]byte{'x'}, n)}
		letter, err := event.NewDeadLetter("/node", failed, &event.DeadLetter{
			Group: "index", Topic: event.TopicInstances, Offset: 7, Error: "broken", Tries: 5, Version: "1", FailedAt: time.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(letter.Data) > 900<<10 {
			t.Errorf("a record of %d bytes makes a letter of %d", n, len(letter.Data))
		}
		got, err := event.Decode[event.DeadLetter](letter.Data)
		if err != nil {
			t.Fatal(err)
		}
		kept, whole := got.Record.Envelope(), n <= 512<<10
		if whole != bytes.Equal(kept.Data, failed.Data) || whole != (got.OmittedBytes == 0) || !whole && got.OmittedBytes != int64(n) {
			t.Errorf("%d bytes: %d are kept, %d are said to be left out", n, len(kept.Data), got.OmittedBytes)
		}
		if kept.ID != "1" || kept.Key != "1.2" {
			t.Errorf("%+v", kept)
		}
	}
}
