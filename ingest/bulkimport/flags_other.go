//go:build !unix

package bulkimport

// nonBlocking is for systems with named pipes in folders.
const nonBlocking = 0
