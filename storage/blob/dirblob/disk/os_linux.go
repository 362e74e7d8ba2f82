package disk

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxVec is the kernel's limit on buffers in one call (IOV_MAX).
const maxVec = 1024

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) Free(name string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := ignoringEINTR(func() error { return unix.Statfs(name, &st) }); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

func flock(f *os.File) error {
	err := ignoringEINTR(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return &LockedError{}
	}
	return err
}

func (f osFile) WriteVec(bufs [][]byte, off int64) error {
	for len(bufs) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), bufs[:min(len(bufs), maxVec)], off)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return f.failed("pwritev", err)
		}
		off += int64(n)
		if bufs, err = consume(bufs, n); err != nil {
			return f.failed("pwritev", err)
		}
	}
	return nil
}

// consume drops the first n bytes of bufs. Writing nothing of something would loop for ever.
func consume(bufs [][]byte, n int) ([][]byte, error) {
	if n == 0 {
		for _, b := range bufs {
			if len(b) > 0 {
				return nil, io.ErrShortWrite
			}
		}
		return nil, nil
	}
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs, nil
}

func (f osFile) Datasync() error {
	return f.failed("fdatasync", ignoringEINTR(func() error { return unix.Fdatasync(int(f.Fd())) }))
}

func (f osFile) PunchHole(off, n int64) error {
	err := ignoringEINTR(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return nil
	}
	return f.failed("fallocate", err)
}

// Writeback waits for the older range after it has started the newer one, so that the disk never idles.
// The wait may be where the kernel reports a failed write, once: its error counts like that of a sync.
func (f osFile) Writeback(off, n, waitOff, waitN int64) error {
	fd := int(f.Fd())
	err := ignoringEINTR(func() error { return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE) })
	if err == nil && waitN > 0 {
		err = ignoringEINTR(func() error {
			return unix.SyncFileRange(fd, waitOff, waitN,
				unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
		})
	}
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EOPNOTSUPP) {
		return nil
	}
	return f.failed("sync_file_range", err)
}

func (f osFile) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.Name(), Err: err}
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
