// Package blob holds what every blob store is to its users: the record of a blob and the errors.
// Engines live in folders below (dirblob; s3blob), run one conformance suite (blobtest), and meet their
// users in cmd alone.
package blob
