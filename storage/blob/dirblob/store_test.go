package dirblob_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
	"github.com/tributary-dicom/tributary/storage/blob/simfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// root is a folder for simulated disks.
var root = filepath.Join(string(filepath.Separator), "data", "blobs")

func open(t testing.TB, dir string, opt dirblob.Options) *dirblob.Store {
	t.Helper()
	s, err := dirblob.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir(), dirblob.Options{}) })
}

func TestStoreOfFilesOnly(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir(), dirblob.Options{SmallBytes: -1}) })
}

// Small packs, so that they are closed and removed all the time; no buffer, so that writers spill.
func TestStoreOnSimulatedDisk(t *testing.T) {
	for name, opt := range map[string]dirblob.Options{
		"small packs": {PackBytes: 256 << 10, PrewriteBytes: 64 << 10},
		"no buffer":   {BufferBytes: 100 << 10, PrewriteBytes: -1},
	} {
		t.Run(name, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Store {
				d := simfs.New(1)
				opt := opt
				opt.FS = d
				s := open(t, root, opt)
				t.Cleanup(func() { // runs before the store is closed
					if n := d.OpenFiles(); n > 1 {
						t.Errorf("%d files open, want the pack alone", n)
					}
				})
				return s
			})
		})
	}
}
