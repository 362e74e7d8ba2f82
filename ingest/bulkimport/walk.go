package bulkimport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tributary-dicom/tributary/ingest/bundle"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// Entry is one object that an import found: a file, a member of an archive, or a recording of several.
type Entry struct {
	Path string // for people: ARCHIVE!MEMBER within an archive. It may tell a patient: print it, do not log it
	Name string // base name
	Key  string // the same in each run as long as the file is: hex
	Size int64  // bytes

	Format sniff.Format

	// Open opens it from its first byte, as often as wanted, until Release.
	Open func() (io.ReadCloser, error)
	// Release gives back what the entry holds. Whoever was given the entry calls it once, from any goroutine.
	Release func()
}

// Skipped is what an import found and does not send.
type Skipped struct {
	Path    string
	Why     string
	Refused bool // it should have been sent: its owner must look at it
	Size    int64
}

// WalkConfig says what Walk looks for. Zero fields take the defaults.
type WalkConfig struct {
	Flat bool // files of a folder only, not of those below it

	// Of one archive. Defaults: 200,000 members, 1 TiB unpacked. Fewer refuse archives of a department; more let a
	// hostile one fill memory with names.
	MaxEntries int
	MaxBytes   int64

	TempDir string // where members are held that can be read once only; "" is the system's

	// Entry hears of each object, one at a time; its error ends the walk.
	Entry func(Entry) error
	// Skip hears of what is not sent.
	Skip func(Skipped)
}

// maxRatio is how many bytes may come out of an archive for each that went in, after freeBytes. Frames of one
// colour come to some hundred; what is made to hurt comes to a thousand.
const (
	maxRatio  = 250
	freeBytes = 64 << 20
)

// walker is one walk.
type walker struct {
	WalkConfig
	ctx context.Context
}

// errArchive is about one archive, which is passed over: the walk goes on.
type errArchive struct{ why string }

func (e errArchive) Error() string { return e.why }

func archiveError(format string, args ...any) error { return errArchive{fmt.Sprintf(format, args...)} }

// Walk finds the objects of a file, folder, archive (ZIP, tar, tar.gz) or DICOMDIR. Of folders and archives it
// passes over what is no format of ours; a file that was named is an entry whatever it is. Archives in archives,
// encrypted and sparse members are refused, links and special files passed over; the DICOMDIR itself is no
// object. The error is cfg.Entry's, ctx's, or that the path cannot be read.
func Walk(ctx context.Context, name string, cfg WalkConfig) error {
	if cfg.MaxEntries == 0 {
		cfg.MaxEntries = 200_000
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 40
	}
	w := &walker{cfg, ctx}
	info, err := os.Stat(name) // a link that is named is meant
	if err != nil {
		return err
	}
	if !info.IsDir() && strings.EqualFold(filepath.Base(name), "DICOMDIR") {
		name = filepath.Dir(name) // of a medium: the files are beside and below it
		if info, err = os.Stat(name); err != nil {
			return err
		}
	}
	if info.IsDir() {
		return w.folder(name, 0)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", name)
	}
	g := &group{w: w}
	if err := w.file(g, name, info, true); err != nil {
		return err
	}
	return g.end()
}

func (w *walker) refuse(path, why string) { w.Skip(Skipped{Path: path, Why: why, Refused: true}) }

func (w *walker) pass(path, why string, size int64) {
	w.Skip(Skipped{Path: path, Why: why, Size: size})
}

// folder walks a folder on disk.
func (w *walker) folder(dir string, depth int) error {
	if depth > maxDepth {
		w.refuse(dir, fmt.Sprintf("more than %d folders deep", maxDepth))
		return nil
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		if depth == 0 {
			return err
		}
		w.refuse(dir, plain(err).Error())
		return nil
	}
	g := &group{w: w}
	for _, e := range list {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		p := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir() && e.Name() == ownFolder:
		case e.IsDir() && !w.Flat:
			if err := w.folder(p, depth+1); err != nil {
				return err
			}
		case e.IsDir():
		case !e.Type().IsRegular():
			w.pass(p, "a link or special file", 0)
		default:
			info, err := e.Info()
			if err != nil {
				w.refuse(p, plain(err).Error())
				continue
			}
			if err := w.file(g, p, info, false); err != nil {
				return err
			}
		}
	}
	return g.end()
}

// file looks at a file on disk. One that was named must go, or be refused by the node.
func (w *walker) file(g *group, p string, info fs.FileInfo, named bool) error {
	f, err := os.Open(p)
	if err != nil {
		if named {
			return err
		}
		w.refuse(p, plain(err).Error())
		return nil
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, sniff.HeadBytes))
	if err != nil {
		w.refuse(p, plain(err).Error())
		return nil
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return err
	}
	key := Key(abs, fmt.Sprint(info.Size()), fmt.Sprint(info.ModTime().UnixNano()))
	if format := sniff.Detect(head); format.Archive() {
		err := w.archive(p, key, f, info.Size(), format)
		var e errArchive
		if errors.As(err, &e) {
			w.refuse(p, e.why)
			return nil
		}
		return err
	}
	e := Entry{
		Path: p, Name: clean(filepath.Base(p), maxName), Key: key, Size: info.Size(),
		Open: func() (io.ReadCloser, error) { return os.Open(p) },
	}
	return g.add(e, head, named)
}

