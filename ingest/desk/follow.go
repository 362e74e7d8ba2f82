package desk

import (
	"context"
	"errors"
	"strconv"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Follower shows a log as it grows. A cursor is a place between two records of a topic, in the log's own
// words: a listener gives back what it was given.
type Follower interface {
	// Follow opens a feed of what comes behind a cursor; "" is the present end of the topic. ErrCursor is
	// the answer to a text that is no cursor of this log. Nothing of a feed is kept in the log.
	Follow(ctx context.Context, topic, behind string) (Feed, error)
}

// Feed is one listener's view. Not safe for concurrent use.
type Feed interface {
	// Next waits for at least one record and returns up to most that are there, in order per key. It
	// returns ctx's error when ctx ends; any other means that the feed has ended.
	Next(ctx context.Context, most int) ([]Shown, error)

	// Cursor is the place where the feed begins. Call it before Next.
	Cursor() string
	Close() error
}

// Shown is a record with the cursor that lies behind it.
type Shown struct {
	Cursor string
	Event  event.Envelope
}

// ErrCursor is for a cursor that this log did not give.
var ErrCursor = errors.New("no cursor of this log")

// OneLog is a log that counts its records in one row; *locallog.Log has it.
type OneLog interface {
	// SubscribeFrom opens a consumer of a topic for a group of its own, which starts behind an offset.
	SubscribeFrom(ctx context.Context, group, topic string, behind int64) (eventlog.Consumer, error)
	// Head returns the newest position of a topic.
	Head(topic string) eventlog.Position
}

// FollowOne follows a log of one row. Its cursors are offsets, decimal.
func FollowOne(log OneLog) Follower { return oneFollower{log} }

type oneFollower struct{ log OneLog }

func (f oneFollower) Follow(ctx context.Context, topic, behind string) (Feed, error) {
	offset := f.log.Head(topic).Offset
	if behind != "" {
		n, err := strconv.ParseInt(behind, 10, 64)
		if err != nil || n < 0 {
			return nil, ErrCursor
		}
		offset = n
	}
	c, err := f.log.SubscribeFrom(ctx, "events-"+event.NewID(), topic, offset)
	if err != nil {
		return nil, err
	}
	return oneFeed{c, offset}, nil
}

type oneFeed struct {
	eventlog.Consumer
	begin int64
}

func (f oneFeed) Cursor() string { return strconv.FormatInt(f.begin, 10) }

func (f oneFeed) Next(ctx context.Context, most int) ([]Shown, error) {
	records, err := f.Fetch(ctx, most)
	shown := make([]Shown, len(records))
	for i, r := range records {
		shown[i] = Shown{strconv.FormatInt(r.Offset, 10), r.Event}
	}
	return shown, err
}
