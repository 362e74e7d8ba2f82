package main

import (
	"crypto/sha256"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// machine measures what no server can pass: each for about as long as told, in dir.
func machine(dir string, long time.Duration) (results []result, err error) {
	block := make([]byte, 100<<10)
	for i := range block {
		block[i] = byte(i * 7)
	}
	for _, m := range []struct {
		line string
		unit unit
		run  func() (count, bytes int64, took time.Duration, err error)
	}{
		{"append 100 KiB + fdatasync", times, func() (int64, int64, time.Duration, error) { return appends(dir, block, long) }},
		{"create 100 KiB + fsync + rename + fsync folder", times, func() (int64, int64, time.Duration, error) { return creates(dir, block, long) }},
		{"SHA-256, one core", mega, func() (int64, int64, time.Duration, error) { return hashes(long) }},
		{"loopback TCP, one connection", mega, func() (int64, int64, time.Duration, error) { return loopback(long) }},
	} {
		r := result{Workload: "raw", Line: m.line, System: "null", Unit: m.unit}
		count, bytes, took, err := m.run()
		if err != nil {
			return results, err
		}
		r.Bytes, r.Seconds = bytes, took.Seconds()
		if r.Value = float64(count) / r.Seconds; m.unit == mega {
			r.Value = float64(bytes) / 1e6 / r.Seconds
		}
		results = append(results, r)
	}
	return results, nil
}

// repeat calls op until time is up.
func repeat(long time.Duration, op func(n int64) error) (count int64, took time.Duration, err error) {
	start := time.Now()
	for took < long {
		if err := op(count); err != nil {
			return count, took, err
		}
		count++
		took = time.Since(start)
	}
	return count, took, nil
}

func appends(dir string, block []byte, long time.Duration) (int64, int64, time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "append"))
	if err != nil {
		return 0, 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	count, took, err := repeat(long, func(int64) error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return fdatasync(f)
	})
	return count, count * int64(len(block)), took, err
}

func creates(dir string, block []byte, long time.Duration) (int64, int64, time.Duration, error) {
	sub, err := os.MkdirTemp(dir, "create")
	if err != nil {
		return 0, 0, 0, err
	}
	defer os.RemoveAll(sub)
	count, took, err := repeat(long, func(n int64) error {
		name := filepath.Join(sub, strconv.FormatInt(n, 10))
		f, err := os.Create(name + ".tmp")
		if err != nil {
			return err
		}
		if _, err = f.Write(block); err == nil {
			err = f.Sync()
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = os.Rename(name+".tmp", name)
		}
		if err == nil {
			err = syncFolder(sub)
		}
		return err
	})
	return count, count * int64(len(block)), took, err
}

func hashes(long time.Duration) (int64, int64, time.Duration, error) {
	block := make([]byte, mib)
	h := sha256.New()
	count, took, err := repeat(long, func(int64) error {
		_, err := h.Write(block)
		return err
	})
	return count, count * mib, took, err
}

func loopback(long time.Duration) (int64, int64, time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, 0, err
	}
	defer l.Close()
	received := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			room := make([]byte, 256<<10)
			for err == nil {
				_, err = c.Read(room)
			}
			_ = c.Close()
		}
		if err == io.EOF {
			err = nil
		}
		received <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String()) // to ourselves
	if err != nil {
		return 0, 0, 0, err
	}
	block := make([]byte, 256<<10)
	start := time.Now()
	count, _, err := repeat(long, func(int64) error {
		_, err := c.Write(block)
		return err
	})
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	if rerr := <-received; err == nil {
		err = rerr
	}
	return count, count * int64(len(block)), time.Since(start), err
}