// Key names something by what makes it what it is, in hex.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// archive walks the members of an archive that is open.
func (w *walker) archive(p, key string, f *os.File, size int64, format sniff.Format) error {
	a := &archive{path: p, key: key, groups: map[string]*group{}}
	cfg := w.WalkConfig
	cfg.Entry = func(e Entry) error {
		a.out.Add(1)
		release := e.Release
		e.Release = func() {
			release()
			a.out.Done()
		}
		return w.Entry(e)
	}
	a.walker = &walker{cfg, w.ctx}
	defer a.close()
	var err error
	switch format {
	case sniff.ZIP:
		err = a.zip(f, size)
	case sniff.TAR:
		err = a.tar(f, size)
	default:
		err = a.gzip(f, size)
	}
	if err != nil && !errors.As(err, new(errArchive)) {
		return err
	}
	// What came before a fault of the archive is whole; it goes.
	if err := a.end(); err != nil {
		return err
	}
	return err
}

// group is what is seen of one folder, on disk or within an archive. Files that may be of one recording wait in it
// until the folder ends.
type group struct {
	w    *walker
	wait []waiting
}

type waiting struct {
	Entry
	header []byte // of a WFDB header
	named  bool
}

// add takes a file with its first bytes: it goes on, waits, or is passed over.
func (g *group) add(e Entry, head []byte, named bool) error {
	if e.Release == nil {
		e.Release = func() {}
	}
	e.Format = sniff.Detect(head)
	switch {
	case e.Format == sniff.DICOM && isDICOMDIR(e.Name, head):
		g.w.pass(e.Path, "a table of contents, which the node makes anew", e.Size)
		e.Release()
		return nil
	case e.Format == sniff.WFDBHeader && e.Size <= bundle.MaxHeader:
		header, err := readAll(e)
		if err != nil {
			g.w.refuse(e.Path, plain(err).Error())
			e.Release()
			return nil
		}
		g.wait = append(g.wait, waiting{e, header, named})
		return nil
	case e.Format == sniff.Unknown, e.Format == sniff.ISHNE, e.Format == sniff.ISHNEAnn:
		g.wait = append(g.wait, waiting{e, nil, named})
		return nil
	}
	return g.send(e, named)
}

func readAll(e Entry) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, bundle.MaxHeader))
}

// isDICOMDIR tells the table of contents of a medium (PS3.10 §8.6) by its name and its Media Storage SOP Class.
func isDICOMDIR(name string, head []byte) bool {
	return strings.EqualFold(name, "DICOMDIR") && bytes.Contains(head, []byte("1.2.840.10008.1.3.10\x00"))
}

// send passes an entry on, or over.
func (g *group) send(e Entry, named bool) error {
	if !named && !e.Format.Kept() {
		g.w.pass(e.Path, "no format that is taken: "+e.Format.String(), e.Size)
		e.Release()
		return nil
	}
	return g.w.Entry(e)
}

// end makes recordings of what waited; the rest goes by itself.
func (g *group) end() error {
	byName := map[string]*waiting{}
	var candidates []bundle.Candidate
	for i := range g.wait {
		m := &g.wait[i]
		byName[m.Name] = m
		candidates = append(candidates, bundle.Candidate{Name: m.Name, Format: m.Format, Header: m.header})
	}
	mine := map[*waiting]bool{}
	var whole []bundle.Record
	if len(byName) == len(g.wait) { // names of members may repeat; then nobody knows which is meant
		for _, r := range bundle.Records(candidates) {
			if len(r.Missing) > 0 {
				continue
			}
			whole = append(whole, r)
			for _, name := range append([]string{r.Main}, r.Parts...) {
				mine[byName[name]] = true
			}
		}
	}
	for i := range g.wait {
		if m := &g.wait[i]; !mine[m] {
			if err := g.send(m.Entry, m.named); err != nil {
				return err
			}
		}
	}
	for _, r := range whole {
		var files []bundle.File
		var keys []string
		for _, name := range append([]string{r.Main}, r.Parts...) {
			m := byName[name]
			files = append(files, bundle.File{Name: m.Name, Size: m.Size, Open: m.Open})
			keys = append(keys, m.Key)
		}
		b, err := bundle.New(files[0], files[1:])
		if err != nil {
			return err // names of files cannot be such
		}
		main := byName[r.Main]
		err = g.w.Entry(Entry{
			Path: main.Path, Name: clean(bundle.Name(main.Name), maxName), Key: Key(keys...), Size: b.Size(), Format: sniff.TAR,
			Open:    func() (io.ReadCloser, error) { return bundle.New(files[0], files[1:]) },
			Release: func() {},
		})
		if err != nil {
			return err
		}
	}
	g.wait = nil
	return nil
}

// member is how a member is told to people.
func member(archive, name string) string {
	return archive + "!" + clean(path.Clean(strings.ReplaceAll(name, `\`, "/")), maxPath)
}

// Extent is how many bytes lie on disk below the paths, for those who show how far an import has come. What
// cannot be read counts as nothing.
func Extent(ctx context.Context, paths []string, flat bool) (n int64) {
	for _, name := range paths {
		root := name
		if strings.EqualFold(filepath.Base(name), "DICOMDIR") {
			root = filepath.Dir(name)
		}
		_ = filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				return nil //nolint:nilerr // Walk tells of it
			case e.IsDir() && p != root && flat:
				return fs.SkipDir
			case e.Type().IsRegular():
				if info, err := e.Info(); err == nil {
					n += info.Size()
				}
			}
			return nil
		})
	}
	return n
}
