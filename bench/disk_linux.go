package main

import (
	"os"

	"golang.org/x/sys/unix"
)

func fdatasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// syncDisk waits until the file system of dir has written everything, so that one server's leftovers are
// not written in the next one's time.
func syncDisk(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = unix.Syncfs(int(d.Fd())) // at worst the next measurement pays
		_ = d.Close()
	}
}
