package audit

import (
	"os"
	"testing"
)

// The default data folder is "./data": a relative path must not become the host of a file's URL.
func TestScratchInRelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("data/state", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, parent := range []string{"data/state", "./data/state", "."} {
		s, err := openScratch(t.Context(), parent, "CREATE TABLE keys (key TEXT PRIMARY KEY)")
		if err != nil {
			t.Fatalf("%s: %v", parent, err)
		}
		if err := s.close(); err != nil {
			t.Errorf("%s: %v", parent, err)
		}
	}
}
