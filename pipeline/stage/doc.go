// Package stage runs one consumer of the event log: fetch a batch, hand it to the handler, commit.
//
// A handler's error means one of two things. A transient one (a database is away) pauses the stage: the
// same records are tried again, for ever, with growing pauses. A permanent one (Permanent, or a panic)
// is the fault of a record: the batch is halved until single records fail by themselves, and a record
// that failed often enough goes to the dead-letter topic with its coordinates and the error. Only then
// is it passed. When the dead letter cannot be written the stage stops; nothing is ever skipped.
//
// Handlers see records at least once, in order per key, and must be idempotent.
package stage
