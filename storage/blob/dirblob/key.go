package dirblob

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/tributary-dicom/tributary/storage/blob"
)

const (
	fileSuffix = ".f"
	packSuffix = ".p"
	dayLayout  = "2006/01/02"

	// maxKeyBytes is more than the longest key: day, id, two numbers of 19 digits.
	maxKeyBytes = 96
)

// place is where a key says that a blob lies.
type place struct {
	day    string // "2026/11/22"
	name   string // "ID.f" or "ID.p"
	offset int64  // of the record; packs only
	length int64  // of the payload; packs only
}

func (p place) packed() bool { return strings.HasSuffix(p.name, packSuffix) }

// file is the path below the store's folder, with slashes.
func (p place) file() string { return p.day + "/" + p.name }

func (p place) key() string {
	if !p.packed() {
		return p.file()
	}
	b := make([]byte, 0, maxKeyBytes)
	b = append(b, p.file()...)
	b = strconv.AppendInt(append(b, '/'), p.offset, 10)
	b = strconv.AppendInt(append(b, '-'), p.length, 10)
	return string(b)
}

// parseKey accepts exactly the strings that key returns, so that no key has two spellings and none leads
// out of the folder.
func parseKey(key string) (place, error) {
	bad := func() (place, error) {
		return place{}, fmt.Errorf("blob key of %d bytes: %w", len(key), blob.ErrBadKey)
	}
	if len(key) > maxKeyBytes || len(key) < len(dayLayout)+2 || !isDay(key[:len(dayLayout)]) || key[len(dayLayout)] != '/' {
		return bad()
	}
	p := place{day: key[:len(dayLayout)]}
	rest := ""
	p.name, rest, _ = strings.Cut(key[len(dayLayout)+1:], "/")
	if !isBlobName(p.name) {
		return bad()
	}
	if p.packed() {
		offset, length, _ := strings.Cut(rest, "-")
		var ok1, ok2 bool
		p.offset, ok1 = parseNumber(offset)
		p.length, ok2 = parseNumber(length)
		if !ok1 || !ok2 || p.offset < packHeadSize || p.offset%blockBytes != 0 {
			return bad()
		}
	}
	if p.key() != key {
		return bad()
	}
	return p, nil
}

func isBlobName(name string) bool {
	return len(name) == ulid.EncodedSize+2 && isID(name[:ulid.EncodedSize]) &&
		(strings.HasSuffix(name, fileSuffix) || strings.HasSuffix(name, packSuffix))
}

func isID(s string) bool {
	id, err := ulid.ParseStrict(s)
	return err == nil && id.String() == s
}

func isDay(s string) bool {
	t, err := time.Parse(dayLayout, s)
	return err == nil && t.Format(dayLayout) == s
}

// parseNumber reads a decimal number below 2^61, which leaves room to add.
func parseNumber(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 62)
	return n, err == nil && n >= 0
}

func dayOf(t time.Time) string { return t.UTC().Format(dayLayout) }

// path turns a path below the folder into one of the operating system's.
func (s *Store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }
