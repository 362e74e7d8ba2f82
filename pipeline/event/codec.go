package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxData bounds the JSON of one record that Decode looks at, bytes. Ours stay below 1 MiB (MaxInline).
const maxData = 4 << 20

// ErrUnknownType is returned for a record of a type that this release does not know. A reader counts
// it, says so, and skips it.
var ErrUnknownType = errors.New("event type is unknown to this release")

// DecodeError is a body that cannot be read. No repetition will help, which it tells by Permanent.
type DecodeError struct{ Err error }

func (e *DecodeError) Error() string { return "decode event: " + e.Err.Error() }
func (e *DecodeError) Unwrap() error { return e.Err }

// Permanent returns true.
func (e *DecodeError) Permanent() bool { return true }

func undecodable(format string, args ...any) error { return &DecodeError{fmt.Errorf(format, args...)} }

// Body is what Envelope.Data can be.
type Body interface {
	Instance | Resolution | DeadLetter | StudySent | Study
}

// Encode returns the JSON of a body. Bytes of strings that are not UTF-8 become U+FFFD.
func Encode[B Body](body *B) ([]byte, error) {
	if in, ok := any(body).(*Instance); ok {
		return appendInstance(make([]byte, 0, sizeHint(in)), in)
	}
	return json.Marshal(body)
}

// Decode reads a body, of any release: unknown members are skipped. It never keeps data. Its errors are
// a *DecodeError.
func Decode[B Body](data []byte) (*B, error) {
	if len(data) > maxData {
		return nil, undecodable("%d bytes are over the limit", len(data))
	}
	body := new(B)
	if in, ok := any(body).(*Instance); !ok || !decodeInstance(data, in) {
		*body = *new(B)
		if err := json.Unmarshal(data, body); err != nil {
			return nil, undecodable("%w", err)
		}
	}
	if err := check(body); err != nil {
		return nil, undecodable("%w", err)
	}
	return body, nil
}

// check holds what every release wrote.
func check(body any) error {
	switch b := body.(type) {
	case *Instance:
		if b.ObjectID == "" || b.Blob.Key == "" {
			return errors.New("instance without object_id or blob.key")
		}
	case *Resolution:
		if b.ObjectID == "" || b.Action == "" {
			return errors.New("resolution without object_id or action")
		}
	case *DeadLetter:
		if b.Group == "" || b.Record.ID == "" {
			return errors.New("dead letter without group or record")
		}
	case *StudySent:
		return b.check()
	case *Study:
		return b.check()
	}
	return nil
}

// DecodeRecord reads the body of any record by its type: an *Instance, *Resolution, *DeadLetter, *StudySent or
// *Study, or ErrUnknownType.
func DecodeRecord(e Envelope) (any, error) {
	switch e.Type {
	case TypeInstanceStored, TypeInstanceConflict, TypeInstanceQuarantined:
		return Decode[Instance](e.Data)
	case TypeQuarantineResolved, TypeConflictResolved:
		return Decode[Resolution](e.Data)
	case TypeDeadLettered:
		return Decode[DeadLetter](e.Data)
	case TypeStudySent:
		return Decode[StudySent](e.Data)
	case TypeStudyUpdated, TypeStudyComplete:
		return Decode[Study](e.Data)
	}
	return nil, fmt.Errorf("%w: %.100q", ErrUnknownType, e.Type)
}

// NewInstance makes the record of an object: typ is one of TypeInstance…, source the node, at the time
// of the record.
func NewInstance(typ, source string, at time.Time, in *Instance) (Envelope, error) {
	data, err := Encode(in)
	if err != nil {
		return Envelope{}, err
	}
	subject := in.Blob.Key
	if in.IDs.StudyInstanceUID != "" {
		subject = strings.TrimRight(in.IDs.StudyInstanceUID+"/"+in.IDs.SeriesInstanceUID+"/"+in.IDs.SOPInstanceUID, "/")
	}
	return Envelope{
		ID: NewID(), Type: typ, Source: source, Subject: subject, Time: at.UTC(),
		Topic: TopicInstances, Key: keyOf(in.IDs.StudyInstanceUID, in.ObjectID), Data: data,
	}, nil
}

// NewResolution makes the record of a person's decision about an object of a study ("" when unknown)
// and tenant. It has the key of the object's own record, and so comes behind it.
func NewResolution(typ, source, study, tenant string, r *Resolution) (Envelope, error) {
	body := *r
	body.Tenant = tenant
	data, err := Encode(&body)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{
		ID: NewID(), Type: typ, Source: source, Subject: r.BlobKey, Time: r.At.UTC(),
		Topic: TopicInstances, Key: keyOf(study, r.ObjectID), Data: data,
	}, nil
}

// keyOf keeps the records of a study in order, and those of an object whose study cannot be read.
func keyOf(study, objectID string) string {
	if study != "" {
		return study
	}
	return objectID
}

// BlobKey returns the key of the blob that a record announces: the object's or the decision's. It is
// cheaper than Decode.
func BlobKey(e Envelope) (string, error) {
	var body struct {
		Blob struct {
			Key string `json:"key"`
		} `json:"blob"`
		BlobKey string `json:"blob_key"`
	}
	switch e.Type {
	case TypeInstanceStored, TypeInstanceConflict, TypeInstanceQuarantined, TypeQuarantineResolved, TypeConflictResolved:
	default:
		return "", fmt.Errorf("%w: %.100q", ErrUnknownType, e.Type)
	}
	if len(e.Data) > maxData {
		return "", undecodable("%d bytes are over the limit", len(e.Data))
	}
	if err := json.Unmarshal(e.Data, &body); err != nil {
		return "", undecodable("%w", err)
	}
	if body.Blob.Key != "" {
		return body.Blob.Key, nil
	}
	return body.BlobKey, nil
}

// EncodeLayout returns the JSON that Instance.Frames carries.
func EncodeLayout(l Layout) ([]byte, error) { return json.Marshal(l) }

// DecodeLayout reads an opened Instance.Frames.
func DecodeLayout(doc []byte) (Layout, error) {
	var l Layout
	if len(doc) > maxAttachment {
		return l, undecodable("layout over the size limit")
	}
	if err := json.Unmarshal(doc, &l); err != nil {
		return l, undecodable("layout: %w", err)
	}
	return l, nil
}
