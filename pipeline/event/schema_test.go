package event_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// validate checks a JSON value against the parts of JSON Schema that our schemas use, and fails for a
// keyword that it does not know, so that no schema promises what is not checked.
func validate(root, schema map[string]any, value any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		target := any(root)
		for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			m, ok := target.(map[string]any)
			if !ok {
				return fmt.Errorf("%s: bad reference %s", at, ref)
			}
			target = m[step]
		}
		if err := validate(root, target.(map[string]any), value, at); err != nil {
			return err
		}
	}
	for keyword, rule := range schema {
		if err := check(root, schema, keyword, rule, value, at); err != nil {
			return err
		}
	}
	return nil
}

func check(root, schema map[string]any, keyword string, rule, value any, at string) error {
	bad := func(format string, args ...any) error { return fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)) }
	text, isText := value.(string)
	number, isNumber := value.(float64)
	object, isObject := value.(map[string]any)
	switch keyword {
	case "$schema", "$id", "$defs", "$ref", "title", "description":
	case "type":
		kinds := map[string]bool{
			"string": isText, "object": isObject, "integer": isNumber && number == float64(int64(number)), "number": isNumber,
			"boolean": value == true || value == false, "array": reflect.ValueOf(value).Kind() == reflect.Slice,
		}
		if !kinds[rule.(string)] {
			return bad("%T is no %s", value, rule)
		}
	case "required":
		for _, name := range rule.([]any) {
			if _, ok := object[name.(string)]; isObject && !ok {
				return bad("no %s", name)
			}
		}
	case "properties":
		for name, sub := range rule.(map[string]any) {
			if v, ok := object[name]; ok {
				if err := validate(root, sub.(map[string]any), v, at+"/"+name); err != nil {
					return err
				}
			}
		}
	case "additionalProperties":
		known, _ := schema["properties"].(map[string]any)
		for name, v := range object {
			if known[name] == nil {
				if err := validate(root, rule.(map[string]any), v, at+"/"+name); err != nil {
					return err
				}
			}
		}
	case "items":
		list, _ := value.([]any)
		for i, v := range list {
			if err := validate(root, rule.(map[string]any), v, fmt.Sprint(at, "/", i)); err != nil {
				return err
			}
		}
	case "oneOf":
		fits := 0
		for _, sub := range rule.([]any) {
			if validate(root, sub.(map[string]any), value, at) == nil {
				fits++
			}
		}
		if fits != 1 {
			return bad("%d of oneOf fit", fits)
		}
	case "enum":
		for _, v := range rule.([]any) {
			if v == value {
				return nil
			}
		}
		return bad("%v is none of %v", value, rule)
	case "pattern":
		if isText && !regexp.MustCompile(rule.(string)).MatchString(text) {
			return bad("%q does not match %s", text, rule)
		}
	case "minLength":
		if isText && len([]rune(text)) < int(rule.(float64)) {
			return bad("%q is too short", text)
		}
	case "maxLength":
		if isText && len([]rune(text)) > int(rule.(float64)) {
			return bad("%q is too long", text)
		}
	case "minimum":
		if isNumber && number < rule.(float64) {
			return bad("%v is below %v", number, rule)
		}
	case "contentEncoding":
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			return bad("no base64")
		}
	case "format":
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			return bad("%q is no date-time", text)
		}
	default:
		return bad("schema has the keyword %s, which this test does not check", keyword)
	}
	return nil
}

func schemaOf(t *testing.T, typ string) map[string]any {
	t.Helper()
	doc, ok := event.Schema(typ)
	if !ok {
		t.Fatalf("%s has no schema", typ)
	}
	var schema map[string]any
	if err := json.Unmarshal(doc, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func conforms(t *testing.T, typ string, data []byte) error {
	t.Helper()
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	schema := schemaOf(t, typ)
	return validate(schema, schema, value, "")
}

func TestSamplesConform(t *testing.T) {
	for name, e := range samples(t) {
		if err := conforms(t, e.Type, e.Data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := event.Schema("org.example.other"); ok {
		t.Error("an unknown type has a schema")
	}
}

func TestSchemaRefuses(t *testing.T) {
	good, err := event.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"object_id":"01J`, `"object_id":1,"x":"`},
		{`"tenant":`, `"other":`},
		{`"bytes":102400`, `"bytes":-1`},
		{`"bytes":102400`, `"bytes":1.5`},
		{`"sha256":"ab`, `"sha256":"zz`},
		{`"encoding":"zstd"`, `"encoding":"gzip"`},
		{`"adopted":true`, `"adopted":"yes"`},
		{`2025-03-01T08:30:15`, `yesterday`},
		{`"data":"`, `"data":"!`},
		{`"blob_key":`, `"other":`},
		{`"warnings":[{"code":`, `"warnings":[{"other":`},
	} {
		bad := strings.Replace(string(good), change[0], change[1], 1)
		if bad == string(good) {
			t.Fatalf("sample has no %s", change[0])
		}
		if err := conforms(t, event.TypeInstanceStored, []byte(bad)); err == nil {
			t.Errorf("%s for %s conforms", change[1], change[0])
		}
	}
}

// Types and schemas tell of the same members.
func TestSchemasAreComplete(t *testing.T) {
	for typ, body := range map[string]reflect.Type{
		event.TypeInstanceStored: reflect.TypeFor[event.Instance](), event.TypeQuarantineResolved: reflect.TypeFor[event.Resolution](),
		event.TypeDeadLettered: reflect.TypeFor[event.DeadLetter](), event.TypeStudySent: reflect.TypeFor[event.StudySent](),
		event.TypeStudyComplete: reflect.TypeFor[event.Study](),
	} {
		schema := schemaOf(t, typ)
		compare(t, schema, schema, body, body.Name())
	}
	for _, typ := range event.Types() {
		schemaOf(t, typ)
	}
}

func compare(t *testing.T, root, schema map[string]any, typ reflect.Type, at string) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		schema = root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() == reflect.Map && typ.Elem().Kind() == reflect.Struct {
		typ, schema = typ.Elem(), schema["additionalProperties"].(map[string]any)
	}
	if typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct {
		typ, schema = typ.Elem(), schema["items"].(map[string]any)
	}
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
		return
	}
	properties, _ := schema["properties"].(map[string]any)
	properties = maps.Clone(properties)
	required := fmt.Sprint(schema["required"])
	for i := range typ.NumField() {
		name, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		sub, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("%s: schema has no %s", at, name)
			continue
		}
		delete(properties, name)
		if options == "" && !strings.Contains(required, name) {
			t.Errorf("%s: %s is always written, but not required", at, name)
		}
		compare(t, root, sub, typ.Field(i).Type, at+"/"+name)
	}
	for name := range properties {
		t.Errorf("%s: schema has %s, which the type has not", at, name)
	}
}
