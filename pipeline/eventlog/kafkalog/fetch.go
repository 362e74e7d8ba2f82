package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

const (
	// fetchBytes are asked for at once of a partition. A record that is larger comes alone.
	fetchBytes = 1 << 20

	// fetchWait is how long a broker waits for a record to come. One that comes is answered at once.
	fetchWait = time.Second
)

// UnreadableType is the type of what consumers see in place of a record that is no event of ours: one
// without the headers of CloudEvents, say. Its ID names its place, its Data is the record's value.
const UnreadableType = "org.tributary.record.unreadable"

// chunk is what one fetch brought of a partition.
type chunk struct {
	records []eventlog.Record
	next    int64 // where to go on
	end     int64 // offset of the next record that the partition will get
}

// fetch reads a partition from an offset, for as long as fetchWait when nothing is there.
func (l *Log) fetch(ctx context.Context, topic string, partition int32, offset int64) (c chunk, err error) {
	client := l.cluster.kafka()
	answer, err := client.Fetch(ctx, &kafka.FetchRequest{
		Topic: l.cfg.topic(topic), Partition: int(partition), Offset: offset,
		MinBytes: 1, MaxBytes: fetchBytes, MaxWait: fetchWait,
	})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		if ctx.Err() == nil {
			l.cluster.renew(client, maxRetry)
		}
		return c, err
	}
	c.next, c.end = offset, answer.HighWatermark
	batches := []protocol.RecordReader{answer.Records}
	if stream, ok := answer.Records.(*protocol.RecordStream); ok {
		batches = stream.Records
	}
	for _, b := range batches {
		if err := c.add(b, topic, partition, offset); err != nil {
			return c, err
		}
	}
	return c, nil
}

// add appends the records of a batch that lie at or behind an offset. Batches come whole, and so may begin
// before it.
func (c *chunk) add(batch protocol.RecordReader, topic string, partition int32, offset int64) error {
	if control, ok := batch.(*protocol.ControlBatch); ok { // the end of a transaction, which is no record
		c.next = max(c.next, control.BaseOffset+1)
		return nil
	}
	for {
		r, err := batch.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		key, value, err := contents(r)
		if err != nil {
			return err
		}
		if r.Offset < offset {
			continue
		}
		pos := eventlog.Position{Topic: topic, Partition: partition, Offset: r.Offset}
		c.records = append(c.records, eventlog.Record{Position: pos, Event: decode(pos, key, value, r.Headers)})
		c.next = max(c.next, r.Offset+1)
	}
}

// contents copies a record's key and value out of the buffer they share with others.
func contents(r *kafka.Record) (key, value []byte, err error) {
	for _, part := range []struct {
		from kafka.Bytes
		into *[]byte
	}{{r.Key, &key}, {r.Value, &value}} {
		if part.from == nil {
			continue
		}
		*part.into, err = kafka.ReadAll(part.from)
		if cerr := part.from.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return key, value, nil
}

// decode returns the event of a record. One that cannot be read is an event too, so that its reader sees
// it and goes on.
func decode(pos eventlog.Position, key, value []byte, headers []kafka.Header) event.Envelope {
	own := make([]event.Header, len(headers))
	for i, h := range headers {
		own[i] = event.Header{Key: h.Key, Value: h.Value}
	}
	if value == nil {
		value = []byte{}
	}
	e, err := event.FromHeaders(own, pos.Topic, string(key), value)
	if err != nil {
		return event.Envelope{
			ID:   fmt.Sprintf("%s/%d/%d", pos.Topic, pos.Partition, pos.Offset),
			Type: UnreadableType, Source: "/unknown", Topic: pos.Topic, Key: string(key), Data: value,
		}
	}
	return e
}

// bounds are the offsets of the first record of a partition, and of the next one that it will get.
type bounds struct{ first, end int64 }

// offsets asks the leaders where their partitions of a topic begin, end (kafka.FirstOffset, LastOffset), or
// have the first record of a time or later, in ms since 1970; -1 for none. All of them, or an error.
func (l *Log) offsets(ctx context.Context, topic string, at int64) (map[int32]int64, error) {
	n := l.topic(topic).partitions
	if n == 0 {
		return nil, errUnavailable
	}
	name := l.cfg.topic(topic)
	req := &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{}}
	for p := range n {
		req.Topics[name] = append(req.Topics[name], kafka.OffsetRequest{Partition: p, Timestamp: at})
	}
	answer, err := l.cluster.kafka().ListOffsets(ctx, req)
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	for _, p := range answer.Topics[name] {
		if p.Error != nil {
			return nil, fmt.Errorf("partition %d: %w", p.Partition, p.Error)
		}
		switch at {
		case kafka.FirstOffset:
			found[int32(p.Partition)] = p.FirstOffset //nolint:gosec // Kafka counts partitions in 32 bits
		case kafka.LastOffset:
			found[int32(p.Partition)] = p.LastOffset //nolint:gosec // as above
		default:
			for offset := range p.Offsets {
				found[int32(p.Partition)] = offset //nolint:gosec // as above
			}
		}
	}
	if len(found) != n {
		return nil, fmt.Errorf("%d of %d partitions answered", len(found), n)
	}
	return found, nil
}

// bounds returns where a partition begins and ends.
func (l *Log) bounds(ctx context.Context, topic string, partition int32) (b bounds, err error) {
	for _, q := range []struct {
		at   int64
		into *int64
	}{{kafka.FirstOffset, &b.first}, {kafka.LastOffset, &b.end}} {
		all, err := l.offsets(ctx, topic, q.at)
		if err != nil {
			return b, err
		}
		offset, ok := all[partition]
		if !ok {
			return b, fmt.Errorf("topic %s has no partition %d", l.cfg.topic(topic), partition)
		}
		*q.into = offset
	}
	return b, nil
}
