package kafkalog

import (
	"reflect"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// The end of a transaction has an offset and is no record: a reader goes on behind it.
func TestControlBatchesArePassed(t *testing.T) {
	c := chunk{next: 7}
	if err := c.add(&protocol.ControlBatch{BaseOffset: 9}, event.TopicInstances, 0, 7); err != nil || c.next != 10 || len(c.records) != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	batch := protocol.NewRecordReader(
		kafka.Record{Offset: 9, Value: kafka.NewBytes([]byte("old"))},
		kafka.Record{Offset: 10, Value: kafka.NewBytes([]byte("a"))},
		kafka.Record{Offset: 14, Value: kafka.NewBytes([]byte("b"))}, // a gap
	)
	if err := c.add(batch, event.TopicInstances, 0, 10); err != nil || c.next != 15 || len(c.records) != 2 || c.records[0].Offset != 10 {
		t.Fatalf("%+v, %v", c, err)
	}
}

// Whatever headers a record has, its reader gets an event with an id and a type, in its place; ours come
// back as they went.
func FuzzDecode(f *testing.F) {
	f.Add("ce_specversion", []byte("1.0"), "ce_id", []byte("01J"), "ce_type", []byte("t"), []byte("{}"))
	f.Add("ce_time", []byte("noon"), "ce_time", []byte("2024-02-29T12:00:00Z"), "", []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, k2 string, v2 []byte, k3 string, v3, value []byte) {
		pos := eventlog.Position{Topic: event.TopicInstances, Partition: 3, Offset: 4}
		headers := []kafka.Header{{Key: k1, Value: v1}, {Key: k2, Value: v2}, {Key: k3, Value: v3}}
		for _, ours := range [][]kafka.Header{nil, newRecord(&event.Envelope{ID: "i", Type: "t", Source: "s"}).headers} {
			e := decode(pos, []byte(k1), value, append(ours, headers...))
			if e.ID == "" || e.Type == "" || e.Source == "" || e.Topic != pos.Topic || e.Data == nil {
				t.Fatalf("%+v", e)
			}
		}
		e := event.Envelope{
			ID: "i" + k1, Type: "t", Source: "s" + k2, Subject: k3, Topic: pos.Topic, Key: k2,
			Time: time.Date(2024, 2, 29, 12, 0, 0, len(value), time.UTC), Data: append([]byte{}, value...),
		}
		r := newRecord(&e)
		if back := decode(pos, r.key, r.value, r.headers); !reflect.DeepEqual(back, e) {
			t.Fatalf("%+v became %+v", e, back)
		}
	})
}
