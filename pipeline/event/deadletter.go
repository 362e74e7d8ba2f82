package event

import "time"

// TypeDeadLettered is the type of records on TopicDeadLetter.
const TypeDeadLettered = "org.tributary.record.deadlettered.v1"

// DeadLetter is the body of a record that says which record a stage could not handle, and why, with
// the record itself, so that it can be given to the stage again, unless that is too large.
type DeadLetter struct {
	Group     string     `json:"group"` // the stage
	Topic     string     `json:"topic"` // topic, partition and offset are where the record lies
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`
	Error     string     `json:"error"` // for an operator; no patient data
	Panic     bool       `json:"panic,omitempty"`
	Tries     int        `json:"tries"`
	Version   string     `json:"version"` // release of the stage
	FailedAt  time.Time  `json:"failed_at"`
	Record    CloudEvent `json:"record"`

	// OmittedBytes is the length of the record's data when Record has none, since a letter must fit into any
	// log: they are at Topic, Partition and Offset.
	OmittedBytes int64 `json:"omitted_bytes,omitempty"`
}

// maxLetterData bounds the data of a record in its dead letter, bytes: with base64 a letter is smaller than the
// least that a log may take (1 MiB).
const maxLetterData = 512 << 10

// NewDeadLetter makes the record of a failure. It has the key of the record that failed.
func NewDeadLetter(source string, failed Envelope, d *DeadLetter) (Envelope, error) {
	body := *d
	if len(failed.Data) > maxLetterData {
		body.OmittedBytes = int64(len(failed.Data))
		failed.Data = nil
	}
	body.Record = NewCloudEvent(failed)
	data, err := Encode(&body)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{
		ID: NewID(), Type: TypeDeadLettered, Source: source, Subject: failed.ID, Time: d.FailedAt.UTC(),
		Topic: TopicDeadLetter, Key: failed.Key, Data: data,
	}, nil
}
