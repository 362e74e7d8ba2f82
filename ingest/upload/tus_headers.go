package upload

import (
	"crypto/md5"  //nolint:gosec // tus names it; it guards against accidents
	"crypto/sha1" //nolint:gosec // tus demands it (Checksum extension); as above
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"

	tusd "github.com/tus/tusd/v2/pkg/handler"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Bounds of Upload-Metadata. Clients send a name and a type.
const (
	maxMetadataBytes = 8 << 10
	maxMetadataPairs = 32
)

// checksumAlgorithms is announced in Tus-Checksum-Algorithm.
const checksumAlgorithms = "sha1,md5,sha256"

// chunkSum is the checksum that a sender announced for one request's bytes.
type chunkSum struct {
	hash hash.Hash
	want string
}

func (c *chunkSum) matches() bool { return string(c.hash.Sum(nil)) == c.want }

var errBadChecksum = tusd.NewError("ERR_INVALID_CHECKSUM", "Upload-Checksum is an algorithm of "+checksumAlgorithms+" and a checksum in base64", 400)

// parseChecksum reads Upload-Checksum, "algorithm base64" (tus 1.0, Checksum extension); nil for none.
func parseChecksum(header string) (*chunkSum, error) {
	if header == "" {
		return nil, nil
	}
	name, text, _ := strings.Cut(header, " ")
	c := &chunkSum{}
	switch name {
	case "sha1":
		c.hash = sha1.New() //nolint:gosec // see the import
	case "md5":
		c.hash = md5.New() //nolint:gosec // see the import
	case "sha256":
		c.hash = sha256.New()
	default:
		return nil, errBadChecksum
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(sum) != c.hash.Size() {
		return nil, errBadChecksum
	}
	c.want = string(sum)
	return c, nil
}

var errBadMetadata = tusd.NewError("ERR_INVALID_METADATA", "Upload-Metadata is too long or malformed", 400)

// parseMetadata reads Upload-Metadata (tus 1.0, Creation extension): pairs "key base64" or "key", joined
// by commas. Keys are unique, not empty, ASCII without space and comma.
func parseMetadata(header string) (map[string]string, error) {
	if strings.TrimSpace(header) == "" {
		return nil, nil
	}
	if len(header) > maxMetadataBytes {
		return nil, errBadMetadata
	}
	pairs := strings.Split(header, ",")
	if len(pairs) > maxMetadataPairs {
		return nil, errBadMetadata
	}
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		key, text, _ := strings.Cut(strings.TrimSpace(p), " ")
		value, err := base64.StdEncoding.DecodeString(text)
		if _, twice := m[key]; err != nil || twice || key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, errBadMetadata
		}
		m[key] = string(value)
	}
	return m, nil
}

// applyMetadata takes from metadata what an object's origin has room for, and the checksum of the whole
// file ("sha256", in hex) if the sender gave one.
func applyMetadata(m map[string]string, o *event.Origin) (sum string, err error) {
	for _, key := range []string{"filename", "name"} { // Uppy and tus-js-client; tus-java-client's examples
		if o.Filename == "" {
			o.Filename = cleanFilename(m[key])
		}
	}
	if o.Device == "" {
		o.Device = cleanText(m["device"], maxName)
	}
	if o.Facility == "" {
		o.Facility = cleanText(m["facility"], maxName)
	}
	sum = strings.ToLower(strings.TrimSpace(m["sha256"]))
	if b, err := hex.DecodeString(sum); err != nil || len(b) != 0 && len(b) != sha256.Size {
		return "", errBadMetadata
	}
	return sum, nil
}

// lengthTooLarge tells whether an Upload-Length is a number over max, be it too long for an int64.
func lengthTooLarge(header string, max int64) bool {
	if header == "" || strings.Trim(header, "0123456789") != "" {
		return false
	}
	n, err := strconv.ParseInt(header, 10, 64)
	return err != nil || n > max
}
