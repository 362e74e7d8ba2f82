// Package reject is the closed list of reasons for which Tributary does not index what it was sent.
//
// A Code is stored with quarantined objects, counted in metrics and quoted by operators: codes are
// added, never renamed. What a Code means on the wire (DIMSE status, STOW-RS Failure Reason, HTTP
// status) is decided in one table, in package ingest.
package reject
