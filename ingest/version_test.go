package ingest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

var update = flag.Bool("update", false, "write what today's parsers say into testdata")

// sayings are what parsers of a version say of files, both by their hash.
type sayings struct {
	ParserVersion int               `json:"parser_version"`
	Files         map[string]string `json:"files"`
}

// TestParserVersionIsNotForgotten fails when parsers say something else of the same bytes than they did under the same
// ParserVersion. Then reprocessing would pass over every object that is kept.
func TestParserVersionIsNotForgotten(t *testing.T) {
	path := filepath.Join("testdata", "parser_version.json")
	now := sayings{ParserVersion, map[string]string{}}
	say := func(body []byte) {
		now.Files[short(body)] = said(t, body)
	}
	for _, p := range fixtures.Village(7, 4) {
		for _, s := range p.Studies() {
			for _, i := range s.Instances() {
				if i.Size > 1<<20 {
					continue
				}
				var b bytes.Buffer
				if _, err := i.WriteTo(&b); err != nil {
					t.Fatal(err)
				}
				say(b.Bytes())
			}
		}
	}
	for _, c := range hostile.DICOM() {
		body, err := io.ReadAll(io.LimitReader(c.Data(), 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if len(body) < 1<<20 {
			say(body)
		}
	}
	say(scp())
	say(scp("急性下壁心肌梗死", "Sinus rhythm"))
	if *update {
		doc, err := json.MarshalIndent(now, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(doc, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var was sayings
	if err := json.Unmarshal(doc, &was); err != nil {
		t.Fatal(err)
	}
	if was.ParserVersion != ParserVersion {
		t.Fatalf("testdata are of version %d, and ParserVersion is %d: go test ./ingest -run ParserVersion -update", was.ParserVersion, ParserVersion)
	}
	same, other := 0, 0
	for file, saying := range now.Files {
		switch had, known := was.Files[file]; {
		case !known: // a fixture that is made otherwise now
		case had == saying:
			same++
		default:
			other++
		}
	}
	if other > 0 {
		t.Errorf("of %d files the parsers say something else than before: raise ParserVersion, unless no release has this one yet, and run go test ./ingest -run ParserVersion -update", other)
	}
	if same+other < len(was.Files)/2 {
		t.Errorf("only %d of %d files are those of testdata: go test ./ingest -run ParserVersion -update", same+other, len(was.Files))
	}
}

func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// said is a hash of what the event of a file says, without what is of this admission.
func said(t *testing.T, body []byte) string {
	t.Helper()
	w := newWorld()
	in := New(Config{Now: func() time.Time { return time.Unix(0, 0) }}, w, w, w)
	if _, err := in.Admit(t.Context(), Arrival{Body: bytes.NewReader(body)}); err != nil {
		var why *reject.Error
		if !errors.As(err, &why) {
			t.Fatal(err)
		}
		return "refused: " + string(why.Code)
	}
	kind, ev := w.last(t)
	for _, att := range []*event.Attachment{ev.Header, ev.Frames} {
		if att == nil {
			continue
		}
		data := att.Data
		if att.BlobKey != "" {
			data = w.blobs[att.BlobKey]
		}
		doc, err := att.Open(data)
		if err != nil {
			t.Fatal(err)
		}
		*att = event.Attachment{Data: doc} // as it is: a compressor may change
	}
	ev.ObjectID, ev.Blob.Key, ev.ParserVersion, ev.ReasonDetail = "", "", 0, ""
	doc, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	return cmp.Or(ev.Reason, kind) + " " + short(doc)
}
