package kafkalog

import (
	"fmt"
	"testing"

	"github.com/segmentio/kafka-go"
)

// The vectors of Kafka's own test (UtilsTest.testMurmur2).
func TestMurmur2IsJavas(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("%s: %d, want %d", key, got, want)
		}
	}
}

func TestPartitionOf(t *testing.T) {
	numbers := make([]int, 12)
	for i := range numbers {
		numbers[i] = i
	}
	used := map[int32]bool{}
	for n := range 2000 {
		key := fmt.Sprint("1.2.840.", n*7919)
		want := kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: []byte(key)}, numbers...)
		got := partitionOf(key, len(numbers))
		if int(got) != want {
			t.Fatalf("%s: %d, want %d", key, got, want)
		}
		used[got] = true
	}
	if len(used) != len(numbers) {
		t.Errorf("%d partitions used", len(used))
	}
}

// An event is durable only when all in-sync replicas have it. kafka-go's zero value asks for no answer.
func TestAcknowledgedByAll(t *testing.T) {
	if requiredAcks != kafka.RequireAll {
		t.Fatalf("required acks are %v", requiredAcks)
	}
}
