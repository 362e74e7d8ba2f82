package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// ErrTopic is returned by Open for a topic that would lose events, or that is missing and may not be made.
var ErrTopic = errors.New("topic cannot be used")

// logTopics are the topics of a log, without prefix.
var logTopics = []string{event.TopicInstances, event.TopicStudies, event.TopicDeadLetter}

// batchOverhead is what Kafka's record batch adds around records, bytes, and some.
const batchOverhead = 1 << 10

func (c *config) topic(name string) string { return c.prefix + "." + name }

func (c *config) topics() []string {
	all := make([]string, len(logTopics))
	for i, name := range logTopics {
		all[i] = c.topic(name)
	}
	return all
}

// topicState is what is known of a topic. Before the brokers were reached, it is nothing.
type topicState struct {
	partitions int
	maxBatch   int // bytes of a record batch
}

// prepareTopics makes the topics that are missing, and checks those that are there.
func (l *Log) prepareTopics(ctx context.Context) (map[string]topicState, error) {
	client := l.cluster.kafka()
	missing, err := l.missingTopics(ctx, client)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		if !l.cfg.create {
			return nil, fmt.Errorf("%w: %s: missing, and create=false", ErrTopic, strings.Join(missing, ", "))
		}
		if err := l.createTopics(ctx, client, missing); err != nil {
			return nil, err
		}
		// What was made is not in the metadata yet; the caller's next try sees it.
		l.cluster.renew(client, 0)
		if client = l.cluster.kafka(); client == nil {
			return nil, errUnavailable
		}
	}
	known, err := l.partitionCounts(ctx, client)
	if err != nil {
		return nil, err
	}
	return known, l.checkTopics(ctx, client, known)
}

func (l *Log) missingTopics(ctx context.Context, client *kafka.Client) ([]string, error) {
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: l.cfg.topics()})
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, t := range meta.Topics {
		switch {
		case errors.Is(t.Error, kafka.UnknownTopicOrPartition):
			missing = append(missing, t.Name)
		case t.Error != nil:
			return nil, fmt.Errorf("topic %s: %w", t.Name, t.Error)
		}
	}
	return missing, nil
}

func (l *Log) createTopics(ctx context.Context, client *kafka.Client, names []string) error {
	req := &kafka.CreateTopicsRequest{}
	for _, name := range names {
		req.Topics = append(req.Topics, kafka.TopicConfig{
			Topic: name, NumPartitions: l.cfg.partitions, ReplicationFactor: l.cfg.replication,
			ConfigEntries: []kafka.ConfigEntry{
				{ConfigName: "cleanup.policy", ConfigValue: "delete"},
				{ConfigName: "retention.ms", ConfigValue: "-1"},
				{ConfigName: "retention.bytes", ConfigValue: "-1"},
				{ConfigName: "min.insync.replicas", ConfigValue: strconv.Itoa(l.cfg.minInsync)},
				{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(2 * l.cfg.maxRecord)},
				// Brokers refuse records of a node whose clock is wrong, unless the time is theirs.
				{ConfigName: "message.timestamp.type", ConfigValue: "LogAppendTime"},
			},
		})
	}
	made, err := client.CreateTopics(ctx, req)
	if err != nil {
		return err
	}
	for _, name := range names {
		switch err := made.Errors[name]; {
		case err == nil:
			l.logger.Info("made a topic", slog.String("topic", name), slog.Int("partitions", l.cfg.partitions),
				slog.Int("replication", l.cfg.replication))
		case errors.Is(err, kafka.TopicAlreadyExists): // another node was quicker
		case errors.Is(err, kafka.InvalidReplicationFactor):
			return fmt.Errorf("%w: %s cannot be made with replication=%d, probably there are fewer brokers: %w", ErrTopic, name, l.cfg.replication, err)
		case errors.Is(err, kafka.TopicAuthorizationFailed), errors.Is(err, kafka.ClusterAuthorizationFailed),
			errors.Is(err, kafka.InvalidConfiguration), errors.Is(err, kafka.PolicyViolation):
			return fmt.Errorf("%w: %s cannot be made: %w", ErrTopic, name, err)
		default:
			return fmt.Errorf("make topic %s: %w", name, err)
		}
	}
	return nil
}

