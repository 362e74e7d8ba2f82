package simfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// ErrCrashed is returned by every call between a crash and Restart, and by files opened before it.
var ErrCrashed = errors.New("the power is off")

// Op names a kind of call.
type Op string

// The calls that are counted and can fail.
const (
	OpOpen      Op = "open"
	OpCreate    Op = "create"
	OpMkdir     Op = "mkdir"
	OpRename    Op = "rename"
	OpRemove    Op = "remove"
	OpReadDir   Op = "readdir"
	OpSyncDir   Op = "syncdir"
	OpLock      Op = "lock"
	OpRead      Op = "read"
	OpWrite     Op = "write"
	OpDatasync  Op = "datasync"
	OpTruncate  Op = "truncate"
	OpPunch     Op = "punch"
	OpWriteback Op = "writeback"
)

// Call is one I/O call, numbered from 1.
type Call struct {
	N    int
	Op   Op
	Name string
}

// Mode says what a crash does to changes that were not synced.
type Mode int

// Fates of what was not synced.
const (
	Keep Mode = iota // all of it reached the disk
	Drop             // none did
	Tear             // any part did, by the disk's seed
)

func (m Mode) String() string { return [...]string{"keep", "drop", "tear"}[m] }

// sector is what a disk writes whole.
const sector = 512

// Disk is a disk.FS. Safe for concurrent use.
type Disk struct {
	mu       sync.Mutex
	rng      *rand.Rand
	root     *node
	calls    int
	counts   map[Op]int
	crashAt  int
	mode     Mode
	crashed  bool
	boot     int
	fault    func(Call) error
	capacity int64
	open     int
	locks    map[string]string
}

// node is a file or a folder.
type node struct {
	// A folder: names as seen and as durable.
	entries, durableEntries map[string]*node
	pendingEntries          []entryChange

	// A file: bytes as seen and as durable.
	data, durable []byte
	pending       []change
	holes         int64
}

// entryChange sets a name in a folder; a nil node removes it.
type entryChange struct {
	name string
	node *node
}

// change is a write, or a truncation when data is nil.
type change struct {
	off  int64 // or the new length
	data []byte
}

// New returns an empty disk of 1 TiB. The seed decides what Tear leaves.
func New(seed uint64) *Disk {
	return &Disk{
		rng:      rand.New(rand.NewPCG(seed, 0)),
		root:     newFolder(),
		counts:   map[Op]int{},
		capacity: 1 << 40,
		locks:    map[string]string{},
	}
}

func newFolder() *node {
	return &node{entries: map[string]*node{}, durableEntries: map[string]*node{}}
}

// CrashAt cuts the power in call n, counted from now on: the call fails and all later ones do.
func (d *Disk) CrashAt(n int, mode Mode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashAt, d.mode = d.calls+n, mode
}

// Crash cuts the power now.
func (d *Disk) Crash(mode Mode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed, d.mode = true, mode
}

// Crashed tells whether the power is off.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashed
}

// Restart cuts the power if it is still on, switches it on again and forgets faults, locks and open files.
func (d *Disk) Restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(d.root)
	d.crashed, d.crashAt, d.fault, d.open = false, 0, nil, 0
	d.boot++
	clear(d.locks)
}

// settle makes what a crash leaves what is seen.
func (d *Disk) settle(n *node) {
	if n.entries == nil {
		for _, c := range n.pending {
			d.persist(n, c)
		}
		n.pending, n.data = nil, slices.Clone(n.durable)
		return
	}
	for _, c := range n.pendingEntries {
		if d.keeps() {
			c.apply(n.durableEntries)
		}
	}
	n.pendingEntries, n.entries = nil, maps.Clone(n.durableEntries)
	for _, name := range slices.Sorted(maps.Keys(n.entries)) { // sorted, so that one seed tells one story
		d.settle(n.entries[name])
	}
}

func (d *Disk) keeps() bool { return d.mode == Keep || d.mode == Tear && d.rng.IntN(2) == 0 }

func (d *Disk) persist(n *node, c change) {
	if d.mode != Tear || c.data == nil {
		if d.keeps() {
			n.durable = c.apply(n.durable)
		}
		return
	}
	for at := 0; at < len(c.data); {
		end := min(at+sector-int((c.off+int64(at))%sector), len(c.data))
		if d.keeps() {
			n.durable = change{c.off + int64(at), c.data[at:end]}.apply(n.durable)
		}
		at = end
	}
}

