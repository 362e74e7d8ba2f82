package simfs

import (
	"io"
	"io/fs"
	"maps"
	"slices"
	"syscall"

	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

var _ disk.FS = (*Disk)(nil)

// begin locks the disk and counts a call. The caller unlocks.
func (d *Disk) begin(op Op, name string) (unlock func(), err error) {
	d.mu.Lock()
	return d.mu.Unlock, d.call(op, name)
}

func pathError(op Op, name string, err error) error {
	return &fs.PathError{Op: string(op), Path: name, Err: err}
}

// Open implements disk.FS.
func (d *Disk) Open(name string) (disk.File, error) { return d.openFile(name, false) }

// OpenWrite implements disk.FS.
func (d *Disk) OpenWrite(name string) (disk.File, error) { return d.openFile(name, true) }

func (d *Disk) openFile(name string, write bool) (disk.File, error) {
	unlock, err := d.begin(OpOpen, name)
	defer unlock()
	if err != nil {
		return nil, err
	}
	n, err := d.lookup(name)
	if err == nil && n.entries != nil {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError(OpOpen, name, err)
	}
	d.open++
	return &file{d: d, n: n, name: name, boot: d.boot, write: write}, nil
}

// Create implements disk.FS.
func (d *Disk) Create(name string) (disk.File, error) {
	unlock, err := d.begin(OpCreate, name)
	defer unlock()
	if err != nil {
		return nil, err
	}
	dir, base, err := d.folder(name)
	if err == nil && dir.entries[base] != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return nil, pathError(OpCreate, name, err)
	}
	n := &node{}
	dir.set(base, n)
	d.open++
	return &file{d: d, n: n, name: name, boot: d.boot, write: true}, nil
}

// Mkdir implements disk.FS.
func (d *Disk) Mkdir(name string) error {
	unlock, err := d.begin(OpMkdir, name)
	defer unlock()
	if err != nil {
		return err
	}
	dir, base, err := d.folder(name)
	if err == nil && dir.entries[base] != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return pathError(OpMkdir, name, err)
	}
	dir.set(base, newFolder())
	return nil
}

// Rename implements disk.FS.
func (d *Disk) Rename(oldName, newName string) error {
	unlock, err := d.begin(OpRename, newName)
	defer unlock()
	if err != nil {
		return err
	}
	from, oldBase, err := d.folder(oldName)
	if err != nil {
		return pathError(OpRename, oldName, err)
	}
	n := from.entries[oldBase]
	if n == nil {
		return pathError(OpRename, oldName, fs.ErrNotExist)
	}
	to, newBase, err := d.folder(newName)
	if err != nil {
		return pathError(OpRename, newName, err)
	}
	to.set(newBase, n)
	from.set(oldBase, nil)
	return nil
}

// Remove implements disk.FS.
func (d *Disk) Remove(name string) error {
	unlock, err := d.begin(OpRemove, name)
	defer unlock()
	if err != nil {
		return err
	}
	dir, base, err := d.folder(name)
	if err == nil && dir.entries[base] == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return pathError(OpRemove, name, err)
	}
	dir.set(base, nil)
	return nil
}

