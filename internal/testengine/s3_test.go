package testengine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/tributary-dicom/tributary/internal/testengine"
)

// TestS3 kills, stops, pauses and restarts the server on one folder; what it took is still there.
func TestS3(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s3")
	s := testengine.StartS3(t, testengine.S3Folder(dir), testengine.S3Buckets("one", "two"))
	put := func(bucket, key, text string) {
		t.Helper()
		_, err := s.Client(t).PutObject(t.Context(), bucket, key, bytes.NewReader([]byte(text)), int64(len(text)), "", "", minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(bucket, key, text string) {
		t.Helper()
		r, _, _, err := s.Client(t).GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || string(got) != text {
			t.Errorf("%s/%s = %q, %v; want %q", bucket, key, got, err, text)
		}
	}
	put("one", "a/b", "first")
	put("two", "a/b", "second")
	if got, err := os.ReadFile(filepath.Join(s.Data(), "one", "a", "b")); err != nil || string(got) != "first" {
		t.Errorf("file = %q, %v; want the object's bytes", got, err)
	}
	for _, end := range []func(){s.Kill, s.Stop} {
		end()
		if _, err := s.Client(t).StatObject(within(t, time.Second), "one", "a/b", minio.StatObjectOptions{}); err == nil {
			t.Error("an ended server answered")
		}
		s.Start(t)
		want("one", "a/b", "first")
	}
	s.Pause()
	if _, err := s.Client(t).StatObject(within(t, time.Second/4), "one", "a/b", minio.StatObjectOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused server answered: %v", err)
	}
	s.Continue()
	want("two", "a/b", "second")
	s.Kill()
	again := testengine.StartS3(t, testengine.S3Folder(dir))
	s = again
	want("two", "a/b", "second")
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
