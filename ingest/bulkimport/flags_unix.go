//go:build unix

package bulkimport

import "syscall"

// nonBlocking keeps the opening of what was a file a moment ago, and is a pipe now, from waiting for a writer.
const nonBlocking = syscall.O_NONBLOCK