// ReadDir implements disk.FS.
func (d *Disk) ReadDir(name string) ([]string, error) {
	unlock, err := d.begin(OpReadDir, name)
	defer unlock()
	if err != nil {
		return nil, err
	}
	n, err := d.lookup(name)
	if err == nil && n.entries == nil {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathError(OpReadDir, name, err)
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// SyncDir implements disk.FS.
func (d *Disk) SyncDir(name string) error {
	unlock, err := d.begin(OpSyncDir, name)
	defer unlock()
	if err != nil {
		return err
	}
	n, err := d.lookup(name)
	if err != nil {
		return pathError(OpSyncDir, name, err)
	}
	for _, c := range n.pendingEntries {
		c.apply(n.durableEntries)
	}
	n.pendingEntries = nil
	return nil
}

// Free implements disk.FS. It is not counted: it asks memory, not the disk.
func (d *Disk) Free(string) (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return 0, 0, ErrCrashed
	}
	return d.capacity - d.used(), d.capacity, nil
}

// Lock implements disk.FS.
func (d *Disk) Lock(name, owner string) (io.Closer, error) {
	unlock, err := d.begin(OpLock, name)
	defer unlock()
	if err != nil {
		return nil, err
	}
	if holder, held := d.locks[name]; held {
		return nil, &disk.LockedError{Owner: holder}
	}
	d.locks[name] = owner
	return &lock{d: d, name: name, boot: d.boot}, nil
}

type lock struct {
	d    *Disk
	name string
	boot int
}

func (l *lock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.boot == l.d.boot {
		delete(l.d.locks, l.name)
	}
	return nil
}

// file is an open file.
type file struct {
	d      *Disk
	n      *node
	name   string
	boot   int
	write  bool
	closed bool
}

func (f *file) begin(op Op) (unlock func(), err error) {
	f.d.mu.Lock()
	switch {
	case f.closed:
		err = pathError(op, f.name, fs.ErrClosed)
	case f.boot != f.d.boot:
		err = pathError(op, f.name, ErrCrashed)
	case !f.write && op != OpRead:
		err = pathError(op, f.name, syscall.EBADF)
	default:
		err = f.d.call(op, f.name)
	}
	return f.d.mu.Unlock, err
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	unlock, err := f.begin(OpRead)
	defer unlock()
	if err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteVec applies its bytes before a crash or a fault takes effect: whether they last is another matter.
func (f *file) WriteVec(bufs [][]byte, off int64) error {
	whole := []byte{}
	for _, b := range bufs {
		whole = append(whole, b...)
	}
	wasCrashed := f.d.Crashed()
	unlock, err := f.begin(OpWrite)
	defer unlock()
	if err != nil && (wasCrashed || f.closed || f.boot != f.d.boot || !f.write) {
		return err
	}
	if err != nil && !f.d.crashed {
		whole = whole[:len(whole)/2]
	}
	room := f.d.capacity - f.d.used() - (off + int64(len(whole)) - int64(len(f.n.data)))
	if err == nil && room < 0 {
		whole = whole[:max(0, int64(len(whole))+room)]
		err = pathError(OpWrite, f.name, syscall.ENOSPC)
	}
	if len(whole) > 0 {
		f.change(change{off, whole})
	}
	return err
}

func (f *file) change(c change) {
	f.n.data = c.apply(f.n.data)
	f.n.pending = append(f.n.pending, c)
}

func (f *file) Datasync() error {
	unlock, err := f.begin(OpDatasync)
	defer unlock()
	if err != nil {
		if !f.d.crashed {
			f.n.pending = nil
		}
		return err
	}
	for _, c := range f.n.pending {
		f.n.durable = c.apply(f.n.durable)
	}
	f.n.pending = nil
	return nil
}

func (f *file) Truncate(size int64) error {
	unlock, err := f.begin(OpTruncate)
	defer unlock()
	if err == nil {
		f.change(change{off: size})
	}
	return err
}

func (f *file) PunchHole(off, n int64) error {
	unlock, err := f.begin(OpPunch)
	defer unlock()
	if err != nil {
		return err
	}
	if end := min(off+n, int64(len(f.n.data))); off < end {
		f.change(change{off, make([]byte, end-off)})
		f.n.holes += end - off
	}
	return nil
}

func (f *file) Writeback(_, _, _, _ int64) error {
	unlock, err := f.begin(OpWriteback)
	defer unlock()
	return err
}

func (f *file) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.crashed || f.boot != f.d.boot {
		return 0, ErrCrashed
	}
	return int64(len(f.n.data)), nil
}

func (f *file) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	if f.boot == f.d.boot {
		f.d.open--
	}
	return nil
}
