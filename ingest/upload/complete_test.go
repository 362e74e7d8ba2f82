package upload

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// studyIntake keeps files "STUDY WORD": refused where the word says so, in quarantine likewise.
type studyIntake struct{}

func (studyIntake) Admit(_ context.Context, a ingest.Arrival) (ingest.Receipt, error) {
	b, err := io.ReadAll(a.Body)
	if err != nil {
		return ingest.Receipt{}, err
	}
	study, word, _ := strings.Cut(string(b), " ")
	rec := ingest.Receipt{ID: "1", Status: ingest.Stored, Study: study}
	switch word {
	case "refused":
		return ingest.Receipt{}, reject.New(reject.BadUID, "fake", "as asked")
	case "quarantined":
		rec.Status = ingest.Quarantined
	}
	return rec, nil
}

// The sender's word counts when it is given and every file is stored.
func TestSendersWord(t *testing.T) {
	for name, tc := range map[string]struct {
		files []string // one is a body, several are a form
		word  string
		fail  error
		said  string
		kept  bool
	}{
		"a file":              {[]string{"1.1 "}, "true", nil, " upload 1.1", true},
		"no word":             {[]string{"1.1 "}, "", nil, "", false},
		"a file, quarantined": {[]string{"1.1 quarantined"}, "true", nil, "", false},
		"a file, refused":     {[]string{"1.1 refused"}, "true", nil, "", false},
		"of no study":         {[]string{" x"}, "true", nil, "", false},
		"log is away":         {[]string{"1.1 "}, "true", errors.New("away"), " upload 1.1", false},
		"a form":              {[]string{"1.2 ", "1.1 ", "1.2 x"}, "true", nil, " upload 1.1,1.2", true},
		"a form, one refused": {[]string{"1.1 ", "1.2 refused"}, "true", nil, "", false},
		"a form, quarantined": {[]string{"1.1 ", "1.2 quarantined"}, "true", nil, "", false},
	} {
		said := ""
		h := New(Config{Admitter: studyIntake{}, Signal: func(_ context.Context, tenant, signal string, studies ...string) error {
			said += tenant + " " + signal + " " + strings.Join(studies, ",")
			return tc.fail
		}})
		body, header := tc.files[0], []string{ingest.CompleteHeader, tc.word}
		if len(tc.files) > 1 {
			var form bytes.Buffer
			mw := multipart.NewWriter(&form)
			for _, f := range tc.files {
				p, err := mw.CreateFormFile("file", "a.dcm")
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(p, f)
			}
			mw.Close()
			body, header = form.String(), append(header, "Content-Type", mw.FormDataContentType())
		}
		w := do(h, "POST", "/upload", body, header...)
		if said != tc.said || (w.Header().Get(ingest.CompleteHeader) == "true") != tc.kept {
			t.Errorf("%s: said %q, answer %d %q; want %q, %v", name, said, w.Code, w.Header().Get(ingest.CompleteHeader), tc.said, tc.kept)
		}
	}
}
