package reprocess

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// shelf is an index and an intake in memory: objects with the version of the parsers that read them.
type shelf struct {
	mu      sync.Mutex
	objects []*held
	version int
	reads   map[string]int
	fail    func(call string) error // may break any call
}

type held struct {
	Object
	parsers int
	gone    bool
	broken  error
}

var errLost = errors.New("lost")

func newShelf(n, version int) *shelf {
	s := &shelf{version: version, reads: map[string]int{}, fail: func(string) error { return nil }}
	for i := range n {
		id := fmt.Sprintf("%03d", i)
		s.objects = append(s.objects, &held{Object: Object{Kind: KindInstance, ID: id, Blob: "b" + id, Bytes: 10, Tenant: "t", SOPInstanceUID: "1." + id}})
	}
	return s
}

func (s *shelf) ParserVersion() int { return s.version }

func (s *shelf) Objects(_ context.Context, _ Selection, below int, after Place, most int) (page []Object, next Place, last bool, err error) {
	if err := s.fail("objects"); err != nil {
		return nil, after, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next = after
	for _, o := range s.objects {
		if o.ID <= after.Key || o.gone || below > 0 && o.parsers >= below {
			continue
		}
		if len(page) == most {
			return page, next, false, nil
		}
		page, next = append(page, o.Object), Place{Kind: o.Kind, Key: o.ID}
	}
	return page, next, true, nil
}

func (s *shelf) find(id string) *held {
	for _, o := range s.objects {
		if o.ID == id || o.Blob == id {
			return o
		}
	}
	return nil
}

type nothingSaid struct{}

func (nothingSaid) Beside() (string, string)                               { return "", "" }
func (nothingSaid) Differs(*event.Instance) (parts, k []string, err error) { return nil, nil, nil }

func (s *shelf) Said(_ context.Context, o Object) (Said, error) {
	if err := s.fail("said"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(o.ID).gone {
		return nil, ErrGone
	}
	return nothingSaid{}, nil
}

func (s *shelf) Reread(ctx context.Context, blob, _, _ string, accept func(string, *event.Instance) bool) ([]eventlog.Position, error) {
	if err := s.fail("read"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.find(blob)
	if o.broken != nil {
		return nil, o.broken
	}
	s.reads[o.ID]++
	ev := &event.Instance{ObjectID: o.ID, Tenant: o.Tenant, IDs: event.IDs{SOPInstanceUID: o.SOPInstanceUID, SOPClassUID: "1.2"}}
	if !accept(event.TypeInstanceStored, ev) {
		return nil, ctx.Err()
	}
	o.parsers = max(o.parsers, s.version)
	return []eventlog.Position{{Topic: event.TopicInstances, Offset: int64(len(s.reads))}}, nil
}

func (s *shelf) Retry(context.Context, Object) (string, string, error) { return "", "", errLost }

func (s *shelf) config() Config {
	return Config{Index: s, Intake: s, OfObject: func(err error) bool { return errors.Is(err, errLost) }, Page: 4}
}

// stale counts the objects that older parsers have read.
func (s *shelf) stale() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.objects {
		if o.parsers < s.version && !o.gone {
			n++
		}
	}
	return n
}
