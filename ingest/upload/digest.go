package upload

import (
	"crypto/md5"  //nolint:gosec // RFC 1864 asks for it; it guards against accidents, not attackers
	"crypto/sha1" //nolint:gosec // tus asks for it; as above
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// digests are the checksums that a sender announced, lower-case hex by algorithm.
type digests map[string]string

// Algorithms by the names of the HTTP registry (RFC 9530 §5), and their lengths in bytes. SHA-256 is
// checked by admission, which computes it anyway.
const sha256Name = "sha-256"

var digestLengths = map[string]int{"md5": md5.Size, "sha": sha1.Size, sha256Name: 32, "sha-512": sha512.Size}

// parseDigests reads Content-MD5 (RFC 1864), Digest (RFC 3230), Content-Digest and Repr-Digest (RFC 9530;
// we take no Content-Encoding, so both are over the object), and X-Content-SHA256 in hex. Unknown
// algorithms are passed over; a checksum that cannot be one is an error, since its sender wanted a check.
func parseDigests(h http.Header) (digests, error) {
	d := digests{}
	add := func(name string, sum []byte, err error) error {
		want, known := digestLengths[name]
		switch {
		case !known:
			return nil
		case err != nil || len(sum) != want:
			return reject.New(reject.ChecksumMismatch, "upload", "the %s checksum is malformed", name)
		}
		s := hex.EncodeToString(sum)
		if other, twice := d[name]; twice && other != s {
			return reject.New(reject.ChecksumMismatch, "upload", "two %s checksums contradict each other", name)
		}
		d[name] = s
		return nil
	}
	if s := h.Get("Content-MD5"); s != "" {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		if err := add("md5", sum, err); err != nil {
			return nil, err
		}
	}
	if s := h.Get("X-Content-SHA256"); s != "" {
		sum, err := hex.DecodeString(strings.TrimSpace(s))
		if err := add(sha256Name, sum, err); err != nil {
			return nil, err
		}
	}
	for _, field := range []string{"Digest", "Content-Digest", "Repr-Digest"} {
		for member := range strings.SplitSeq(strings.Join(h.Values(field), ","), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(member), "=")
			value, _, _ = strings.Cut(value, ";")
			value = strings.TrimSpace(value)
			if field != "Digest" { // a byte sequence of RFC 8941 §3.3.5
				value = strings.TrimSuffix(strings.TrimPrefix(value, ":"), ":")
			}
			sum, err := base64.StdEncoding.DecodeString(value)
			if err := add(strings.ToLower(name), sum, err); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// checked reads an object and fails at its end where a checksum is not as announced.
type checked struct {
	src    io.Reader
	hashes map[string]hash.Hash
	want   digests
	err    error // the mismatch
}

// check returns a reader of r that verifies all but SHA-256.
func (d digests) check(r io.Reader) *checked {
	c := &checked{src: r, want: d, hashes: map[string]hash.Hash{}}
	for name := range d {
		switch name {
		case "md5":
			c.hashes[name] = md5.New() //nolint:gosec // see the import
		case "sha":
			c.hashes[name] = sha1.New() //nolint:gosec // see the import
		case "sha-512":
			c.hashes[name] = sha512.New()
		}
	}
	return c
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.src.Read(p)
	for _, h := range c.hashes {
		h.Write(p[:n])
	}
	if err == io.EOF {
		for name, h := range c.hashes {
			if hex.EncodeToString(h.Sum(nil)) != c.want[name] {
				c.err = reject.New(reject.ChecksumMismatch, "upload", "the bytes received have another %s; send again", name)
				return n, c.err
			}
		}
	}
	return n, err
}
