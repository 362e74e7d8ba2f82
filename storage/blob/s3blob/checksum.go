package s3blob

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
)

const (
	checksumCRC32C = "crc32c"
	checksumSHA256 = "sha256"
)

// algorithm says how the server is to check what it gets. CRC32C costs nothing beside the network. SHA-256
// is for servers that know no other checksum: as the signed hash of the payload each of them has to check it.
type algorithm struct {
	name string
	sign bool // sign the payload's SHA-256: also needed without TLS, where the signature is all there is
}

// header is where S3 wants a sum.
func (a algorithm) header() string { return "X-Amz-Checksum-" + a.name }

// checksum gathers that of a part or an object.
type checksum struct {
	crc, sha hash.Hash // sha where it is signed
}

func (a algorithm) start() checksum {
	c := checksum{crc: crc32.New(castagnoli)}
	if a.sign {
		c.sha = sha256.New()
	}
	return c
}

func (c *checksum) add(p []byte) {
	_, _ = c.crc.Write(p)
	if c.sha != nil {
		_, _ = c.sha.Write(p)
	}
}

// raw is the sum that S3 keeps with the object.
func (a algorithm) raw(c *checksum) []byte {
	if a.name == checksumSHA256 {
		return c.sha.Sum(nil)
	}
	return c.crc.Sum(nil)
}

// signed is the payload's hash as the signature covers it, "" where TLS is trusted to carry it.
func (a algorithm) signed(c *checksum) string {
	if c.sha == nil {
		return ""
	}
	return hex.EncodeToString(c.sha.Sum(nil))
}

// composite is the sum of a multipart upload: that of its parts' sums, and their number.
func (a algorithm) composite(sums [][]byte) string {
	c := a.start()
	if a.name == checksumSHA256 {
		c.sha = sha256.New()
	}
	for _, s := range sums {
		c.add(s)
	}
	return base64.StdEncoding.EncodeToString(a.raw(&c)) + "-" + strconv.Itoa(len(sums))
}

// partOf is how a part is named in the list that completes an upload.
func (a algorithm) partOf(number int, etag string, sum []byte) minio.CompletePart {
	p := minio.CompletePart{PartNumber: number, ETag: etag}
	if text := base64.StdEncoding.EncodeToString(sum); a.name == checksumSHA256 {
		p.ChecksumSHA256 = text
	} else {
		p.ChecksumCRC32C = text
	}
	return p
}

// answered returns whether a server's sum is ours; one that tells none has checked it, or knows none.
func answered(theirs, ours string) bool { return theirs == "" || theirs == ours }

// sumHeader is a request's header with a sum.
func (a algorithm) sumHeader(sum []byte) http.Header {
	return http.Header{http.CanonicalHeaderKey(a.header()): {base64.StdEncoding.EncodeToString(sum)}}
}

// s3Name is the algorithm in S3's words.
func (a algorithm) s3Name() string { return strings.ToUpper(a.name) }
