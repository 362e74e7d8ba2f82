package part10_test

import (
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestHostile(t *testing.T) {
	for _, c := range hostile.DICOM() {
		t.Run(fmt.Sprintf("%02d %s", c.Number, c.Name), func(t *testing.T) {
			n := &counter{r: c.Data()}
			obj, err := part10.Scan(n, part10.Options{})
			outcome := "S"
			if err != nil {
				outcome = "R"
				if reject.CodeOf(err).Keeps() {
					outcome = "Q"
				}
			}
			if !c.Allows(outcome) {
				t.Errorf("outcome %s (%v), want one of %q; warnings %v", outcome, err, c.Want, obj.Warnings)
			}
			if reject.CodeOf(err) == reject.Internal && err != nil {
				t.Errorf("unclassified error %v", err)
			}
			if obj.Size != n.n || !n.ended {
				t.Errorf("size %d of %d bytes read, to the end: %t", obj.Size, n.n, n.ended)
			}
			if obj.Header != nil && !json.Valid(obj.Header) {
				t.Errorf("header is not JSON: %.200s", obj.Header)
			}
			for name, value := range obj.Attributes {
				if len(value) > 4*1024 {
					t.Errorf("%s has %d bytes", name, len(value))
				}
			}
			if outcome == "S" && c.Number >= 41 && c.Number <= 45 && c.Number != 43 && c.Number != 44 && obj.Frames.Problem == "" {
				t.Errorf("frames of impossible pixel data: %+v", obj.Frames)
			}
		})
	}
}

// counter counts what is read and notes the end.
type counter struct {
	r     io.Reader
	n     int64
	ended bool
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.ended = c.ended || err == io.EOF
	return n, err
}
