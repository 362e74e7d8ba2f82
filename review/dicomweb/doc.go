// Package dicomweb answers QIDO-RS and WADO-RS (PS3.18 §10.4, §10.6) from the index and the blobs.
//
// Nothing here parses DICOM. What a search returns are columns of the index, or members cut out of the
// header JSON that admission recorded; what a retrieval returns are byte ranges of stored files, found
// in the frame and bulk tables of the same record. Bodies flow from the blob store to the socket through
// one pooled buffer.
//
// A body that cannot be finished breaks the connection: a reader never takes half an object for a whole.
package dicomweb
