// Package locallog is the event log of a node that has no Kafka: one SQLite file, appended to and never
// pruned, that survives kill -9 and power cuts.
//
// Every topic is a table of its own with one partition, 0. Offsets come from one sequence for the whole
// file, from 1, so that records of several topics have one order too; within a topic they have gaps.
//
// Appends that wait together share one transaction and so one fsync: whoever gets the writer commits
// for all who wait (append.go). A lone append waits for nobody and changes no goroutine. Consumers are
// woken by the commit itself and take new records from memory (recent.go); only a consumer that lags
// reads the file. Copying the write-ahead log into the main file is a background job (checkpoint.go).
//
// docs/decisions/0003-local-log.md tells why, and what was measured.
package locallog