// partitionCounts asks how many partitions the topics have; an error when one has none that is led.
func (l *Log) partitionCounts(ctx context.Context, client *kafka.Client) (map[string]topicState, error) {
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: l.cfg.topics()})
	if err != nil {
		return nil, err
	}
	known := map[string]topicState{}
	for _, t := range meta.Topics {
		if t.Error != nil {
			return nil, fmt.Errorf("topic %s: %w", t.Name, t.Error)
		}
		if len(t.Partitions) == 0 {
			return nil, fmt.Errorf("topic %s: no partition is known yet", t.Name)
		}
		known[t.Name] = topicState{partitions: len(t.Partitions), maxBatch: 2 * l.cfg.maxRecord}
	}
	return known, nil
}

// checkTopics refuses settings that lose events, and tells of those that may.
func (l *Log) checkTopics(ctx context.Context, client *kafka.Client, known map[string]topicState) error {
	req := &kafka.DescribeConfigsRequest{}
	for _, name := range l.cfg.topics() {
		req.Resources = append(req.Resources, kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: name})
	}
	got, err := client.DescribeConfigs(ctx, req)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range got.Resources {
		if r.Error != nil {
			if errors.Is(r.Error, kafka.TopicAuthorizationFailed) || errors.Is(r.Error, kafka.ClusterAuthorizationFailed) {
				l.logger.Warn("the settings of a topic may not be read: see that it keeps records for ever",
					slog.String("topic", r.ResourceName), slog.String("error", r.Error.Error()))
				continue
			}
			return fmt.Errorf("settings of topic %s: %w", r.ResourceName, r.Error)
		}
		values := map[string]string{}
		for _, e := range r.ConfigEntries {
			values[e.ConfigName] = e.ConfigValue
		}
		state := known[r.ResourceName]
		for _, f := range l.findings(values) {
			if !f.refuse {
				l.logger.Warn("a topic's settings are risky", slog.String("topic", r.ResourceName), slog.String("why", f.why))
				continue
			}
			errs = append(errs, fmt.Errorf("%w: %s: %s; to mend it: kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s",
				ErrTopic, r.ResourceName, f.why, r.ResourceName, f.mend))
		}
		if n, err := strconv.Atoi(values["max.message.bytes"]); err == nil {
			state.maxBatch = min(state.maxBatch, n)
		}
		known[r.ResourceName] = state
	}
	return errors.Join(errs...)
}

// finding is something wrong with a topic.
type finding struct {
	refuse    bool
	why, mend string
}

func (l *Log) findings(values map[string]string) (all []finding) {
	for _, limit := range []string{"retention.ms", "retention.bytes"} {
		if v := values[limit]; v != "" && v != "-1" {
			all = append(all, finding{
				!l.cfg.bounded, fmt.Sprintf("%s=%s forgets events (retention=bounded takes it, where blobs are kept longer)", limit, v), limit + "=-1",
			})
		}
	}
	if policy := strings.Split(values["cleanup.policy"], ","); slices.Contains(policy, "compact") {
		all = append(all, finding{true, "cleanup.policy=compact keeps one event of each study", "cleanup.policy=delete"})
	}
	if n, err := strconv.Atoi(values["max.message.bytes"]); err == nil && n < l.cfg.maxRecord+batchOverhead {
		all = append(all, finding{
			true, fmt.Sprintf("max.message.bytes=%d refuses events of %d bytes (max-record)", n, l.cfg.maxRecord),
			"max.message.bytes=" + strconv.Itoa(2*l.cfg.maxRecord),
		})
	}
	if values["unclean.leader.election.enable"] == "true" {
		all = append(all, finding{why: "unclean.leader.election.enable=true may lose acknowledged events"})
	}
	if n, err := strconv.Atoi(values["min.insync.replicas"]); err == nil && n < l.cfg.minInsync {
		all = append(all, finding{why: fmt.Sprintf("min.insync.replicas=%d: %d are wished for", n, l.cfg.minInsync)})
	}
	return all
}
