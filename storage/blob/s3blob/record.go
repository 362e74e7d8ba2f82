package s3blob

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// A record describes a blob. Numbers are little endian.
//
//	 0  magic "TRs1"                     4
//	 4  payload length                   8
//	12  created, Unix ns                 8
//	20  meta length                      4   of the JSON
//	24  meta length here                 4   less where it is deflated (RFC 1951)
//	28  sums length                      4   four bytes for each piece of the payload
//	32  meta, sums
//	 …  CRC32C                           4   of the blob's key and all of the record before
//	 …  length of all of it              4   so that a trailer is found from its end
//
// In an object's metadata it is base64 (RFC 4648 §5, no padding).
const (
	recordMagic    = 0x31735254 // "TRs1"
	recordHead     = 32
	recordTail     = 8
	maxMetaBytes   = 16 << 10 // of JSON, as the contract of blob.Meta says
	maxRecordBytes = 16 << 20 // more than the sums of the largest blob, 5 TiB

	// headerName is that of the metadata, and maxHeaderBytes what its value may have: S3 allows 2 KiB for all
	// names and values, and some servers count the prefix of the name.
	headerName     = "Tributary"
	maxHeaderBytes = 1900
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errMetaSize = fmt.Errorf("meta exceeds %d bytes of JSON", maxMetaBytes)

type record struct {
	payload int64 // bytes
	created time.Time
	meta    []byte // JSON, empty for no meta
	sums    []byte // CRC32C of each piece
	object  int64  // bytes of payload and trailer; not encoded
}

func (r *record) same(o *record) bool {
	return r.payload == o.payload && r.created.Equal(o.created) && bytes.Equal(r.meta, o.meta) && bytes.Equal(r.sums, o.sums)
}

// encodeMeta returns a blob.Meta as JSON, nil for an empty one.
func encodeMeta(meta blob.Meta) ([]byte, error) {
	if len(meta) == 0 {
		return nil, nil
	}
	var size int // a bound from below, so that nothing huge is encoded
	for k, v := range meta {
		size += len(k) + len(v)
	}
	if size > maxMetaBytes {
		return nil, errMetaSize
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(meta); err != nil {
		return nil, fmt.Errorf("encode meta: %w", err)
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(text) > maxMetaBytes {
		return nil, errMetaSize
	}
	return text, nil
}

// encode returns the record of the blob with this key.
func (r *record) encode(key string) []byte {
	meta := r.meta
	if packed := deflate(meta); len(packed) < len(meta) {
		meta = packed
	}
	le := binary.LittleEndian
	b := make([]byte, recordHead, recordHead+len(meta)+len(r.sums)+recordTail)
	le.PutUint32(b, recordMagic)
	le.PutUint64(b[4:], uint64(r.payload))
	le.PutUint64(b[12:], uint64(r.created.UnixNano()))
	le.PutUint32(b[20:], uint32(len(r.meta)))
	le.PutUint32(b[24:], uint32(len(meta)))
	le.PutUint32(b[28:], uint32(len(r.sums)))
	b = append(append(b, meta...), r.sums...)
	b = le.AppendUint32(b, recordSum(key, b))
	return le.AppendUint32(b, uint32(len(b)+4))
}

func recordSum(key string, b []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, b)
}

var errRecord = fmt.Errorf("record: %w", blob.ErrCorrupt)

// decodeRecord accepts what encode returned for this key, and nothing else.
func decodeRecord(key string, b []byte) (record, error) {
	le := binary.LittleEndian
	if len(b) < recordHead+recordTail || len(b) > maxRecordBytes || le.Uint32(b) != recordMagic {
		return record{}, errRecord
	}
	body, tail := b[:len(b)-recordTail], b[len(b)-recordTail:]
	r := record{
		payload: int64(le.Uint64(b[4:])),
		created: time.Unix(0, int64(le.Uint64(b[12:]))).UTC(),
	}
	plain, stored, sums := int64(le.Uint32(b[20:])), int64(le.Uint32(b[24:])), int64(le.Uint32(b[28:]))
	switch {
	case le.Uint32(tail[4:]) != uint32(len(b)), le.Uint32(tail) != recordSum(key, body),
		r.payload < 0 || r.payload > maxBlobBytes,
		plain > maxMetaBytes || stored > plain,
		sums != sumsBytes(r.payload),
		recordHead+stored+sums != int64(len(body)):
		return record{}, errRecord
	}
	r.meta, r.sums = body[recordHead:recordHead+stored], body[recordHead+stored:]
	if stored < plain {
		var err error
		if r.meta, err = inflate(r.meta, plain); err != nil {
			return record{}, errRecord
		}
	}
	return r, nil
}

// info is what users hear of the blob.
func (r *record) info(key string) (blob.Info, error) {
	info := blob.Info{Key: key, Bytes: r.payload, Created: r.created}
	if len(r.meta) > 0 {
		if err := json.Unmarshal(r.meta, &info.Meta); err != nil {
			return blob.Info{}, fmt.Errorf("meta: %w", blob.ErrCorrupt)
		}
	}
	return info, nil
}

func encodeHeader(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decodeHeader reads a record from an object's metadata.
func decodeHeader(key, value string) (record, error) {
	if len(value) > maxHeaderBytes {
		return record{}, errRecord
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return record{}, errRecord
	}
	return decodeRecord(key, b)
}

// trailerBytes returns the length of the trailer that an object ends with, from its last bytes.
func trailerBytes(end []byte) (int64, error) {
	if len(end) < recordHead+recordTail {
		return 0, errRecord
	}
	n := int64(binary.LittleEndian.Uint32(end[len(end)-4:]))
	if n < recordHead+recordTail || n > maxRecordBytes {
		return 0, errRecord
	}
	return n, nil
}

func deflate(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return p
	}
	if _, err := w.Write(p); err != nil || w.Close() != nil {
		return p
	}
	return b.Bytes()
}

// inflate returns exactly n bytes, n being within its limit.
func inflate(p []byte, n int64) ([]byte, error) {
	out := make([]byte, n)
	r := flate.NewReader(bytes.NewReader(p))
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, err
	}
	var one [1]byte
	if m, err := r.Read(one[:]); m != 0 || !errors.Is(err, io.EOF) {
		return nil, errRecord
	}
	return out, nil
}

// A payload is compared piece by piece. Pieces are small where most blobs end, so that reading a frame reads
// little more, and larger further on, so that the sums of the largest blob are a few mebibytes.
const (
	pieceBytes      = 256 << 10
	largePieceBytes = 4 << 20
	largeFrom       = 16 << 30 // where the large pieces begin

	maxBlobBytes = 5 << 40 // what S3 takes
)

// pieceAt returns the number of the piece at off and where it begins and would end.
func pieceAt(off int64) (index, from, to int64) {
	if off < largeFrom {
		index = off / pieceBytes
		from = index * pieceBytes
		return index, from, from + pieceBytes
	}
	n := (off - largeFrom) / largePieceBytes
	from = largeFrom + n*largePieceBytes
	return largeFrom/pieceBytes + n, from, from + largePieceBytes
}

// sumsBytes is the length of the sums of a payload of n bytes.
func sumsBytes(n int64) int64 {
	if n <= 0 || n > math.MaxInt64/2 {
		return 0
	}
	index, _, _ := pieceAt(n - 1)
	return 4 * (index + 1)
}

// sums gathers the sums of a payload while it is written.
type sums struct {
	done []byte
	crc  uint32 // of the piece under way
	at   int64  // bytes so far
}

func (s *sums) add(p []byte) {
	for len(p) > 0 {
		_, _, to := pieceAt(s.at)
		n := min(int64(len(p)), to-s.at)
		s.crc = crc32.Update(s.crc, castagnoli, p[:n])
		if s.at += n; s.at == to {
			s.close()
		}
		p = p[n:]
	}
}

func (s *sums) close() {
	s.done = binary.LittleEndian.AppendUint32(s.done, s.crc)
	s.crc = 0
}

// encode returns what is stored. Nothing may be added afterwards.
func (s *sums) encode() []byte {
	if int64(len(s.done)) < sumsBytes(s.at) {
		s.close()
	}
	return s.done
}

// sum is that of a piece.
func (r *record) sum(index int64) uint32 { return binary.LittleEndian.Uint32(r.sums[4*index:]) }
