package testengine_test

import (
	"context"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

func produce(ctx context.Context, client *kafka.Client, value string) error {
	r, err := client.Produce(ctx, &kafka.ProduceRequest{
		Topic: "t", RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte(value))}),
	})
	if err == nil {
		err = r.Error
	}
	return err
}

// What was acknowledged is there after SIGKILL, at the same address; a paused cluster answers nobody.
func TestKafkaKeepsItsDataAndPlace(t *testing.T) {
	k := testengine.StartKafka(t)
	transport := &kafka.Transport{MetadataTTL: 100 * time.Millisecond}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(k.Brokers()...), Timeout: 20 * time.Second, Transport: transport}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	made, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "t", NumPartitions: 1, ReplicationFactor: 1}}})
	if err != nil || made.Errors["t"] != nil {
		t.Fatal(err, made)
	}
	if err := produce(ctx, client, "one"); err != nil {
		t.Fatal(err)
	}
	k.Kill()
	k.Start()
	for err := produce(ctx, client, "two"); err != nil; err = produce(ctx, client, "two") {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	got, err := client.Fetch(ctx, &kafka.FetchRequest{Topic: "t", Offset: 0, MaxBytes: 1 << 20})
	if err != nil || got.Error != nil || got.HighWatermark != 2 {
		t.Fatalf("fetch: %+v, %v", got, err)
	}
	k.Pause()
	short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	if err := produce(short, client, "three"); err == nil {
		t.Error("a paused cluster answered")
	}
	k.Continue()
	k.Stop()
}
