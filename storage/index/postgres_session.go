package index

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// pgSession is a writing transaction. Statements without an answer are gathered and sent together; rows are
// gathered by table, and each table's go as one statement of arrays.
//
// Several sessions may write. A session holds, until it ends: a shared lock of the whole index, the offsets that
// it moves, and a lock for each study of its instances, taken in one order by all. What these do not cover (a
// decision, a SOP Instance UID that is in the index already and may be of another study) is done alone, under the
// exclusive lock of the whole index. So at each moment a study is written by one session at most, and what
// that session reads of it is what will be there when it commits. What none foresaw (two new instances of one
// UID in two studies) breaks a unique key, and is tried again.
type pgSession struct {
	ctx    context.Context // of the one transaction
	conn   *pgx.Conn
	engine *postgresEngine
	only   bool // holds the exclusive lock

	queue   []pgStatement
	pending map[*table][][]any // rows that come before what is exec'd next
	order   []*table           // of pending, as they came
}

type pgStatement struct {
	text string
	args []any
}

// maxClaims is how many studies are locked one by one; a batch of more is alone. The server's lock table has
// room for some thousand locks in all (max_locks_per_transaction × max_connections).
const maxClaims = 512

// lockKey is the number of an advisory lock.
func lockKey(schema string, parts ...string) int64 {
	sum := sha256.Sum256([]byte("tributary index\x00" + schema + "\x00" + strings.Join(parts, "\x00")))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any 64 bits are a key
}

func (s *pgSession) begin() error {
	lock := "pg_advisory_xact_lock_shared"
	if s.only {
		lock = "pg_advisory_xact_lock"
	}
	// Each statement sees what was committed before it, also after it waited for a lock; the data base may have
	// another default.
	_, err := s.conn.PgConn().Exec(s.ctx, fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT %s(%d)", lock, lockKey(s.engine.schema, "all"))).ReadAll()
	return err
}

func (s *pgSession) alone() error {
	if s.only {
		return nil
	}
	return errAlone
}

func (s *pgSession) claim(changes []*change) error {
	if s.only {
		return nil
	}
	var keys []int64
	for _, c := range changes {
		if k, ok := c.studyOfChange(); ok {
			keys = append(keys, lockKey(s.engine.schema, "study", k.tenant, k.uid))
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	switch {
	case len(keys) == 0:
		return nil
	case len(keys) > maxClaims:
		return errAlone
	}
	// One after the other, in the order of their keys.
	return s.each(func(scanner) error { return nil }, "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS l(k)", keys)
}

func (s *pgSession) exec(text string, args ...any) error {
	s.queueRows()
	s.queue = append(s.queue, pgStatement{text, args})
	return nil
}

func (s *pgSession) insert(t *table, row []any) error {
	if s.pending == nil {
		s.pending = make(map[*table][][]any)
	}
	if s.pending[t] == nil {
		s.order = append(s.order, t)
	}
	s.pending[t] = append(s.pending[t], row)
	return nil
}

// queueRows puts the gathered rows into the queue.
func (s *pgSession) queueRows() {
	for _, t := range s.order {
		found := s.pending[t]
		if t.sorted >= 0 {
			slices.SortStableFunc(found, func(a, b []any) int { return cmp.Compare(a[t.sorted].(string), b[t.sorted].(string)) })
		}
		s.queue = append(s.queue, pgStatement{insertMany(t), t.arrays(found)})
	}
	s.pending, s.order = nil, nil
}

// flush sends what was gathered, in one round trip.
func (s *pgSession) flush() error {
	s.queueRows()
	if len(s.queue) == 0 {
		return nil
	}
	var b pgx.Batch
	for _, q := range s.queue {
		b.Queue(q.text, q.args...)
	}
	s.queue = nil
	return s.conn.SendBatch(s.ctx, &b).Close() // returns the first error
}

func (s *pgSession) each(fn func(scan scanner) error, text string, args ...any) error {
	if err := s.flush(); err != nil {
		return err
	}
	found, err := s.conn.Query(s.ctx, text, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		if err := fn(found.Scan); err != nil {
			return err
		}
	}
	return found.Err()
}

func (s *pgSession) newID(*table) (int64, error) {
	return s.engine.ids.next(func() (first int64, err error) {
		// A sequence does not roll back, so that the block outlives this transaction.
		err = s.conn.QueryRow(s.ctx, "SELECT nextval('row_ids')").Scan(&first)
		return first, err
	})
}

// idBlocks hands out ids of blocks that the sequence gave.
type idBlocks struct {
	mu        sync.Mutex
	at, until int64
}

func (b *idBlocks) next(block func() (first int64, err error)) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at == b.until {
		first, err := block()
		if err != nil {
			return 0, err
		}
		b.at, b.until = first, first+idBlock
	}
	b.at++
	return b.at - 1, nil
}

var manyTexts sync.Map // *table → string

// insertMany returns a statement that adds rows given as an array a column.
func insertMany(t *table) string {
	if text, ok := manyTexts.Load(t); ok {
		return text.(string)
	}
	var names, arrays []string
	for i, c := range t.columns {
		names = append(names, c.name)
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, [...]string{textual: "text", optional: "text", whole: "bigint", real: "float8", binaries: "bytea"}[c.kind]))
	}
	text := fmt.Sprintf("INSERT INTO %s (%s) SELECT * FROM unnest(%s)", t.name, strings.Join(names, ", "), strings.Join(arrays, ", "))
	manyTexts.Store(t, text)
	return text
}

// arrays turns rows into an array a column.
func (t *table) arrays(found [][]any) []any {
	out := make([]any, len(t.columns))
	for i, c := range t.columns {
		switch c.kind {
		case textual:
			out[i] = columnOf(found, i, func(v any) string { return v.(string) })
		case optional:
			out[i] = columnOf(found, i, func(v any) *string {
				if s, ok := v.(string); ok {
					return &s
				}
				return nil
			})
		case whole:
			out[i] = columnOf(found, i, func(v any) int64 { return v.(int64) })
		case real:
			out[i] = columnOf(found, i, func(v any) *float64 {
				if f, ok := v.(float64); ok {
					return &f
				}
				return nil
			})
		case binaries:
			out[i] = columnOf(found, i, func(v any) []byte {
				b, _ := v.([]byte)
				return b
			})
		}
	}
	return out
}

func columnOf[T any](found [][]any, i int, value func(any) T) []T {
	out := make([]T, len(found))
	for n, row := range found {
		out[n] = value(row[i])
	}
	return out
}
