// Package dicomweb answers QIDO-RS and WADO-RS (PS3.18 §10.4, §10.6) from the index and the blobs, and WADO-URI
// (§9) for older readers.
//
// Nothing here parses DICOM files. What a search returns are columns of the index, or members cut out of the
// header JSON that admission recorded; what a retrieval returns are byte ranges of stored files, found
// in the frame and bulk tables of the same record. Bodies flow from the blob store to the socket through
// one pooled buffer.
//
// What is rendered is drawn by package render from one frame, or by ecgout/draw from a recording, within a
// budget of memory that all requests share. Stored JPEG frames, documents and videos pass through.
//
// A body that cannot be finished breaks the connection: a reader never takes half an object for a whole.
package dicomweb
