package kafkalog

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	produceAPI "github.com/segmentio/kafka-go/protocol/produce"
)

// recorder is a way to brokers that keeps what was asked.
type recorder struct{ asked []kafka.Request }

func (r *recorder) RoundTrip(_ context.Context, _ net.Addr, req kafka.Request) (kafka.Response, error) {
	r.asked = append(r.asked, req)
	return &produceAPI.Response{Topics: []produceAPI.ResponseTopic{{
		Topic: "t", Partitions: []produceAPI.ResponsePartition{{BaseOffset: 41}},
	}}}, nil
}

// What goes over the wire asks all in-sync replicas, and gives them time.
func TestProduceRequest(t *testing.T) {
	r := &recorder{}
	client := &kafka.Client{Addr: kafka.TCP("localhost:1"), Timeout: 3 * time.Second, Transport: r}
	base, err := produceOnce(t.Context(), client, laneKey{"t", 0}, []record{{key: []byte{}, value: []byte{}}})
	if err != nil || base != 41 || len(r.asked) != 1 {
		t.Fatalf("%d, %v after %d requests", base, err, len(r.asked))
	}
	req := r.asked[0].(*produceAPI.Request)
	if req.Acks != -1 || req.Timeout != 1500 {
		t.Fatalf("acks %d, timeout %d ms", req.Acks, req.Timeout)
	}
	records := req.Topics[0].Partitions[0].RecordSet.Records
	one, err := records.ReadRecord()
	if err != nil || one.Key == nil || one.Value == nil {
		t.Fatalf("an empty key or value became none: %+v, %v", one, err)
	}
}

// fit cuts what one request cannot hold, and never gives nothing.
func TestFit(t *testing.T) {
	l := &Log{}
	known := map[string]topicState{"t": {partitions: 1, maxBatch: 3 << 20}}
	l.topics.Store(&known)
	big := record{value: make([]byte, 2<<20)}
	if n := l.fit(laneKey{"t", 0}, []record{big, big, big}); n != 1 {
		t.Errorf("%d records of 2 MiB in 3 MiB", n)
	}
	if n := l.fit(laneKey{"t", 0}, make([]record, 3*maxBatchRecords)); n != maxBatchRecords {
		t.Errorf("%d small records", n)
	}
	if n := l.fit(laneKey{"t", 0}, []record{{value: make([]byte, 9<<20)}}); n != 1 {
		t.Errorf("%d records of one", n)
	}
}
