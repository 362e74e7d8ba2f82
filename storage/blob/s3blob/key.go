package s3blob

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/tributary-dicom/tributary/storage/blob"
)

const (
	bareSuffix    = ".b" // record in the object's metadata
	trailerSuffix = ".t" // record behind the payload
	dayLayout     = "2006/01/02"
	keyBytes      = len(dayLayout) + 1 + ulid.EncodedSize + 2

	probeName = "probe"
)

// newKey names a blob that is made now. Keys sort by time.
func newKey(now time.Time, suffix string) string {
	ms := min(uint64(max(now.UnixMilli(), 0)), ulid.MaxTime())
	return keyAt(ulid.MustNew(ms, rand.Reader), suffix)
}

func keyAt(id ulid.ULID, suffix string) string {
	return ulid.Time(id.Time()).UTC().Format(dayLayout) + "/" + id.String() + suffix
}

// parseKey accepts exactly the strings that newKey returns, so that no key has two spellings and none leads
// out of the prefix. It returns the time in the key.
func parseKey(key string) (time.Time, error) {
	bad := func() (time.Time, error) {
		return time.Time{}, fmt.Errorf("blob key of %d bytes: %w", len(key), blob.ErrBadKey)
	}
	if len(key) != keyBytes || !strings.HasSuffix(key, bareSuffix) && !strings.HasSuffix(key, trailerSuffix) {
		return bad()
	}
	id, err := ulid.ParseStrict(key[len(dayLayout)+1 : len(dayLayout)+1+ulid.EncodedSize])
	if err != nil || keyAt(id, key[keyBytes-2:]) != key {
		return bad()
	}
	return ulid.Time(id.Time()).UTC(), nil
}

func isTrailed(key string) bool { return strings.HasSuffix(key, trailerSuffix) }

// keyBefore sorts before every key of blobs made at or after t, and is "" where all keys are.
func keyBefore(t time.Time) string {
	ms := t.UnixMilli()
	if t.Year() < 1970 || ms <= 0 {
		return ""
	}
	var id ulid.ULID
	_ = id.SetTime(min(uint64(ms), ulid.MaxTime())) // fails beyond MaxTime only
	return keyAt(id, "")
}
