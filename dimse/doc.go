// Package dimse is a DICOM upper layer (PS3.8) and DIMSE message service (PS3.7) that streams.
//
// A Server accepts Associations. Each one is served by one goroutine: it reads the A-ASSOCIATE-RQ, asks
// the Policy, and then hands every message to the Handler. The data set of a message is an io.Reader
// which pulls PDVs off the socket while the Handler reads; nothing runs ahead of it, so a slow Handler
// slows the peer through TCP's window and memory does not depend on the size of an object.
//
// A Client is the other side: it proposes Presentation Contexts, sends messages and streams data sets.
//
// Every length, count and time that a peer controls meets one of the Limits before it is trusted. Bytes
// of a data set are never looked at or changed: what the peer sent is what the Handler reads.
package dimse
