package event

import (
	"bufio"
	"crypto/rand"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

var ids = struct {
	sync.Mutex
	entropy *ulid.MonotonicEntropy
	last    uint64 // milliseconds of the newest id
}{entropy: ulid.Monotonic(bufio.NewReaderSize(rand.Reader, 512), 0)}

// NewID returns a new ULID: 26 characters of Crockford's base 32, 48 bits of milliseconds and 80 of
// randomness. Ids of one process grow, also when its clock goes back. Safe for concurrent use.
func NewID() string {
	ids.Lock()
	defer ids.Unlock()
	ids.last = max(ids.last, uint64(time.Now().UnixMilli()))
	for {
		id, err := ulid.New(ids.last, ids.entropy)
		if err == nil {
			return id.String()
		}
		ids.last++ // 80 bits overflowed within this millisecond; crypto/rand does not fail
	}
}
