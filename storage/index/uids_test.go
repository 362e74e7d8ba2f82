package index_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

func TestEachUID(t *testing.T) {
	db, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n, err := db.UIDs(t.Context()); n != 0 || err != nil {
		t.Errorf("an empty index has %d, %v", n, err)
	}
	tape := indextest.NewTape(t)
	want := map[string]bool{}
	for i := range 2500 { // more than two pages
		in := indextest.Instance{Tenant: []string{"a", "b"}[i%2], Study: "1.2", SOP: fmt.Sprintf("1.2.3.%d", i/2), Object: fmt.Sprint(i), Bytes: fmt.Sprint(i)}
		if i%100 == 0 { // another version
			in.SOP = "1.2.3.0"
		}
		want[in.SOP] = true
		tape.Stored(in)
	}
	original := indextest.Instance{Object: "o", Bytes: "o"}
	tape.Kept(original)
	want[original.Original().IDs.SOPInstanceUID] = true
	if err := db.Apply(t.Context(), tape.Records); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	if err := db.EachUID(t.Context(), func(uid string) error { got[uid] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	for uid := range want {
		if !got[uid] {
			t.Errorf("%s is not told", uid)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d UIDs, want %d", len(got), len(want))
	}
	if n, err := db.UIDs(t.Context()); n < 2500 || err != nil {
		t.Errorf("%d UIDs, %v", n, err)
	}
	enough := errors.New("enough")
	if err := db.EachUID(t.Context(), func(string) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.EachUID(ended, func(string) error { return nil }); err == nil {
		t.Error("no error of a context that ended")
	}
}
