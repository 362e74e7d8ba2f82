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
// object id; an object never changes.
type layouts struct {
	mu    sync.Mutex
	known []remembered // most recently used last
	cost  int
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

func (l *layouts) get(id string) *layout {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.known, func(k remembered) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	k := l.known[i]
	l.known = append(slices.Delete(l.known, i, i+1), k)
	return k.layout
}

func (l *layouts) put(id string, lay *layout) {
	cost := 1 + len(lay.frames.Fragments) + len(lay.frames.First) + 4*len(lay.bulk)
	if cost > layoutBudget {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.known, func(k remembered) bool { return k.id == id }) {
		return
	}
	l.known = append(l.known, remembered{id, cost, lay})
	for l.cost += cost; l.cost > layoutBudget || len(l.known) > layoutCount; {
		l.cost -= l.known[0].cost
		l.known = slices.Delete(l.known, 0, 1)
	}
}

// layoutOf returns the layout of the instance in scope. Which object is current is asked each time.
func (s *server) layoutOf(ctx context.Context, sc index.Scope) (*layout, error) {
	o, err := s.first(ctx, sc, index.Want{})
	if err != nil {
		return nil, err
	}
	if lay := s.layouts.get(o.ObjectID); lay != nil {
		return lay, nil
	}
	if o, err = s.first(ctx, sc, index.Want{Layout: true}); err != nil {
		return nil, err
	}
	lay := &layout{item: itemOf(o), dataset: o.DatasetOffset, frames: o.Frames, bulk: o.Bulk}
	s.layouts.put(o.ObjectID, lay)
	return lay, nil
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
