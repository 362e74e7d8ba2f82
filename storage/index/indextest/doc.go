// Package indextest checks an index engine against its contract, and makes the records for it.
package indextest
