// Package kafkalog is the event log in Kafka, shared by any number of nodes.
//
// Topics are PREFIX.instances, PREFIX.studies and PREFIX.deadletter; records are CloudEvents in binary mode,
// keyed by Envelope.Key and partitioned as Java's default partitioner does (murmur2), so that clients in
// any language agree where a study lies. An append is acknowledged by all in-sync replicas. Callers that
// wait for one partition share a produce request; one that is alone goes out at once (produce.go).
//
// While Kafka is away a breaker opens (breaker.go), and events go to the node's own log, the Spool, from
// where a drainer moves them to Kafka in order (spool.go). Events of a topic go behind what the spool has
// of it, so the order of a key holds. Kafka-go cannot produce idempotently: after a lost answer, or a crash
// of a node that drains, records come twice, with the same ce_id.
//
// Consumers are members of Kafka's groups (consumer.go). Who keeps positions with its effects begins at its
// own (SubscribeAt), and is asked again for each partition that comes to it.
//
// docs/decisions/0008-kafka.md tells why it is so.
package kafkalog
