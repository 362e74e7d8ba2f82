package index

import (
	"container/list"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Clients page by offset, and a data base counts up to an offset row by row. So where pages of a search ended is
// remembered: the next page begins behind that row instead, and costs what the first one costs. Studies that come in
// between two pages of a walk then shift nothing: each page goes on where the one before ended.
//
// A place is as old as the walk that found it. When a page ends at another row than such a page did before, what was
// remembered of the pages behind it is dropped; and all is forgotten after anchorLife. So an offset that is jumped to is
// counted from a place that was right a moment ago, and misses at most what came in since.

const (
	anchorFrom  = 512 // rows that are rather counted
	anchorLife  = 2 * time.Minute
	maxWalks    = 128 // searches whose pages are remembered
	maxAnchors  = 64  // places of one, each some 200 bytes
	anchorsKept = maxAnchors / 2
)

// anchor is a row of a search: how many rows there are up to it, and what it is sorted by.
type anchor struct {
	rows int
	key  sortKey
	seen time.Time
}

// sortKey is what the default order sorts by: of a study day, clock, time received and UID, then of a series number and
// UID, then of an instance number and UID.
type sortKey []any

type walk struct {
	id      [32]byte
	anchors []anchor // by rows
}

// anchors remembers walks, the one used last in front. The zero value is empty.
type anchors struct {
	mu    sync.Mutex
	walks map[[32]byte]*list.Element // of *walk
	order list.List
}

// walkID tells a search from others, apart from the offset.
func walkID(q Query) [32]byte {
	q.Offset, q.WithHeader = 0, false
	text, _ := json.Marshal(q) //nolint:errchkjson // text and numbers
	return sha256.Sum256(text)
}

// before returns the last place at or before a row of a search; zero when none is known.
func (a *anchors) before(id [32]byte, rows int, now time.Time) anchor {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.walks[id]
	if e == nil {
		return anchor{}
	}
	a.order.MoveToFront(e)
	w := e.Value.(*walk)
	w.anchors = slices.DeleteFunc(w.anchors, func(x anchor) bool { return now.Sub(x.seen) > anchorLife })
	at, found := slices.BinarySearchFunc(w.anchors, rows, func(x anchor, rows int) int { return x.rows - rows })
	if found {
		return w.anchors[at]
	}
	if at == 0 {
		return anchor{}
	}
	return w.anchors[at-1]
}

// keep remembers a place.
func (a *anchors) keep(id [32]byte, rows int, key sortKey, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.walks[id]
	if e == nil {
		if a.walks == nil {
			a.walks = make(map[[32]byte]*list.Element)
		}
		e = a.order.PushFront(&walk{id: id})
		a.walks[id] = e
		if len(a.walks) > maxWalks {
			last := a.order.Back()
			delete(a.walks, last.Value.(*walk).id)
			a.order.Remove(last)
		}
	}
	w := e.Value.(*walk)
	at, found := slices.BinarySearchFunc(w.anchors, rows, func(x anchor, rows int) int { return x.rows - rows })
	fresh := anchor{rows, key, now}
	switch {
	case !found:
		w.anchors = slices.Insert(w.anchors, at, fresh)
	case slices.Equal(w.anchors[at].key, key):
		w.anchors[at] = fresh
	default: // rows came or went above
		w.anchors = append(w.anchors[:at], fresh)
	}
	if len(w.anchors) > maxAnchors { // those seen last stay: their readers go on from there
		slices.SortFunc(w.anchors, func(x, y anchor) int { return y.seen.Compare(x.seen) })
		w.anchors = w.anchors[:anchorsKept]
		slices.SortFunc(w.anchors, func(x, y anchor) int { return x.rows - y.rows })
	}
}

// keyColumns are a sortKey's, of each level.
var keyColumns = [...][]string{
	StudyLevel:    {"s.day", "s.clock", "s.first_received", "s.study_instance_uid"},
	SeriesLevel:   {"e.number", "e.series_instance_uid"},
	InstanceLevel: {"i.number", "i.sop_instance_uid"},
}

// scanKey returns where to read a sortKey of a level to.
func scanKey(level Level) []any {
	key := []any{new(string), new(string), new(int64), new(string)}
	for l := SeriesLevel; l <= level; l++ {
		key = append(key, new(int64), new(string))
	}
	return key
}

// keyOf copies what was read.
func keyOf(dest []any) sortKey {
	key := make(sortKey, len(dest))
	for i, d := range dest {
		switch d := d.(type) {
		case *string:
			key[i] = strings.Clone(*d)
		case *int64:
			key[i] = *d
		}
	}
	return key
}

// behind leaves out the rows up to a place in the default order. Each level's condition begins at the place by itself,
// so that an index serves it, and goes on with the levels below where its own row is the place's. What the query
// names by its one UID needs no condition.
func (c *condition) behind(q Query, key sortKey) {
	named := 0
	for named < int(q.Level) {
		keyword := [...]string{"StudyInstanceUID", "SeriesInstanceUID"}[named]
		if !slices.ContainsFunc(q.Matches, func(m Match) bool {
			return m.Keyword == keyword && len(m.Values) == 1 && foldUID(m.Values[0]) != "" && !strings.ContainsAny(m.Values[0], `\*?`)
		}) {
			break
		}
		named++
	}
	for level := range named {
		key = key[len(keyColumns[level]):]
	}
	var from func(level Level, key sortKey) string
	from = func(level Level, key sortKey) string {
		columns := keyColumns[level]
		compare := func(sign string) string {
			values := make([]string, len(columns))
			for i := range columns {
				values[i] = c.arg(key[i])
			}
			return "(" + strings.Join(columns, ", ") + ") " + sign + " (" + strings.Join(values, ", ") + ")"
		}
		sign := ">"
		if level == StudyLevel {
			sign = "<" // newest first
		}
		if level == q.Level {
			return compare(sign)
		}
		return fmt.Sprintf("%s AND (%s OR %s)", compare(sign+"="), compare(sign), from(level+1, key[len(columns):]))
	}
	c.and(from(Level(named), key))
}
