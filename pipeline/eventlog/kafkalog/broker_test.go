package kafkalog_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
)

// Brokers that want a password and speak TLS: appends and groups get through; a wrong password and an
// unknown certificate do not, and no error tells a secret.
func TestSASLAndTLS(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			k := testengine.StartKafka(t, testengine.KafkaSASL(mechanism, "tributary", "s3cret,=ü"), testengine.KafkaTLS())
			params := []string{"tls=true", "sasl=" + strings.ToLower(mechanism), "ca=" + k.CAFile()}
			as := func(password string) kafkalog.Options {
				return kafkalog.Options{Getenv: func(name string) string {
					return map[string]string{"TRIBUTARY_KAFKA_USER": "tributary", "TRIBUTARY_KAFKA_PASSWORD": password}[name]
				}}
			}
			l := open(t, at(k, newPrefix(), params...), as("s3cret,=ü"))
			e := keyed("1", 1)
			appendAll(t, l, e)
			if got := fetchIDs(t, subscribe(t, l, "g"), 1); got[0] != e.ID {
				t.Fatal(got)
			}
			for what, bad := range map[string]func() (*kafkalog.Log, error){
				"a wrong password": func() (*kafkalog.Log, error) {
					return kafkalog.Open(t.Context(), at(k, newPrefix(), append(params, "timeout=500ms")...), as("wr0ng"))
				},
				"an unknown certificate": func() (*kafkalog.Log, error) {
					return kafkalog.Open(t.Context(), at(k, newPrefix(), params[0], params[1], "timeout=500ms"), as("s3cret,=ü"))
				},
			} {
				if _, err := bad(); err == nil {
					t.Errorf("opened with %s", what)
				} else if what == "a wrong password" && !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s: the error tells too little or too much: %v", what, err)
				}
			}
		})
	}
}

func admin(t *testing.T, k *testengine.Kafka) *kafka.Client {
	t.Helper()
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(k.Brokers()...), Transport: transport}
}

// Topics are made so that they keep what they get; those that would not are refused, with how to mend it.
func TestTopics(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t, testengine.KafkaBrokers(3))
	client := admin(t, k)
	prefix := newPrefix()
	open(t, at(k, prefix, "partitions=5", "replication=3"), kafkalog.Options{})
	got, err := client.DescribeConfigs(within(t), &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: prefix + ".instances"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, e := range got.Resources[0].ConfigEntries {
		values[e.ConfigName] = e.ConfigValue
	}
	for name, want := range map[string]string{
		"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete", "min.insync.replicas": "2",
		"max.message.bytes": "8388608", "message.timestamp.type": "LogAppendTime",
	} {
		if values[name] != want {
			t.Errorf("%s = %q, want %q", name, values[name], want)
		}
	}
	meta, err := client.Metadata(within(t), &kafka.MetadataRequest{Topics: []string{prefix + ".instances", prefix + ".studies", prefix + ".deadletter"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range meta.Topics {
		if topic.Error != nil || len(topic.Partitions) != 5 || len(topic.Partitions[0].Replicas) != 3 {
			t.Errorf("%s: %v, %d partitions", topic.Name, topic.Error, len(topic.Partitions))
		}
	}
	for why, test := range map[string]struct {
		config, value string
		params        []string
		mend          string // "" when it is taken
	}{
		"retention":          {"retention.ms", "604800000", nil, "retention.ms=-1"},
		"bytes":              {"retention.bytes", "1000000", nil, "retention.bytes=-1"},
		"retention, allowed": {"retention.ms", "604800000", []string{"retention=bounded"}, ""},
		"compaction":         {"cleanup.policy", "compact", []string{"retention=bounded"}, "cleanup.policy=delete"},
		"small messages":     {"max.message.bytes", "1000000", []string{"retention=bounded"}, "max.message.bytes=8388608"},
	} {
		prefix := newPrefix()
		good := map[string]string{"retention.ms": "-1", "max.message.bytes": "8388608"}
		good[test.config] = test.value
		var entries []kafka.ConfigEntry
		for name, value := range good {
			entries = append(entries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
		}
		made, err := client.CreateTopics(within(t), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
			Topic: prefix + ".instances", NumPartitions: 1, ReplicationFactor: 1,
			ConfigEntries: entries,
		}}})
		if err != nil || made.Errors[prefix+".instances"] != nil {
			t.Fatal(err, made)
		}
		l, err := kafkalog.Open(t.Context(), at(k, prefix, test.params...), kafkalog.Options{})
		if err == nil {
			_ = l.Close()
		}
		if test.mend == "" && err != nil || test.mend != "" && (!errors.Is(err, kafkalog.ErrTopic) || !strings.Contains(err.Error(), test.mend)) {
			t.Errorf("%s: %v, want %q", why, err, test.mend)
		}
	}
	if _, err := kafkalog.Open(t.Context(), at(k, newPrefix(), "create=false"), kafkalog.Options{}); !errors.Is(err, kafkalog.ErrTopic) {
		t.Errorf("missing topics: %v", err)
	}
	if _, err := kafkalog.Open(t.Context(), at(k, newPrefix(), "replication=5"), kafkalog.Options{}); !errors.Is(err, kafkalog.ErrTopic) || !strings.Contains(err.Error(), "fewer brokers") {
		t.Errorf("too many replicas: %v", err)
	}
}

// A topic that cannot be used, and was not seen at the start: events stay in the spool, and State says why.
func TestBadTopicSeenLater(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	prefix := newPrefix()
	if _, err := admin(t, k).CreateTopics(within(t), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: prefix + ".instances", NumPartitions: 1, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "cleanup.policy", ConfigValue: "compact"}},
	}}}); err != nil {
		t.Fatal(err)
	}
	k.Stop()
	var told lockedBuffer
	l := open(t, at(k, prefix, "timeout=500ms"), kafkalog.Options{Spool: newSpool(t), Logger: slog.New(slog.NewTextHandler(&told, nil))})
	appendAll(t, l, keyed("1", 1))
	k.Start()
	until(t, "the topic is refused", func() bool {
		health, why := l.State()
		return health == kafkalog.Degraded && errors.Is(why, kafkalog.ErrTopic)
	})
	if p := appendAll(t, l, keyed("1", 2)); p[0].Partition != kafkalog.Spooled || l.Stats().SpoolRecords != 2 {
		t.Fatalf("position %v", p)
	}
	if !strings.Contains(told.String(), "cleanup.policy=delete") {
		t.Errorf("the log does not say what to do:\n%s", told.String())
	}
}

