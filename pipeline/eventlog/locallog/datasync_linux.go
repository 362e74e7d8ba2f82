package locallog

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes a file's bytes durable, and of its inode what is needed to read them.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
