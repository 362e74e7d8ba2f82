package bundle

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// File is one file of a bundle.
type File struct {
	Name string // base name
	Size int64  // bytes
	Open func() (io.ReadCloser, error)
}

// blockBytes is what contents of a tar are padded to, endBytes what ends it (POSIX.1 pax, ustar).
const (
	blockBytes = 512
	endBytes   = 2 * blockBytes
)

// Name is what a bundle with this main file is called.
func Name(main string) string { return strings.TrimSuffix(main, path.Ext(main)) + ".tar" }

// Tar is a bundle, read once from its first byte.
type Tar struct {
	size  int64
	files []File
	next  int // file to be opened
	now   io.Reader
	open  io.ReadCloser
	err   error
}

// New makes a bundle of a main file and its companions; their order does not matter. No file is opened before
// the bundle is read.
func New(main File, parts []File) (*Tar, error) {
	t := &Tar{files: append([]File{main}, parts...), size: endBytes}
	slices.SortFunc(t.files[1:], func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range t.files {
		if i > 1 && f.Name == t.files[i-1].Name || i > 0 && f.Name == main.Name || strings.ContainsAny(f.Name, "/\\\x00") || f.Name == "" {
			return nil, fmt.Errorf("bundle: file %d has no name of its own", i)
		}
		head, err := headerOf(f)
		if err != nil {
			return nil, err
		}
		t.size += int64(len(head)) + f.Size + padding(f.Size)
	}
	return t, nil
}

// Size is how many bytes the bundle has.
func (t *Tar) Size() int64 { return t.size }

// headerOf is the header of an entry. Owner, mode and time are nobody's: they differ between senders.
func headerOf(f File) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o644, ModTime: time.Unix(0, 0),
	})
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return b.Bytes(), nil
}

func padding(n int64) int64 { return -n & (blockBytes - 1) }

// Read implements io.Reader. A file that has not the size that was told ends it with io.ErrUnexpectedEOF.
func (t *Tar) Read(p []byte) (int, error) {
	for t.err == nil {
		if t.now == nil {
			t.err = t.begin()
			continue
		}
		n, err := t.now.Read(p)
		if err == io.EOF {
			err = t.end()
		}
		t.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, t.err
}

// begin opens the next piece.
func (t *Tar) begin() error {
	if t.next > len(t.files) {
		return io.EOF
	}
	if t.next == len(t.files) {
		t.now = bytes.NewReader(make([]byte, endBytes))
		return nil
	}
	f := t.files[t.next]
	head, err := headerOf(f)
	if err != nil {
		return err
	}
	if t.open, err = f.Open(); err != nil {
		return err
	}
	t.now = io.MultiReader(bytes.NewReader(head), &exactly{t.open, f.Size}, bytes.NewReader(make([]byte, padding(f.Size))))
	return nil
}

// end closes a piece that was read to its end.
func (t *Tar) end() error {
	t.next++
	t.now = nil
	if t.open == nil {
		return nil
	}
	open := t.open
	t.open = nil
	return open.Close()
}

// Close closes what is open.
func (t *Tar) Close() error {
	if t.err == nil {
		t.err = io.ErrClosedPipe
	}
	if t.open == nil {
		return nil
	}
	open := t.open
	t.open = nil
	return open.Close()
}

// exactly reads a file of left bytes to its end, where its own reader may have a last word.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left > 0 {
		n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
		e.left -= int64(n)
		if err == io.EOF {
			if err = nil; e.left > 0 {
				err = io.ErrUnexpectedEOF
			}
		}
		return n, err
	}
	var one [1]byte
	n, err := e.r.Read(one[:])
	if n > 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}
