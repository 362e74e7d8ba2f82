package dicomweb

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/uid"
	"github.com/tributary-dicom/tributary/storage/index"
)

// layout is where the values of one instance lie.
type layout struct {
	item
	dataset int64 // offset of the data set in the file
	frames  part10.FrameTable
	bulk    []part10.Bulk
}

// layouts remembers the layouts of instances whose frames are being read: a viewer asks for one frame at
// a time, and a slide's table of 100,000 frames takes longer to decode than the frame to send. Keyed by
// object id, blob key and reading: an object changes only when other bytes take the place of damaged ones, or when
// newer parsers read it.
//
// A table of two million fragments, from one file of 16 MiB, takes 200 MiB to decode and 60 to keep. So
// few are decoded at a time, and those too large to be remembered are shared while they are in use.
type layouts struct {
	mu    sync.Mutex
	known []remembered // most recently used last
	cost  int
	inUse map[string]*borrowed // too large to be remembered
	turns chan struct{}        // has a token for each layout that is being decoded
}

// borrowed is a large layout that requests are using.
type borrowed struct {
	*layout
	users int
}

const (
	decodeAtOnce = 2
	largeInUse   = 4 // different ones; a fifth is told to come again
)

func newLayouts() layouts {
	return layouts{inUse: map[string]*borrowed{}, turns: make(chan struct{}, decodeAtOnce)}
}

type remembered struct {
	id   string
	cost int
	*layout
}

// layoutBudget bounds what is remembered, in table entries of up to 48 bytes: some 12 MiB.
const (
	layoutBudget = 250_000
	layoutCount  = 64
)

// get returns the layout and what to call when it is no longer needed, or nil.
func (l *layouts) get(id string) (*layout, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.inUse[id]; b != nil {
		b.users++
		return b.layout, func() { l.giveBack(id) }
	}
	i := slices.IndexFunc(l.known, func(k remembered) bool { return k.id == id })
	if i < 0 {
		return nil, nil
	}
	k := l.known[i]
	l.known = append(slices.Delete(l.known, i, i+1), k)
	return k.layout, func() {}
}

func (l *layouts) giveBack(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.inUse[id]
	if b.users--; b.users == 0 {
		delete(l.inUse, id)
	}
}

// put remembers a layout, or notes that a large one is in use. It returns false when too many of those are.
func (l *layouts) put(id string, lay *layout) bool {
	cost := 1 + len(lay.frames.Fragments) + len(lay.frames.First) + 4*len(lay.bulk)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inUse[id] != nil {
		return true
	}
	if cost > layoutBudget {
		if len(l.inUse) >= largeInUse {
			return false
		}
		l.inUse[id] = &borrowed{lay, 0}
		return true
	}
	if slices.ContainsFunc(l.known, func(k remembered) bool { return k.id == id }) {
		return true
	}
	l.known = append(l.known, remembered{id, cost, lay})
	for l.cost += cost; l.cost > layoutBudget || len(l.known) > layoutCount; {
		l.cost -= l.known[0].cost
		l.known = slices.Delete(l.known, 0, 1)
	}
	return true
}

// load returns a layout that get does not know, once it is this caller's turn.
func (l *layouts) load(ctx context.Context, id string, decode func() (*layout, error)) (*layout, func(), error) {
	select {
	case l.turns <- struct{}{}:
		defer func() { <-l.turns }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if lay, done := l.get(id); lay != nil { // somebody was faster
		return lay, done, nil
	}
	lay, err := decode()
	if err != nil {
		return nil, nil, err
	}
	if lay, done := l.get(id); lay != nil {
		return lay, done, nil
	}
	if !l.put(id, lay) {
		return nil, nil, fail(http.StatusServiceUnavailable, "too many instances with very large frame tables are being read; try again")
	}
	if lay, done := l.get(id); lay != nil {
		return lay, done, nil
	}
	return lay, func() {}, nil // others have pushed it out already
}

// layoutOf returns the layout of the instance in scope, and what to call when it is no longer needed.
// Which object is current is asked each time.
func (s *server) layoutOf(ctx context.Context, sc index.Scope) (*layout, func(), error) {
	o, err := s.first(ctx, sc, index.Want{})
	if err != nil {
		return nil, nil, err
	}
	id := o.ObjectID + " " + o.BlobKey + " " + o.Reading
	if lay, done := s.layouts.get(id); lay != nil {
		return lay, done, nil
	}
	return s.layouts.load(ctx, id, func() (*layout, error) {
		o, err := s.first(ctx, sc, index.Want{Layout: true})
		if err != nil {
			return nil, err
		}
		return &layout{item: itemOf(o), dataset: o.DatasetOffset, frames: o.Frames, bulk: o.Bulk}, nil
	})
}

// source opens the values of an instance. The function frees it.
func (s *server) source(lay *layout, isInflated bool) (source, func()) {
	file := stored{s.Blobs, lay.key}
	if !isInflated {
		return file, func() {}
	}
	z := &inflated{stored: file, dataset: lay.dataset}
	return z, z.close
}

// ordered puts a big endian value into little endian order, the only one in which bulk data travels
// (PS3.18 §8.7.3.5.2: Explicit VR Little Endian).
func (lay *layout) ordered(src source, value part10.Bulk) source {
	if ts, ok := uid.TransferSyntax(lay.syntax); !ok || !ts.BigEndian {
		return src
	}
	if width := wordOf(value.VR); width > 1 {
		return swapped{src, value.Offset, value.Length, width}
	}
	return src
}

// wordOf is the unit in which the bytes of a value are swapped, PS3.5 §7.3.
func wordOf(vr string) int64 {
	switch vr {
	case "OW", "US", "SS", "AT":
		return 2
	case "OF", "OL", "FL", "SL", "UL":
		return 4
	case "OD", "OV", "FD", "SV", "UV":
		return 8
	}
	return 1
}

// find returns the bulk value at path, in the spelling of part10.Bulk.
func (lay *layout) find(path string) (part10.Bulk, error) {
	for _, b := range lay.bulk {
		if strings.EqualFold(b.Path, path) {
			return b, nil
		}
	}
	return part10.Bulk{}, fail(http.StatusNotFound, "this instance has no bulk data under that path; /metadata lists what there is")
}
