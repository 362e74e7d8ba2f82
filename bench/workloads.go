package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-dicom/tributary/fixtures"
)

// crowd is how many clients work at once where it is more than one.
const crowd = 4

// stowBatch is how many instances a STOW-RS request of W1 has.
const stowBatch = 10

// push sends count objects of a set through a door with some clients, and returns their salt and how many
// arrived. A server without the door has no such line.
func (b *bench) push(ctx context.Context, srv *server, workload string, d door, clients int, s *set, count, per int, u unit) (salt uint64, arrived int) {
	if !srv.serves(d) || ctx.Err() != nil {
		return 0, 0
	}
	p := push{s, b.nextSalt(), per}
	line := fmt.Sprintf("%s, %d client%s", d, clients, plural(clients))
	if per > 1 {
		line = fmt.Sprintf("%s %d a request, %d client%s", d, per, clients, plural(clients))
	}
	l := b.measure(srv, workload, line, u, per, func() (load, error) {
		return drive(ctx, clients, count/per, b.slice, func(ctx context.Context) (client, error) { return srv.enter(ctx, d, p) })
	})
	return p.salt, l.ops * per
}

// get measures reads.
func (b *bench) get(ctx context.Context, srv *server, workload, line string, clients, count int, u unit, r reading) {
	if srv.http == "" || ctx.Err() != nil {
		return
	}
	b.measure(srv, workload, line, u, 1, func() (load, error) { return drive(ctx, clients, count, b.slice, srv.read(r)) })
}

