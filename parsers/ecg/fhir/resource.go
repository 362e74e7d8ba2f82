package fhir

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
)

// The elements that are read, of Observation, Bundle, Patient and Device at once.
type resource struct {
	ResourceType string
	ID           string
	Identifier   many[identifier]
	Contained    []resource // not many: what nests is read in one pass
	Entry        []entry    // Bundle

	// Observation.
	Status            string
	Code              concept
	Subject           reference
	EffectiveDateTime string
	EffectiveInstant  string
	EffectivePeriod   struct{ Start, End string }
	Performer         many[reference]
	Device            reference
	Interpretation    many[concept] // one in STU3, a list since R4
	Note              many[struct{ Text string }]
	ValueSampledData  *sampled
	Component         many[component]

	// Patient and Device.
	Name         many[name]
	Gender       string
	BirthDate    string
	Manufacturer text // Device: a string since R4, a reference before
	SerialNumber string
	ModelNumber  string
	Model        string
	DeviceName   many[name]
}

type entry struct{ Resource *resource }

type identifier struct{ Use, System, Value string }

type concept struct {
	Coding many[struct{ System, Code, Display string }]
	Text   string
}

type reference struct {
	Reference, Display string
	Identifier         identifier
}

type name struct {
	Use, Text, Family string
	Given             many[string]
	Name              string // of a Device
}

type component struct {
	Code             concept
	ValueSampledData *sampled
	ValueQuantity    *amount
	ValueString      string
}

type amount struct {
	Value      json.Number
	Unit, Code string
}

type sampled struct {
	Origin                         amount
	Period, Interval               json.Number
	IntervalUnit                   string
	Factor, LowerLimit, UpperLimit json.Number
	Dimensions                     json.Number
	Data                           string
	Offsets, CodeMap               string // R5
}

// many is a list that may be written as one.
type many[T any] []T

// UnmarshalJSON reads a list, or one element.
func (m *many[T]) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(m))
	}
	if string(b) == "null" {
		return nil
	}
	var one T
	err := json.Unmarshal(b, &one)
	*m = many[T]{one}
	return err
}

// UnmarshalJSON reads a HumanName, or the plain text that a name of a device, and a careless one of a person, is.
func (n *name) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &n.Text)
	}
	type plain name
	return json.Unmarshal(b, (*plain)(n))
}

// text is a string, and empty for anything else.
type text string

// UnmarshalJSON reads a string.
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	return nil
}

// fromJSON reads a resource. ok is false when some element has another form than FHIR gives it; the others are
// there.
func fromJSON(b []byte) (r *resource, ok bool, err error) {
	r = &resource{}
	err = json.Unmarshal(b, r)
	var form *json.UnmarshalTypeError
	if errors.As(err, &form) {
		return r, false, nil
	}
	return r, err == nil, err
}

// maxBeside bounds the entries of a Bundle and contained resources in XML.
const maxBeside = 1000

// fromXML reads a resource: values are attributes named value.
func fromXML(n *xmltext.Node) *resource {
	v := func(n *xmltext.Node, path ...string) string { return n.At(path...).Get("value") }
	r := &resource{
		ResourceType: n.Name, ID: v(n, "id"), Status: v(n, "status"), Code: conceptXML(n.At("code")), Subject: referenceXML(n.At("subject")),
		EffectiveDateTime: v(n, "effectiveDateTime"), EffectiveInstant: v(n, "effectiveInstant"), Device: referenceXML(n.At("device")),
		Gender: v(n, "gender"), BirthDate: v(n, "birthDate"), Manufacturer: text(v(n, "manufacturer")), SerialNumber: v(n, "serialNumber"),
		ModelNumber: v(n, "modelNumber"), Model: v(n, "model"), ValueSampledData: sampledXML(n.At("valueSampledData")),
	}
	r.EffectivePeriod.Start, r.EffectivePeriod.End = v(n, "effectivePeriod", "start"), v(n, "effectivePeriod", "end")
	for _, c := range n.Children {
		switch c.Name {
		case "identifier":
			r.Identifier = append(r.Identifier, identifierXML(c))
		case "performer":
			r.Performer = append(r.Performer, referenceXML(c))
		case "interpretation":
			r.Interpretation = append(r.Interpretation, conceptXML(c))
		case "note":
			r.Note = append(r.Note, struct{ Text string }{v(c, "text")})
		case "component":
			part := component{Code: conceptXML(c.At("code")), ValueSampledData: sampledXML(c.At("valueSampledData")), ValueString: v(c, "valueString")}
			if q := c.At("valueQuantity"); q != nil {
				part.ValueQuantity = amountXML(q)
			}
			r.Component = append(r.Component, part)
		case "name", "deviceName":
			p := name{Use: v(c, "use"), Text: v(c, "text"), Family: v(c, "family"), Name: v(c, "name")}
			for _, g := range c.All("given") {
				p.Given = append(p.Given, g.Get("value"))
			}
			r.Name = append(r.Name, p)
		case "contained":
			for _, inner := range c.Children[:min(len(c.Children), maxBeside-min(maxBeside, len(r.Contained)))] {
				r.Contained = append(r.Contained, *fromXML(inner))
			}
		case "entry":
			if inner := c.At("resource"); inner != nil && len(inner.Children) > 0 && len(r.Entry) < maxBeside {
				r.Entry = append(r.Entry, entry{fromXML(inner.Children[0])})
			}
		}
	}
	return r
}

func conceptXML(n *xmltext.Node) (c concept) {
	for _, k := range n.All("coding") {
		c.Coding = append(c.Coding, struct{ System, Code, Display string }{k.At("system").Get("value"), k.At("code").Get("value"), k.At("display").Get("value")})
	}
	c.Text = n.At("text").Get("value")
	return c
}

func identifierXML(n *xmltext.Node) identifier {
	return identifier{n.At("use").Get("value"), n.At("system").Get("value"), n.At("value").Get("value")}
}

func referenceXML(n *xmltext.Node) reference {
	return reference{n.At("reference").Get("value"), n.At("display").Get("value"), identifierXML(n.At("identifier"))}
}

func amountXML(n *xmltext.Node) *amount {
	return &amount{json.Number(n.At("value").Get("value")), n.At("unit").Get("value"), n.At("code").Get("value")}
}

func sampledXML(n *xmltext.Node) *sampled {
	if n == nil {
		return nil
	}
	num := func(name string) json.Number { return json.Number(n.At(name).Get("value")) }
	return &sampled{
		Origin: *amountXML(n.At("origin")), Period: num("period"), Interval: num("interval"), IntervalUnit: n.At("intervalUnit").Get("value"),
		Factor: num("factor"), LowerLimit: num("lowerLimit"), UpperLimit: num("upperLimit"), Dimensions: num("dimensions"),
		Data: n.At("data").Get("value"), Offsets: n.At("offsets").Get("value"), CodeMap: n.At("codeMap").Get("value"),
	}
}