func (c entryChange) apply(to map[string]*node) {
	if c.node == nil {
		delete(to, c.name)
	} else {
		to[c.name] = c.node
	}
}

func (c change) apply(b []byte) []byte {
	end := c.off + int64(len(c.data))
	if c.data == nil && end < int64(len(b)) {
		return b[:end]
	}
	if grow := end - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[c.off:], c.data)
	return b
}

// SetFault makes f decide about every call: an error it returns is the call's. A write that fails has
// written its first half; a sync that fails has lost what it was to make durable. f must not use the disk.
func (d *Disk) SetFault(f func(Call) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// FailAt makes call n, counted from now on, fail with err, and no other.
func (d *Disk) FailAt(n int, err error) {
	at := d.Calls() + n
	d.SetFault(func(c Call) error {
		if c.N == at {
			return err
		}
		return nil
	})
}

// SetCapacity sets the disk's size in bytes. Writing beyond it fails with ENOSPC.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Calls returns the number of calls so far.
func (d *Disk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Count returns the number of calls of a kind so far.
func (d *Disk) Count(op Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[op]
}

// OpenFiles returns how many files were opened and not closed since the last Restart.
func (d *Disk) OpenFiles() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// Files returns the paths of all files, sorted.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		for name, child := range n.entries {
			sub := filepath.Join(path, name)
			if child.entries == nil {
				all = append(all, sub)
			} else {
				walk(sub, child)
			}
		}
	}
	walk(string(filepath.Separator), d.root)
	slices.Sort(all)
	return all
}

// Get returns a copy of a file's bytes as seen.
func (d *Disk) Get(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.lookup(name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(n.data), nil
}

// Put sets a file's bytes, durably, and makes its folders. It is not a call.
func (d *Disk) Put(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.root
	dir, base := filepath.Split(filepath.Clean(name))
	for _, part := range parts(dir) {
		next := at.entries[part]
		if next == nil {
			next = newFolder()
			at.entries[part] = next
		}
		at.durableEntries[part] = next
		at = next
	}
	n := at.entries[base]
	if n == nil {
		n = &node{}
		at.entries[base] = n
	}
	at.durableEntries[base] = n
	n.data, n.durable, n.pending = slices.Clone(data), slices.Clone(data), nil
}

// call counts a call and decides its fate. The caller holds d.mu.
func (d *Disk) call(op Op, name string) error {
	if d.crashed {
		return &fs.PathError{Op: string(op), Path: name, Err: ErrCrashed}
	}
	d.calls++
	d.counts[op]++
	if d.crashAt > 0 && d.calls >= d.crashAt {
		d.crashed = true
		return &fs.PathError{Op: string(op), Path: name, Err: ErrCrashed}
	}
	if d.fault != nil {
		if err := d.fault(Call{d.calls, op, name}); err != nil {
			return &fs.PathError{Op: string(op), Path: name, Err: fmt.Errorf("call %d: %w", d.calls, err)}
		}
	}
	return nil
}

func (d *Disk) used() int64 {
	var sum int64
	var walk func(n *node)
	walk = func(n *node) {
		sum += int64(len(n.data)) - n.holes
		for _, child := range n.entries {
			walk(child)
		}
	}
	walk(d.root)
	return sum
}

// parts returns the names along a path, without a volume.
func parts(path string) []string {
	path = filepath.Clean(path)
	path = path[len(filepath.VolumeName(path)):]
	var names []string
	for _, name := range splitAll(path) {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

func splitAll(path string) []string {
	var names []string
	for path != "" {
		dir, base := filepath.Split(path)
		names = append(names, base)
		path = dir
		for path != "" && path[len(path)-1] == filepath.Separator {
			path = path[:len(path)-1]
		}
	}
	slices.Reverse(names)
	return names
}

// lookup finds a node. The caller holds d.mu.
func (d *Disk) lookup(name string) (*node, error) {
	n := d.root
	for _, part := range parts(name) {
		if n.entries == nil {
			return nil, syscall.ENOTDIR
		}
		if n = n.entries[part]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

// folder finds the folder of a path, and the name in it.
func (d *Disk) folder(name string) (*node, string, error) {
	dir, base := filepath.Split(filepath.Clean(name))
	n, err := d.lookup(dir)
	if err == nil && n.entries == nil {
		err = syscall.ENOTDIR
	}
	return n, base, err
}

// set changes a name in a folder, not durably.
func (n *node) set(name string, child *node) {
	c := entryChange{name, child}
	c.apply(n.entries)
	n.pendingEntries = append(n.pendingEntries, c)
}
