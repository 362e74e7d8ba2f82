// Package eventlog holds what every event log is to its users: positions, records and errors. Engines
// live in folders below (locallog; kafkalog), run one conformance suite (logtest), and meet their users
// in cmd alone.
package eventlog
