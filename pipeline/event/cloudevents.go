package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// Headers returns the headers of a record in binary mode (CloudEvents 1.0, Kafka Protocol Binding
// §3.2): the attributes with the prefix ce_, and content-type. The record's key is Envelope.Key and its
// value is Envelope.Data.
func Headers(e Envelope) []Header {
	h := []Header{
		{"ce_specversion", []byte(specVersion)},
		{"ce_id", []byte(e.ID)},
		{"ce_type", []byte(e.Type)},
		{"ce_source", []byte(e.Source)},
	}
	if e.Subject != "" {
		h = append(h, Header{"ce_subject", []byte(e.Subject)})
	}
	if !e.Time.IsZero() {
		h = append(h, Header{"ce_time", []byte(e.Time.UTC().Format(time.RFC3339Nano))})
	}
	return append(h, Header{"content-type", []byte(contentType)})
}

const (
	specVersion = "1.0"
	contentType = "application/json"
)

// FromHeaders is the reverse of Headers: the envelope of a record with this topic (without prefix), key
// and value. Unknown headers are skipped. It keeps data.
func FromHeaders(headers []Header, topic, key string, data []byte) (Envelope, error) {
	e := Envelope{Topic: topic, Key: key, Data: data}
	version := ""
	for _, h := range headers {
		switch h.Key {
		case "ce_specversion":
			version = string(h.Value)
		case "ce_id":
			e.ID = string(h.Value)
		case "ce_type":
			e.Type = string(h.Value)
		case "ce_source":
			e.Source = string(h.Value)
		case "ce_subject":
			e.Subject = string(h.Value)
		case "ce_time":
			at, err := time.Parse(time.RFC3339Nano, string(h.Value))
			if err != nil {
				return Envelope{}, errors.New("ce_time is not a time (RFC 3339)")
			}
			e.Time = at.UTC()
		}
	}
	if version != specVersion {
		return Envelope{}, fmt.Errorf("CloudEvents version %.20q is unknown to this release", version)
	}
	if e.ID == "" || e.Type == "" || e.Source == "" {
		return Envelope{}, errors.New("record without ce_id, ce_type or ce_source")
	}
	return e, nil
}

// CloudEvent is an envelope in CloudEvents' JSON format (structured mode), as dead letters and the
// operators' event stream carry it. The extension partitionkey is Envelope.Key, topic is Envelope.Topic.
type CloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Type            string          `json:"type"`
	Source          string          `json:"source"`
	Subject         string          `json:"subject,omitempty"`
	Time            *time.Time      `json:"time,omitempty"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	PartitionKey    string          `json:"partitionkey,omitempty"`
	Topic           string          `json:"topic,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
	DataBase64      []byte          `json:"data_base64,omitempty"` // instead of Data where that is no JSON
}

// NewCloudEvent returns e in JSON format.
func NewCloudEvent(e Envelope) CloudEvent {
	c := CloudEvent{
		SpecVersion: specVersion, ID: e.ID, Type: e.Type, Source: e.Source, Subject: e.Subject,
		DataContentType: contentType, PartitionKey: e.Key, Topic: e.Topic,
	}
	if !e.Time.IsZero() {
		at := e.Time.UTC()
		c.Time = &at
	}
	if json.Valid(e.Data) && utf8.Valid(e.Data) {
		c.Data = e.Data
	} else {
		c.DataBase64 = e.Data
	}
	return c
}

// Envelope returns the envelope that NewCloudEvent was given. JSON data may have other white space.
func (c CloudEvent) Envelope() Envelope {
	e := Envelope{
		ID: c.ID, Type: c.Type, Source: c.Source, Subject: c.Subject,
		Topic: c.Topic, Key: c.PartitionKey, Data: []byte(c.Data),
	}
	if c.Time != nil {
		e.Time = c.Time.UTC()
	}
	if c.Data == nil {
		e.Data = c.DataBase64
	}
	return e
}