// getEarly measures how long one reader waits for the first byte.
func (b *bench) getEarly(ctx context.Context, srv *server, workload, line string, count int, r reading) {
	if srv.http == "" || ctx.Err() != nil {
		return
	}
	b.measure(srv, workload, line, millis, 1, func() (load, error) { return drive(ctx, 1, count, b.slice, srv.readEarly(r)) })
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func (b *bench) prepareW1() (err error) {
	if b.w1 == nil { // 320 × 320 bytes are 100 KiB
		b.w1, err = stills(1, b.scaled(200), 10, 320)
	}
	return err
}

// runW1: many small ultrasound pictures through every door.
func (b *bench) runW1(ctx context.Context, s system) error {
	return b.fresh(ctx, s, startOptions{}, func(srv *server) error {
		count := b.scaled(2000)
		b.push(ctx, srv, "W1", cStore, 1, b.w1, count, 1, objects)
		salt, arrived := b.push(ctx, srv, "W1", cStore, crowd, b.w1, count, 1, objects)
		b.push(ctx, srv, "W1", stow, crowd, b.w1, count, stowBatch, objects)
		b.push(ctx, srv, "W1", upload, crowd, b.w1, count, 1, objects)
		b.push(ctx, srv, "W1", tus, crowd, b.w1, count, 1, objects)
		b.readStudies(ctx, srv, "W1", b.w1, salt, arrived, mega)
		return nil
	})
}

// readStudies reads back the studies that arrived whole.
func (b *bench) readStudies(ctx context.Context, srv *server, workload string, s *set, salt uint64, arrived int, u unit) {
	whole := arrived / s.perStudy
	if srv.wado == "" || whole == 0 {
		return
	}
	if srv.system == "shared" {
		if err := b.waitVisible(ctx, srv, s, salt, arrived); err != nil {
			fmt.Fprintln(b.log, "bench:", err)
		}
	}
	b.get(ctx, srv, workload, fmt.Sprintf("WADO study, %d clients", crowd), crowd, whole, u, s.wholeStudies(srv.wado, salt, whole))
}

func (b *bench) prepareW2() (err error) {
	if b.w2 == nil { // 640 × 512 × 32 bytes are 10 MiB
		b.w2, err = loops(2, 10, 4, 640, 512, 32)
	}
	return err
}

// runW2: loops.
func (b *bench) runW2(ctx context.Context, s system) error {
	return b.fresh(ctx, s, startOptions{}, func(srv *server) error {
		salt, arrived := b.push(ctx, srv, "W2", cStore, crowd, b.w2, b.scaled(200), 1, mega)
		b.readStudies(ctx, srv, "W2", b.w2, salt, arrived, mega)
		return nil
	})
}

func (b *bench) prepareW3() (err error) {
	if b.w3 == nil {
		frames := fixtures.FramesFor(b.w3Bytes, fixtures.Cine{Columns: 1024, Rows: 768, Encoding: fixtures.NativeGray})
		b.w3, err = loops(3, 1, 1, 1024, 768, frames)
	}
	return err
}

// runW3: one huge loop by each door, each time at a fresh server, because what counts is memory over idle;
// then four at once, and reading one back.
func (b *bench) runW3(ctx context.Context, s system) error {
	var errs []error
	for _, d := range []door{cStore, stow, upload, tus} {
		errs = append(errs, b.fresh(ctx, s, startOptions{}, func(srv *server) error {
			salt, arrived := b.push(ctx, srv, "W3", d, 1, b.w3, 1, 1, mega)
			if d != cStore || arrived == 0 || srv.wado == "" {
				return nil
			}
			o, err := b.w3.object(salt, 0)
			if err != nil {
				return err
			}
			if err := b.waitVisible(ctx, srv, b.w3, salt, 1); err != nil {
				return err
			}
			b.get(ctx, srv, "W3", "WADO instance", 1, b.scaled(30), mega, o.wholeInstance(srv.wado))
			b.get(ctx, srv, "W3", "WADO metadata", 1, 50, millis, o.metadata(srv.wado))
			for _, f := range []struct {
				name string
				n    int
			}{{"first", 1}, {"middle", (o.frames + 1) / 2}, {"last", o.frames}} {
				b.get(ctx, srv, "W3", "WADO "+f.name+" frame", 1, 50, millis, o.oneFrame(srv.wado, f.n))
			}
			b.getEarly(ctx, srv, "W3", "WADO last frame, first byte", 50, o.oneFrame(srv.wado, o.frames))
			b.getEarly(ctx, srv, "W3", "WADO instance, first byte", 50, o.wholeInstance(srv.wado))
			return nil
		}))
		if d == cStore && s.name != "orthanc" { // which would need four times its 3 × the object in memory
			errs = append(errs, b.fresh(ctx, s, startOptions{}, func(srv *server) error {
				b.push(ctx, srv, "W3", cStore, crowd, b.w3, crowd, 1, mega)
				return nil
			}))
		}
	}
	return errors.Join(errs...)
}

func (b *bench) prepareW4() (err error) {
	if b.w4 == nil { // 80 × 80 bytes and a header make 8 KiB
		b.w4, err = stills(4, b.scaled(2000), 10, 80)
	}
	return err
}

// visible bounds the wait for the index after the last answer.
const visible = 60 * time.Second

// runW4: many studies, then searches.
func (b *bench) runW4(ctx context.Context, s system) error {
	if s.name == "storescp" {
		return nil // it has no index
	}
	// Orthanc would need minutes at its durable rate; only its searches are measured.
	return b.fresh(ctx, s, startOptions{filling: s.name == "orthanc"}, func(srv *server) error {
		count := b.scaled(20000)
		var salt uint64
		switch s.name {
		case "orthanc":
			p := push{b.w4, b.nextSalt(), 1}
			l, err := drive(ctx, crowd, count, time.Hour, func(ctx context.Context) (client, error) { return srv.enter(ctx, upload, p) })
			if err != nil {
				return fmt.Errorf("fill %s: %w", s.name, err)
			}
			fmt.Fprintf(b.log, "%5.0fs W4   filled, unsynced, in %-22v %s\n", time.Since(b.began).Seconds(), l.elapsed.Round(time.Second), s.name)
			salt = p.salt
		default:
			slice := b.slice
			b.slice = time.Hour // all of it has to be there
			salt, count = b.push(ctx, srv, "W4", cStore, crowd, b.w4, count, 1, objects)
			b.slice = slice
		}
		b.get(ctx, srv, "W4", "bare GET", 1, 2000, millis, reading{accept: "*/*", path: fixed(srv.ping)})
		if srv.wado == "" || count == 0 {
			return nil
		}
		if err := b.waitVisible(ctx, srv, b.w4, salt, count); err != nil {
			return err
		}
		for _, k := range queryKinds {
			b.get(ctx, srv, "W4", "QIDO "+string(k), 1, b.scaled(1000), millis, b.w4.searches(srv.wado, k))
		}
		b.readStudies(ctx, srv, "W4", b.w4, salt, count, studies)
		return nil
	})
}

// waitVisible waits until all of the first count objects of a set can be read. A node that answers from
// where it took them in waits by itself; one whose index is elsewhere follows within a second or so, study
// by study.
func (b *bench) waitVisible(ctx context.Context, srv *server, w *set, salt uint64, count int) error {
	ctx, cancel := context.WithTimeout(ctx, visible)
	defer cancel()
	last := ""
	for i := range count {
		o, err := w.object(salt, i)
		if err != nil {
			return err
		}
		if o.studyUID == last && i < count-1 {
			continue // its studies' last object is looked for with the next one
		}
		last = o.studyUID
		if srv.system != "shared" && i < count-1 {
			continue
		}
		if err := untilFound(ctx, srv, o); err != nil {
			said := ""
			if srv.said != nil {
				said = "\n" + srv.said()
			}
			return fmt.Errorf("%s does not find study %d of %d: %w%s", srv.system, i/w.perStudy+1, count/w.perStudy, err, said)
		}
	}
	return nil
}

func untilFound(ctx context.Context, srv *server, o object) error {
	for {
		_, err := drive(ctx, 1, 1, visible, srv.read(reading{
			accept: acceptJSON, keep: true, path: fixed(srv.wado + "/studies/" + o.studyUID + "/series/" + o.seriesUID + "/instances?SOPInstanceUID=" + o.instanceUID),
			check: func(a answer) error {
				if len(a.kept) < len(o.studyUID) {
					return errors.New("not there yet")
				}
				return nil
			},
		}))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
