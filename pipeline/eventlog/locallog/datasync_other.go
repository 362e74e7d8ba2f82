//go:build !linux

package locallog

import "os"

// datasync makes a file durable.
func datasync(f *os.File) error { return f.Sync() }
