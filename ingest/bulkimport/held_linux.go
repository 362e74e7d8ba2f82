package bulkimport

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// heldForWriting reports whether a process of this machine has f open for writing. The kernel refuses a read
// lease then (fcntl(2)); where it gives none for other reasons (another owner's file, a network mount) nothing
// is known, and the answer is no.
func heldForWriting(f *os.File) (held bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	_ = conn.Control(func(fd uintptr) {
		_, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
		held = errors.Is(err, unix.EAGAIN)
		if err == nil {
			_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK) // closing f ends it too
		}
	})
	return held
}
