package desk

import (
	"context"
	"strings"
	"sync"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// shownTopics are what the live view shows, in the order of their cursors.
var shownTopics = [...]string{event.TopicInstances, event.TopicStudies}

// feeds shows several topics as one. Its cursor has each topic's, divided by slashes: records of two topics come
// in no order.
type feeds struct {
	all    [len(shownTopics)]Feed
	places [len(shownTopics)]string
	came   chan arrived
	stop   context.CancelFunc
	wait   sync.WaitGroup
}

// arrived is what one feed had.
type arrived struct {
	topic   int
	records []Shown
	err     error
}

// followAll opens the feeds behind a cursor. One of a release that showed the instances alone has no slash, and the
// others begin at their present end.
func followAll(ctx context.Context, log Follower, behind string) (f *feeds, err error) {
	f = &feeds{came: make(chan arrived)}
	cursors := strings.Split(behind, "/")
	if len(cursors) > len(shownTopics) {
		return nil, ErrCursor
	}
	for i, topic := range shownTopics {
		cursor := ""
		if i < len(cursors) {
			cursor = cursors[i]
		}
		if f.all[i], err = log.Follow(ctx, topic, cursor); err != nil {
			f.close()
			return nil, err
		}
		f.places[i] = f.all[i].Cursor()
	}
	ctx, f.stop = context.WithCancel(ctx)
	for i, feed := range f.all {
		f.wait.Go(func() {
			for {
				records, err := feed.Next(ctx, eventsBatch)
				select {
				case f.came <- arrived{i, records, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		})
	}
	return f, nil
}

// next waits for records of any topic. It returns ctx's error when ctx ends; any other means that a feed has ended.
func (f *feeds) next(ctx context.Context) ([]Shown, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-f.came:
		for i := range a.records {
			f.places[a.topic] = a.records[i].Cursor
			a.records[i].Cursor = strings.Join(f.places[:], "/")
		}
		return a.records, a.err
	}
}

func (f *feeds) close() {
	if f.stop != nil {
		f.stop()
	}
	f.wait.Wait()
	for _, feed := range f.all {
		if feed != nil {
			_ = feed.Close() // nothing of it is kept
		}
	}
}
