package bulkimport

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// Bounds of members that can be read once only, those of a tar.gz, bytes: what is held in memory of one, and on
// disk of all that may be part of a recording, until the archive ends.
const (
	heldInMemory = 1 << 20
	heldTogether = 4 << 30
)

// maxDirectory bounds the directory of a ZIP, bytes: all of it is in memory.
const maxDirectory = 64 << 20

// archive is one archive that is walked.
type archive struct {
	*walker
	path, key string
	groups    map[string]*group // by folder
	order     []*group
	entries   int
	bytes     int64 // unpacked
	out       sync.WaitGroup

	// Members that can be read once only and wait for others of their recording.
	wait *os.File
	held int64 // bytes in it
}

// close waits until nobody reads from the archive.
func (a *archive) close() {
	a.out.Wait()
	if a.wait != nil {
		discard(a.wait)
	}
}

// hidden makes a file that is gone when it is closed.
func (a *archive) hidden() (*os.File, error) {
	f, err := os.CreateTemp(a.TempDir, "tributary-import-")
	if err != nil {
		return nil, fmt.Errorf("hold a member of an archive: %w", plain(err))
	}
	_ = os.Remove(f.Name()) // where a system cannot do that yet, discard does
	return f, nil
}

func discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name()) // it is gone already where that is possible
}

