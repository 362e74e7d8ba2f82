package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	segmentPrefix = "journal-"
	segmentDigits = 16
)

func segmentName(number uint64) string {
	return fmt.Sprintf("%s%0*x", segmentPrefix, segmentDigits, number)
}

// IsSegment tells whether a file of this name belongs to a journal.
func IsSegment(name string) bool {
	_, ok := segmentNumber(name)
	return ok
}

func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil
}

// Open opens the journal in a folder that is there, and makes it when there is none. Other files may lie
// beside its segments. One process may use it at a time.
func Open(dir string, opt Options) (_ *Journal, err error) {
	if opt.SegmentBytes <= 0 {
		opt.SegmentBytes = 4 << 20
	}
	opt.SegmentBytes = min(opt.SegmentBytes, 1<<30)
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	j := &Journal{dir: dir, segmentBytes: opt.SegmentBytes, logger: opt.Logger, turn: make(chan struct{}, 1), places: map[Key]place{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open journal: %w", err), j.Close())
		}
	}()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		if n, ok := segmentNumber(e.Name()); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if err := j.replay(n, i == len(numbers)-1); err != nil {
			return nil, err
		}
	}
	for j.wasteful() {
		j.tryCompact()
	}
	return j, nil
}

// replay reads a segment. The last one may end in frames that are not whole: those of a commit that a crash
// cut short, or that were refused. Others are read as far as they are whole and left as they are; what is lost
// behind that place falls back to what older segments have of it.
func (j *Journal) replay(number uint64, last bool) error {
	path := filepath.Join(j.dir, segmentName(number))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s := &segment{number: number, file: f}
	j.segments = append(j.segments, s)
	b, err := io.ReadAll(io.LimitReader(f, 1<<30+1))
	if err != nil {
		return err
	}
	for {
		key, tag, _, size, ok := parseFrame(b[s.end:])
		if !ok {
			break
		}
		j.place(key, place{s, uint32(s.end), uint32(size), tag})
		s.end += int64(size)
	}
	switch {
	case s.end == int64(len(b)):
		return nil
	case !last:
		if slices.ContainsFunc(b[s.end:], func(c byte) bool { return c != 0 }) {
			j.logger.Error("journal is damaged", "segment", number, "offset", s.end)
		}
		return nil
	}
	return s.seal()
}
