// Package journal keeps many small documents by key, each durable when Put returns. A door uses it for what
// it must remember of every transfer: a file of its own for each would cost two syncs and a rename a change.
//
// Documents are appended to segments of a few mebibytes; a map in memory says where each one's latest lies.
// Callers that wait together share one sync: whoever has the turn writes for all who wait (commit.go), so
// that a lone caller waits for nobody and there is no goroutine in the background. A segment is written with
// zeros before it is used, which makes its syncs cheaper: they change no size and allocate no block.
//
// At start the segments are replayed, oldest first (open.go). Behind the last frame that is whole there can be
// nothing but frames that were never acknowledged; they are cut off, and a new segment is begun. When more
// than half of the journal is out of date, what still counts in the oldest segment is appended again and the
// segment is deleted (compact.go). Segments go oldest first, so a removal is forgotten only after all that it
// removes.
package journal
