// Package ingest takes objects in and answers for them.
//
// One study's journey: an ultrasound kit opens an Association (door storescp), or a clinic's browser
// posts a file (doors stowrs and upload). The door hands each object to Intake.Admit as an Arrival: a
// reader and what the protocol said. Admit reads it once. The same bytes are scanned
// (parsers/part10), hashed and written to the blob store as they arrive. When the blob is durable, its
// event is appended to the log, and only then does Admit return a Receipt, which
// the door turns into its protocol's success. Everything later is a stage that reads the log.
//
// What cannot be indexed keeps its bytes in quarantine with a reject.Code; what is no storage object, or
// breaks off in mid-transfer, keeps nothing. The table in answers.go turns codes into wire statuses.
//
// A crash leaves at most a whole blob without an event. AdoptOrphans finds those at the next start and
// gives them their event, so that nothing that reached the disk is forgotten.
package ingest