// group of a member, and its base name. Names are looked at as text only.
func (a *archive) group(name string) (*group, string) {
	name = path.Clean("/" + strings.ReplaceAll(name, `\`, "/"))
	dir := path.Dir(name)
	g := a.groups[dir]
	if g == nil {
		g = &group{w: a.walker}
		a.groups[dir] = g
		a.order = append(a.order, g)
	}
	return g, clean(path.Base(name), maxName)
}

// end ends all folders.
func (a *archive) end() error {
	for _, g := range a.order {
		if err := g.end(); err != nil {
			return err
		}
	}
	return nil
}

// next counts a member.
func (a *archive) next() error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if a.entries++; a.entries > a.MaxEntries {
		return archiveError("it has more than %d members", a.MaxEntries)
	}
	return nil
}

// grow counts bytes that come out.
func (a *archive) grow(n, packed int64) error {
	a.bytes += n
	switch {
	case n < 0 || a.bytes > a.MaxBytes:
		return archiveError("it has more than %d bytes unpacked", a.MaxBytes)
	case packed >= 0 && a.bytes > freeBytes && a.bytes/maxRatio > packed:
		return archiveError("it unpacks to more than %d times its size", maxRatio)
	}
	return nil
}

// member hands on a member whose first bytes are known.
func (a *archive) member(name string, size int64, head []byte, open func() (io.ReadCloser, error), release func()) error {
	if sniff.Detect(head).Archive() {
		a.refuse(member(a.path, name), "an archive in an archive")
		release()
		return nil
	}
	g, base := a.group(name)
	return g.add(Entry{
		Path: member(a.path, name), Name: base, Key: Key(a.key, fmt.Sprint(a.entries), name), Size: size,
		Open: open, Release: release,
	}, head, false)
}

// counted is the file of a ZIP. It bounds what reading the directory may cost: each member of it begins with a
// signature and takes some hundred bytes of memory, whatever the end of the archive says of their number.
type counted struct {
	at    io.ReaderAt
	bytes int64
	marks int
	most  int
	open  bool // the directory is read, all else is not counted
}

var errTooMany = errors.New("too many members")

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.at.ReadAt(p, off)
	if !c.open {
		c.bytes += int64(n)
		c.marks += bytes.Count(p[:n], []byte("PK\x01\x02"))
		if c.marks > c.most || c.bytes > maxDirectory {
			return 0, errTooMany
		}
	}
	return n, err
}

// zip walks a ZIP by its directory.
func (a *archive) zip(f io.ReaderAt, size int64) error {
	c := &counted{at: f, most: a.MaxEntries}
	r, err := zip.NewReader(c, size)
	switch {
	case errors.Is(err, errTooMany):
		return archiveError("it has more than %d members, or %d bytes of directory", a.MaxEntries, maxDirectory)
	case err != nil && !errors.Is(err, zip.ErrInsecurePath): // names are never paths here
		return archiveError("it cannot be read as ZIP: %v", err)
	}
	c.open = true
	for _, m := range r.File {
		if err := a.next(); err != nil {
			return err
		}
		switch p := member(a.path, m.Name); {
		case m.Mode().IsDir():
		case !m.Mode().IsRegular():
			a.pass(p, "a link or special file", 0)
		case m.Flags&1 != 0:
			a.refuse(p, "it is encrypted")
		case m.UncompressedSize64 > uint64(a.MaxBytes): //nolint:gosec // more than 0
			a.refuse(p, "it is too large")
		case m.UncompressedSize64 > freeBytes && m.UncompressedSize64/maxRatio > m.CompressedSize64:
			a.refuse(p, fmt.Sprintf("it unpacks to more than %d times its size", maxRatio))
		default:
			head, err := headOf(m)
			if err != nil {
				a.refuse(p, "it cannot be unpacked: "+err.Error())
				continue
			}
			n := int64(m.UncompressedSize64) //nolint:gosec // within MaxBytes
			if err := a.grow(n, -1); err != nil {
				return err
			}
			if err := a.member(m.Name, n, head, m.Open, func() {}); err != nil {
				return err
			}
		}
	}
	return nil
}

func headOf(m *zip.File) ([]byte, error) {
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, sniff.HeadBytes))
}

// tar walks a tar on disk, whose members are read in place.
func (a *archive) tar(f *os.File, size int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r := tar.NewReader(f)
	for {
		h, err := a.nextOf(r)
		if h == nil || err != nil {
			return err
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if h.Size > size-at {
			return archiveError("it is cut off")
		}
		if err := a.grow(h.Size, -1); err != nil {
			return err
		}
		head := make([]byte, min(h.Size, sniff.HeadBytes))
		if _, err := f.ReadAt(head, at); err != nil && err != io.EOF {
			return archiveError("it cannot be read: %v", plain(err))
		}
		open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, at, h.Size)), nil }
		if err := a.member(h.Name, h.Size, head, open, func() {}); err != nil {
			return err
		}
	}
}

// nextOf goes to the next member that is a file; nil at the end.
func (a *archive) nextOf(r *tar.Reader) (*tar.Header, error) {
	for {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return nil, nil
		case errors.As(err, new(errArchive)):
			return nil, err
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return nil, archiveError("it cannot be read as tar: %v", plain(err))
		}
		if err := a.next(); err != nil {
			return nil, err
		}
		sparse := h.Typeflag == tar.TypeGNUSparse
		for key := range h.PAXRecords {
			sparse = sparse || strings.HasPrefix(key, "GNU.sparse.")
		}
		switch {
		case sparse:
			a.refuse(member(a.path, h.Name), "a sparse file")
		case h.Typeflag == tar.TypeDir:
		case h.Typeflag != tar.TypeReg:
			a.pass(member(a.path, h.Name), "a link or special file", 0)
		default:
			return h, nil
		}
	}
}

// packed counts what goes into a decompressor, and bounds what comes out of it.
type packed struct {
	in  *reading
	out io.Reader
	a   *archive
}

type reading struct {
	r io.Reader
	n int64
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	return n, err
}

func (p *packed) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if gerr := p.a.grow(int64(n), p.in.n); gerr != nil {
		return 0, gerr
	}
	return n, err
}

// gzip walks a tar.gz in one pass; a gzip of anything else is one object.
func (a *archive) gzip(f *os.File, _ int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := &reading{r: f}
	z, err := gzip.NewReader(bufio.NewReaderSize(in, 256<<10))
	if err != nil {
		return archiveError("it cannot be read as gzip: %v", err)
	}
	src := bufio.NewReaderSize(&packed{in, z, a}, sniff.HeadBytes)
	head, err := src.Peek(sniff.HeadBytes)
	if err != nil && err != io.EOF {
		return a.cut(err)
	}
	if sniff.Detect(head) != sniff.TAR {
		name := filepath.Base(a.path)
		return a.once(strings.TrimSuffix(name, filepath.Ext(name)), src)
	}
	r := tar.NewReader(src)
	for {
		h, err := a.nextOf(r)
		if h == nil || err != nil {
			return err
		}
		if err := a.once(h.Name, r); err != nil {
			return err
		}
	}
}

// cut says why an archive ends.
func (a *archive) cut(err error) error {
	if errors.As(err, new(errArchive)) || a.ctx.Err() != nil {
		return err
	}
	return archiveError("it cannot be unpacked: %v", err)
}

// once holds a member that can be read once only, in memory or in a file without a name.
func (a *archive) once(name string, r io.Reader) error {
	head, err := io.ReadAll(io.LimitReader(r, sniff.HeadBytes))
	if err != nil {
		return a.cut(err)
	}
	all := io.MultiReader(bytes.NewReader(head), r)
	switch format := sniff.Detect(head); {
	case format == sniff.Unknown, format == sniff.WFDBHeader, format == sniff.ISHNE, format == sniff.ISHNEAnn:
		return a.onceOfMany(name, head, all)
	case !format.Kept():
		return a.member(name, int64(len(head)), head, nil, func() {}) // passed over
	}
	data, err := io.ReadAll(io.LimitReader(all, heldInMemory+1))
	if err != nil {
		return a.cut(err)
	}
	if len(data) <= heldInMemory {
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		return a.member(name, int64(len(data)), head, open, func() {})
	}
	f, err := a.hidden()
	if err != nil {
		return err
	}
	n, err := a.copy(f, io.MultiReader(bytes.NewReader(data), r))
	if err != nil {
		discard(f)
		return err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, n)), nil }
	return a.member(name, n, head, open, func() { discard(f) })
}

// onceOfMany holds a member that may be part of a recording.
func (a *archive) onceOfMany(name string, head []byte, all io.Reader) error {
	if a.wait == nil {
		f, err := a.hidden()
		if err != nil {
			return err
		}
		a.wait = f
	}
	at := a.held
	n, err := a.copy(io.NewOffsetWriter(a.wait, at), io.LimitReader(all, heldTogether-at))
	if err != nil {
		return err
	}
	if n == heldTogether-at {
		a.refuse(member(a.path, name), "more than can be held of files that may belong together")
		return nil
	}
	a.held += n
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(a.wait, at, n)), nil }
	return a.member(name, n, head, open, func() {})
}

// copy tells faults of our disk, which end the walk, from those of the archive.
func (a *archive) copy(to io.Writer, from io.Reader) (int64, error) {
	n, err := io.Copy(to, from)
	var onDisk *os.PathError
	if errors.As(err, &onDisk) && onDisk.Op == "write" {
		return n, fmt.Errorf("hold a member of an archive: %w", plain(err))
	}
	if err != nil {
		return n, a.cut(err)
	}
	return n, nil
}
