package event_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

func TestHeadersRoundTrip(t *testing.T) {
	for name, e := range samples(t) {
		got, err := event.FromHeaders(append(event.Headers(e), event.Header{Key: "traceparent"}), e.Topic, e.Key, e.Data)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, e)
		}
		data, err := json.Marshal(event.NewCloudEvent(e))
		if err != nil {
			t.Fatal(err)
		}
		var c event.CloudEvent
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		if got := c.Envelope(); !reflect.DeepEqual(got, e) {
			t.Errorf("%s in JSON: %+v, want %+v", name, got, e)
		}
	}
}

func TestHeaders(t *testing.T) {
	e := event.Envelope{ID: "01J", Type: "t", Source: "/s"}
	want := map[string]string{"ce_specversion": "1.0", "ce_id": "01J", "ce_type": "t", "ce_source": "/s", "content-type": "application/json"}
	got := map[string]string{}
	for _, h := range event.Headers(e) {
		got[h.Key] = string(h.Value)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("headers %v, want %v", got, want)
	}
}

func TestBadHeaders(t *testing.T) {
	good := samples(t)["stored"]
	for i, drop := range []string{"ce_specversion", "ce_id", "ce_type", "ce_source"} {
		headers := event.Headers(good)
		for j := range headers {
			if headers[j].Key == drop {
				headers[j].Value = nil
			}
		}
		if _, err := event.FromHeaders(headers, good.Topic, good.Key, good.Data); err == nil {
			t.Errorf("%d: taken without %s", i, drop)
		}
	}
	for _, h := range []event.Header{{Key: "ce_time", Value: []byte("noon")}, {Key: "ce_specversion", Value: []byte("2.0")}} {
		if _, err := event.FromHeaders(append(event.Headers(good), h), good.Topic, good.Key, good.Data); err == nil {
			t.Errorf("taken with %s %s", h.Key, h.Value)
		}
	}
}
