package upload

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// TestTusJSClient uploads with tus-js-client, in a node whose store is out at first: the client must try
// again and may only then report success. TRIBUTARY_NODE_MODULES names the folder that has the module.
func TestTusJSClient(t *testing.T) {
	modules := os.Getenv("TRIBUTARY_NODE_MODULES")
	if modules == "" {
		t.Skip("TRIBUTARY_NODE_MODULES does not name a folder with tus-js-client (npm install tus-js-client)")
	}
	f := &fakeIntake{fail: reject.New(reject.OutOfResources, "fake", "full")}
	h := newTus(t, f, t.TempDir(), func(c *TusConfig) { c.MaxBytes = 10 << 20 })
	var refused atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		waiting := len(h.waiting)
		h.mu.Unlock()
		if waiting > 0 { // it was told 503 once
			refused.Add(1)
			f.set(nil)
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	cmd := exec.CommandContext(t.Context(), "node", "testdata/tus-js-client/upload.js", srv.URL+"/upload/tus/")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "PATCH 204 stored\nsuccess\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	if f.count() != 1 || refused.Load() == 0 || f.kept[0].Origin.Filename != "张三.dcm" {
		t.Errorf("kept %+v, %d requests after the 503", f.kept, refused.Load())
	}
}
