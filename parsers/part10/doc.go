// Package part10 reads DICOM files (PS3.10) in one forward pass.
//
// Scan walks the elements as the bytes go by and keeps only the header: identifiers, index attributes,
// the header as DICOM JSON, and where pixel, waveform and document bytes lie, frame by frame. It never
// seeks, never recurses and never allocates by a length that the file declares; a 2 GiB loop costs a
// read buffer. What it reads from is the caller's: admission hands it a reader that tees into the blob
// store.
package part10
