package index

import (
	"context"
	"maps"
	"sync"

	"github.com/jackc/pgx/v5"
)

// pgPool lends connections, made when they are needed. It makes up for a server that was away by itself: a
// connection that broke is not lent again, and those that broke while nobody used them are found by their first
// question, which is then asked of a new one.
type pgPool struct {
	life   context.Context // ends with the pool
	config *pgx.ConnConfig
	slots  chan struct{} // has a token for each connection that is lent

	mu     sync.Mutex
	idle   []*pgConn // the one used last at the end
	closed bool
}

type pgConn struct {
	*pgx.Conn
	used bool // was lent before
}

func newPGPool(life context.Context, config *pgx.ConnConfig, size int, settings map[string]string) *pgPool {
	config = config.Copy()
	config.RuntimeParams = maps.Clone(config.RuntimeParams)
	for name, value := range settings {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	return &pgPool{life: life, config: config, slots: make(chan struct{}, size)}
}

// acquire waits for a connection that is free.
func (p *pgPool) acquire(ctx context.Context) (*pgConn, error) { return p.take(ctx, false) }

func (p *pgPool) take(ctx context.Context, fresh bool) (*pgConn, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.life.Done():
		return nil, ErrClosed
	}
	for {
		p.mu.Lock()
		var c *pgConn
		if n := len(p.idle); n > 0 {
			c, p.idle = p.idle[n-1], p.idle[:n-1]
		}
		p.mu.Unlock()
		if c == nil {
			break
		}
		if !fresh && !c.IsClosed() {
			return c, nil
		}
		c.Close(ctx) //nolint:errcheck // it is not used again
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	conn, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return &pgConn{Conn: conn}, nil
}

// release takes a connection back.
func (p *pgPool) release(c *pgConn) {
	c.used = true
	p.mu.Lock()
	keep := !p.closed && !c.IsClosed() && !c.PgConn().IsBusy() && c.PgConn().TxStatus() == 'I'
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		end, cancel := context.WithTimeout(context.Background(), connectTimeout)
		c.Close(end) //nolint:errcheck // it is not used again
		cancel()
	}
	<-p.slots
}

// query asks a question once more when the connection had broken before, and reads the answer's first row.
func (p *pgPool) query(ctx context.Context, text string, args ...any) (c *pgConn, found pgx.Rows, some bool, err error) {
	for again := false; ; again = true {
		c, err := p.take(ctx, again)
		if err != nil {
			return nil, nil, false, err
		}
		reused := c.used
		found, err := c.Query(ctx, text, args...)
		if err == nil {
			some = found.Next()
			err = found.Err()
		}
		if err == nil {
			return c, found, some, nil
		}
		found.Close()
		broken := c.IsClosed()
		p.release(c)
		if again || !reused || !broken || ctx.Err() != nil {
			return nil, nil, false, err
		}
	}
}

// close ends idle connections at once and lent ones as they come back.
func (p *pgPool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		end, cancel := context.WithTimeout(context.Background(), connectTimeout)
		c.Close(end) //nolint:errcheck // nothing is under way
		cancel()
	}
}

// pgRows gives its connection back when it is closed.
type pgRows struct {
	pgx.Rows
	ctx         context.Context // of the query
	end         func()
	once        sync.Once
	ahead, some bool // the first row was read already, if there is one
}

func (r *pgRows) Next() bool {
	if r.ahead {
		r.ahead = false
		return r.some
	}
	return r.Rows.Next()
}

func (r *pgRows) Err() error { return silent(r.ctx, r.Rows.Err()) }

func (r *pgRows) Close() error {
	r.once.Do(func() {
		r.Rows.Close()
		r.end()
	})
	return nil
}

func (r *pgRows) Columns() ([]string, error) {
	var out []string
	for _, f := range r.FieldDescriptions() {
		out = append(out, f.Name)
	}
	return out, nil
}
