package journal

import (
	"errors"
	"os"
	"syscall"
)

// datasync makes f's bytes durable, and its size, but not its times.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
