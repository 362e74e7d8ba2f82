package event

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxInline bounds the compressed bytes of one attachment inside a record. Brokers refuse records above
// 1 MiB by default; two attachments in base64 must fit. What is larger lies beside the blob.
const MaxInline = 256 << 10

// maxAttachment bounds what an attachment may become when it is opened, bytes. Headers end at 16 MiB of
// DICOM, which JSON can double and escape; two million fragments take 60 MiB.
const maxAttachment = 128 << 20

// Attachment is a compressed JSON document, inline or in a blob of its own (claim check).
type Attachment struct {
	Encoding string `json:"encoding"`           // "zstd", or "identity" for documents as they are
	Bytes    int64  `json:"bytes"`              // uncompressed
	Data     []byte `json:"data,omitempty"`     // base64 in JSON
	BlobKey  string `json:"blob_key,omitempty"` // set when Data is not
}

var codec = sync.OnceValue(func() (c struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
},
) {
	// One encoder and one decoder for all: EncodeAll and DecodeAll are stateless and safe to share.
	c.enc, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
	c.dec, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxAttachment))
	return c
})

// plainBytes is up to where a document is not worth compressing: the work takes longer than the bytes it
// saves.
const plainBytes = 512

// Attach compresses doc. The result is inline whatever its size; the caller moves Data to a blob when
// it is longer than MaxInline.
func Attach(doc []byte) *Attachment {
	if len(doc) <= plainBytes {
		return &Attachment{Encoding: "identity", Bytes: int64(len(doc)), Data: doc}
	}
	return &Attachment{Encoding: "zstd", Bytes: int64(len(doc)), Data: codec().enc.EncodeAll(doc, nil)}
}

// Open decompresses data, which is Data or the bytes of the blob BlobKey.
func (a *Attachment) Open(data []byte) ([]byte, error) {
	if a.Bytes < 0 || a.Bytes > maxAttachment {
		return nil, errors.New("attachment size out of bounds")
	}
	doc := data
	switch a.Encoding {
	case "identity":
	case "zstd":
		var err error
		if doc, err = codec().dec.DecodeAll(data, make([]byte, 0, a.Bytes)); err != nil {
			return nil, fmt.Errorf("decompress attachment: %w", err)
		}
	default:
		return nil, fmt.Errorf("attachment encoding %q is unknown to this version", a.Encoding)
	}
	if int64(len(doc)) != a.Bytes {
		return nil, fmt.Errorf("attachment has %d bytes, its record says %d", len(doc), a.Bytes)
	}
	return doc, nil
}
