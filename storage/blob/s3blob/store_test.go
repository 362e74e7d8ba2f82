package s3blob_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
	"github.com/tributary-dicom/tributary/storage/blob/s3blob"
)

func TestMain(m *testing.M) {
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, url string, opt s3blob.Options) *s3blob.Store {
	t.Helper()
	s, err := s3blob.Open(t.Context(), url, opt)
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

// smallParts makes a multipart upload of little, for tests.
const smallParts = "&part-size=5MiB"

func TestStore(t *testing.T) {
	server := testengine.StartS3(t)
	server.Setenv(t)
	for name, more := range map[string]string{"crc32c": "", "sha256 and the smallest parts": "&checksum=sha256" + smallParts} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && more != "" {
				t.Skip("once is enough in short tests")
			}
			blobtest.Run(t, func(t *testing.T) blob.Store {
				return open(t, server.URL("tributary", t.Name())+more, s3blob.Options{})
			})
		})
	}
}
