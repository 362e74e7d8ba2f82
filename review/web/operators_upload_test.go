package web

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// form is a multipart body with one file.
func form(t *testing.T) (*bytes.Buffer, string) {
	t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	part, err := m.CreateFormFile("file", "a.dcm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return &body, m.FormDataContentType()
}

// TestUploadForm: the form goes to the door as it is, and the door's answer becomes a page with its status.
func TestUploadForm(t *testing.T) {
	many := "[" + strings.Repeat(`{"id":"01A","status":"stored","bytes":7},`, maxShownReceipts+1) + `{"id":"01A","status":"stored"}]`
	for name, c := range map[string]struct {
		status int
		answer string
		want   int
		has    []string
		lacks  []string
	}{
		"kept": {
			201, `[{"id":"01A","format":"dicom","bytes":1234,"study":"1.2","status":"stored"},{"id":"01B","study":"1.3","status":"duplicate"}]`, 201,
			[]string{"2 of 2 files kept", `href="/pages/studies/1.2"`, `href="/pages/receipts/01A"`, "1.23 kB", "notice ok", "Here already"},
			nil,
		},
		"some": {
			207, `[{"id":"01A","study":"1.2","status":"quarantined","reason":"truncated"},{"id":"","status":"refused","reason":"unsupported-format","detail":"<i>"}]`, 207,
			[]string{"1 of 2 files kept", "The file is cut off", "Files of this format are not taken", "notice bad"},
			[]string{"/pages/studies/", "<i>"},
		},
		"one refusal":    {503, `{"id":"","status":"refused","reason":"out-of-resources","retry":true}`, 503, []string{"0 of 1 files kept", "The node cannot store anything now"}, nil},
		"too slow":       {408, `[{"id":"","status":"refused","reason":"aborted"}]`, 400, []string{"did not arrive whole"}, nil},
		"many":           {201, many, 201, []string{"2 more files are not listed", strconv.Itoa(maxShownReceipts+2) + " of"}, nil},
		"no receipt":     {200, `{"error":"x"}`, 500, nil, []string{"of 0 files"}},
		"no JSON":        {200, `<html>`, 500, nil, nil},
		"far too much":   {201, "[" + strings.Repeat(" ", maxReceipts) + "]", 500, nil, nil},
		"hostile id":     {201, `[{"id":"../x\"","study":"../1","status":"stored"}]`, 201, []string{"1 of 1 files kept"}, []string{"../"}},
		"unknown status": {201, `[{"id":"01A","status":"framed"}]`, 201, []string{"framed"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			door := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				file, head, err := r.FormFile("file")
				if err != nil {
					t.Error(err)
					return
				}
				data, err := io.ReadAll(file)
				if err != nil {
					t.Error(err)
				}
				got = head.Filename + " " + string(data)
				if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Errorf("the door cannot reach the connection: %v", err)
				}
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(http.StatusContinue)
				w.WriteHeader(c.status)
				w.WriteHeader(http.StatusTeapot)
				if _, err := w.Write([]byte(c.answer)); err != nil {
					t.Error(err)
				}
			})
			o := newOperatorsOffice()
			server := httptest.NewServer(o.handler(io.Discard, func(c *Config) { c.Operators.Upload = door }))
			defer server.Close()
			body, kind := form(t)
			resp, err := http.Post(server.URL+"/pages/upload?lang=en", kind, body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			page, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got != "a.dcm hello" {
				t.Errorf("the door got %q", got)
			}
			if resp.StatusCode != c.want || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
				t.Errorf("status %d (%s), want %d", resp.StatusCode, resp.Header.Get("Content-Type"), c.want)
			}
			for _, s := range c.has {
				if !strings.Contains(string(page), s) {
					t.Errorf("the page lacks %q:\n%.3000s", s, page)
				}
			}
			for _, s := range c.lacks {
				if strings.Contains(string(page), s) {
					t.Errorf("the page has %q", s)
				}
			}
		})
	}
}

// TestUploadPageTexts: the script has every phrase that it may need, in the page's language.
func TestUploadPageTexts(t *testing.T) {
	o := newOperatorsOffice()
	h := o.handler(io.Discard, func(c *Config) { c.Operators.Upload = http.NotFoundHandler() })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/pages/upload", nil))
	body := w.Body.String()
	for _, s := range []string{`"operators.up.retrying":`, `"operators.todo.not-parsed":`, `"operators.status.refused":"未接收"`, `data-threshold="8388608"`, `enctype="multipart/form-data"`} {
		if !strings.Contains(body, s) {
			t.Errorf("the page lacks %s", s)
		}
	}
	if strings.Contains(body, "data-elsewhere") {
		t.Error("a node that takes files sends people elsewhere")
	}
	r := httptest.NewRequest("PUT", "/pages/upload", nil)
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d", w.Code)
	}
}

// FuzzReadReceipts: whatever a door answers, reading it ends, and a receipt has a status.
func FuzzReadReceipts(f *testing.F) {
	f.Add([]byte(`[{"id":"01A","status":"stored"}]`))
	f.Add([]byte(`{"id":"","status":"refused","reason":"empty"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := readReceipts(data)
		if err == nil && len(list) == 1 && data[0] == '{' && list[0].Status == "" {
			t.Fatalf("%q is a receipt", data)
		}
	})
}
