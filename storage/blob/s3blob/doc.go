// Package s3blob keeps blobs in a bucket of an S3 server, every byte acknowledged by the server before
// Commit returns.
//
// A blob that fits one part (8 MiB) is held in memory until Commit and is one PUT of known size; a larger one
// is a multipart upload, some of whose parts are under way at once. Both are checked by the server against
// a checksum, and both are made only where nothing is (If-None-Match: *).
//
//	s3://BUCKET/PREFIX/2026/11/22/ID.b   the payload, exactly; its record lies in the object's metadata
//	s3://BUCKET/PREFIX/2026/11/22/ID.t   the payload, and behind it its record as a trailer
//	s3://BUCKET/PREFIX/probe             written to learn whether the store takes writes
//
// A record (record.go draws its bytes) holds length, time, meta and the CRC32C of every piece of the payload.
// It goes to the metadata where it fits the 2 KiB that S3 allows there and is known when S3 wants to hear of
// it: before the bytes. Otherwise it is the end of the object, so that an object is always whole by itself:
// there is nothing beside it that could be lost, late or left over. docs/decisions/0007 has the reasons.
//
// What a crash leaves behind: parts of uploads that were not completed, which nobody can see and Sweep
// removes. Days are UTC, and the key's id tells the time, so that List begins where since says.
//
// Nothing here trusts what it reads: every piece of every read is compared with the record before a byte of
// it is given out, and the record carries a checksum that covers the blob's name.
package s3blob