// Events up to max-record come through, alone and many together; larger ones are refused before anything is
// sent, and with a spool too.
func TestLargeEvents(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	l := open(t, at(k, newPrefix(), "partitions=1", "timeout=10s"), kafkalog.Options{})
	large := keyed("1", 1)
	large.Data = bytes.Repeat([]byte("0123456789abcdef"), (4<<20-1000)/16)
	events := []event.Envelope{keyed("1", 0), large, large, large, keyed("1", 2)}
	for i := range events {
		events[i].ID = event.NewID()
	}
	positions := appendAll(t, l, events...)
	for i, p := range positions {
		if i > 0 && p.Offset <= positions[i-1].Offset {
			t.Fatalf("positions %v", positions)
		}
	}
	c := subscribe(t, l, "g")
	var records []eventlog.Record
	for len(records) < len(events) {
		some, err := c.Fetch(within(t), 10)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, some...)
	}
	for i, r := range records {
		if r.Event.ID != events[i].ID || !bytes.Equal(r.Event.Data, events[i].Data) || r.Position != positions[i] {
			t.Fatalf("event %d came back otherwise, at %v", i, r.Position)
		}
	}
	large.Data = make([]byte, 4<<20+1)
	spooled := open(t, at(k, newPrefix()), kafkalog.Options{Spool: newSpool(t)})
	for _, log := range []*kafkalog.Log{l, spooled} {
		if _, err := log.Append(within(t), keyed("1", 3), large); !errors.Is(err, kafkalog.ErrTooLarge) {
			t.Errorf("append = %v", err)
		}
		if _, err := log.Append(within(t), event.Envelope{ID: "1", Topic: "others"}); err == nil {
			t.Error("an unknown topic was taken")
		}
	}
}

// Every offset of every partition is one event: appends of several keys at once and one by one.
func TestKeysSpread(t *testing.T) {
	t.Parallel()
	k := testengine.StartKafka(t)
	l := open(t, at(k, newPrefix(), "partitions=8"), kafkalog.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var events []event.Envelope
	for n := range 500 {
		events = append(events, keyed(string(rune('a'+n%26))+"-key", n))
	}
	positions, err := l.AppendBacked(ctx, events...)
	if err != nil {
		t.Fatal(err)
	}
	of, taken := map[string]int32{}, map[eventlog.Position]bool{}
	last := map[string]int64{}
	for i, p := range positions {
		key := events[i].Key
		if at, ok := of[key]; ok && at != p.Partition || taken[p] {
			t.Fatalf("key %s at %v", key, p)
		}
		if before, ok := last[key]; ok && p.Offset <= before {
			t.Fatalf("key %s goes from %d to %d", key, before, p.Offset)
		}
		of[key], taken[p], last[key] = p.Partition, true, p.Offset
	}
}
