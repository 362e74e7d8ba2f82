package index

import (
	"context"
	"database/sql"
	"sync"
)

// maxPlans bounds the prepared statements that are kept. Searches have some dozen shapes in practice;
// further ones are prepared for each call.
const maxPlans = 256

// statements keeps prepared statements by their text.
type statements struct {
	db   *sql.DB
	mu   sync.Mutex
	text map[string]*sql.Stmt
}

// query runs a statement of which the rest of the process knows the shape.
func (s *statements) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s.mu.Lock()
	stmt, full := s.text[text], len(s.text) >= maxPlans
	s.mu.Unlock()
	if stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	if full {
		return s.db.QueryContext(ctx, text, args...)
	}
	stmt, err := s.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.text == nil {
		s.text = make(map[string]*sql.Stmt)
	}
	if first := s.text[text]; first != nil { // another call was quicker
		stmt.Close() //nolint:errcheck // unused so far
		stmt = first
	} else {
		s.text[text] = stmt
	}
	s.mu.Unlock()
	return stmt.QueryContext(ctx, args...)
}

func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stmt := range s.text {
		stmt.Close() //nolint:errcheck // the connections close next
	}
	s.text = nil
}
