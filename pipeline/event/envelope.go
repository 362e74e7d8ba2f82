package event

import "time"

// Types of records. Readers skip types that they don't know, loudly.
const (
	TypeInstanceStored      = "org.tributary.instance.stored.v1"
	TypeInstanceConflict    = "org.tributary.instance.conflict.v1"
	TypeInstanceQuarantined = "org.tributary.instance.quarantined.v1"
	TypeQuarantineResolved  = "org.tributary.quarantine.resolved.v1"
	TypeConflictResolved    = "org.tributary.conflict.resolved.v1"
)

// Topics, without the configured prefix.
const (
	TopicInstances  = "instances"  // key: Study Instance UID
	TopicStudies    = "studies"    // key: Study Instance UID
	TopicDeadLetter = "deadletter" // key of the record that failed
)

// Envelope is one record as the log carries it: the CloudEvents 1.0 attributes and the JSON body.
type Envelope struct {
	ID      string    // ce_id, a ULID: unique per record, ordered within a node
	Type    string    // ce_type, one of the Type… constants
	Source  string    // ce_source, the node, e.g. "/tributary/county-1"
	Subject string    // ce_subject, "study/series/instance" UIDs, or the blob key where there are none
	Time    time.Time // ce_time, when admission made the record
	Topic   string    // one of the Topic… constants
	Key     string    // partition key: order is kept per key
	Data    []byte    // JSON of one of the types in this package
}
