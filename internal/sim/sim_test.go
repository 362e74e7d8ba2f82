package sim

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"

	"github.com/tributary-dicom/tributary/storage/blob/simfs"
)

var ground *Ground

func TestMain(m *testing.M) {
	os.Exit(func() int {
		// Indexes in memory, where the system has a place for that.
		dir, err := os.MkdirTemp("/dev/shm", "tributary-sim-")
		if err != nil {
			dir, err = os.MkdirTemp("", "tributary-sim-")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		return m.Run()
	}())
}

// play runs one world in a bubble of its own.
func play(t *testing.T, opt Options) (r Result) {
	t.Helper()
	opt.Ground = ground
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = Run(t.Context(), opt); err != nil {
			t.Fatalf("seed %d: %v", opt.Seed, err)
		}
	})
	return r
}

func TestFirst(t *testing.T) {
	dir := t.TempDir()
	var err error
	if ground, err = NewGround(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(3) {
		for _, e := range []Engine{Dir, S3} {
			r := play(t, Options{Seed: seed, Engine: e, Objects: 60, Senders: 3, Nodes: 3, Faults: true, Crashes: 3, Mode: simfs.Tear})
			t.Logf("%v %d %+v", e, seed, r)
		}
	}
}
