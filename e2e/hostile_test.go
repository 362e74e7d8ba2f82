package e2e

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// maxGrowth bounds what all hostile files together may add to the node's peak memory, bytes. It is far
// above what a node needs and far below what one bomb would cost.
const maxGrowth = 256 << 20

// hostileInstance is the SOP Instance UID of all hostile files; each one sent gets another of its length.
const hostileInstance = "2.25.71231000000000000000000000000001"

// TestHostile sends every hostile file through every door. The outcome must be one that the guide allows,
// what is kept must come back bit for bit, the next good object must be taken, nothing may be written
// outside of the data folder, and the node must stay alive and small.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds; not with -short")
	}
	parent := t.TempDir()
	n := testnode.Start(t, filepath.Join(parent, "data"))
	idle, err := n.PeakRSS()
	if err != nil {
		t.Skipf("no memory figures here: %v", err)
	}
	before := outside(t, parent)
	good := 0
	for d, via := range doors {
		t.Run(via, func(t *testing.T) {
			s := sender(n, via)
			defer s.Close()
			for i, c := range hostile.DICOM() {
				t.Run(fmt.Sprintf("%02d %s", c.Number, c.Name), func(t *testing.T) {
					o := hostileObject(t, c, via, fmt.Sprintf("%s%d%03d", hostileInstance[:len(hostileInstance)-4], d+1, i))
					sh, err := ship(t.Context(), s, via, o)
					if err != nil {
						t.Fatal(err)
					}
					checkHostile(t, n, c, via, o, sh)
				})
				good++
				next := object{number: 9_000_000 + good, pixels: 1024}.sendable(t)
				if out, err := s.Send(t.Context(), next); err != nil || out.Status != device.Stored {
					t.Fatalf("the good object after %02d %s: %+v, %v", c.Number, c.Name, out, err)
				}
			}
		})
	}
	if after := outside(t, parent); !slices.Equal(before, after) {
		t.Errorf("written outside of the data folder:\nbefore %v\nafter  %v", before, after)
	}
	if status, _ := n.Get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("ready: %d", status)
	}
	peak, err := n.PeakRSS()
	if err != nil {
		t.Fatalf("the node is gone: %v", err)
	}
	t.Logf("peak memory: %d MiB idle, %d MiB after all", idle>>20, peak>>20)
	if peak-idle > maxGrowth {
		t.Errorf("peak memory grew by %d MiB", (peak-idle)>>20)
	}
}

// outside lists what lies beside the data folder and in the node's working directory.
func outside(t *testing.T, parent string) (all []string) {
	t.Helper()
	for _, root := range []string{parent, "."} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (path == filepath.Join(parent, "data") || d.Name() == "node_modules") {
				return fs.SkipDir
			}
			all = append(all, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// hostileObject describes a case for a sender. A C-STORE sends what comes after the File Meta group, under
// the UIDs that this names; where they are of no use, under good ones.
func hostileObject(t *testing.T, c hostile.Case, via, instance string) device.Object {
	t.Helper()
	open := func() io.Reader {
		head, err := io.ReadAll(io.LimitReader(c.Data(), 64<<10))
		if err != nil {
			t.Fatal(err)
		}
		rest := c.Data()
		if _, err := io.CopyN(io.Discard, rest, int64(len(head))); err != nil {
			t.Fatal(err)
		}
		return io.MultiReader(bytes.NewReader(bytes.ReplaceAll(head, []byte(hostileInstance), []byte(instance))), rest)
	}
	size, err := io.Copy(io.Discard, open())
	if err != nil {
		t.Fatal(err)
	}
	o := device.Object{
		Name: fmt.Sprintf("hostile-%02d", c.Number), Size: size,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(open()), nil },
	}
	if via != device.ViaDICOM {
		return o
	}
	found, _ := part10.Scan(io.LimitReader(open(), 64<<10), part10.Options{}) // its verdict is about a cut file
	o.SOPClassUID, o.SOPInstanceUID, o.TransferSyntaxUID = found.Meta.MediaStorageSOPClassUID, found.Meta.MediaStorageSOPInstanceUID, found.Meta.TransferSyntaxUID
	o.DatasetOffset = found.DatasetOffset
	if !uid.IsStorage(o.SOPClassUID) {
		o.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
	}
	if uid.Valid(o.SOPInstanceUID) != nil {
		o.SOPInstanceUID = instance
	}
	if uid.Valid(o.TransferSyntaxUID) != nil {
		o.TransferSyntaxUID = explicitLE
	}
	return o
}

// cStoreCodes are the C-STORE statuses that fit an outcome (PS3.4 Table B.2-1).
var cStoreCodes = map[string][]string{
	"R": {"A700", "A900", "C000", "0117", "0122"}, "Q": {"B007"}, "S": {""},
}

func checkHostile(t *testing.T, n *testnode.Node, c hostile.Case, via string, o device.Object, sh shipment) {
	t.Helper()
	if sh.err != nil {
		t.Fatalf("no answer: %v", sh.err)
	}
	got := sh.letter()
	if via == device.ViaDICOM {
		if !slices.Contains(cStoreCodes[got], sh.Code) {
			t.Errorf("status %s for %s", sh.Code, got)
		}
		// Up to row 14 it is preamble and File Meta that are hostile: a C-STORE does not carry them. Nor can
		// it say that a data set is a DICOMDIR (row 40): there is no Presentation Context for that.
		if c.Number > 14 && c.Number != 40 && !c.Allows(got) {
			t.Errorf("%s (%+v), want %s", got, sh.Outcome, c.Want)
		}
	} else if !c.Allows(got) {
		t.Errorf("%s (%+v), want %s", got, sh.Outcome, c.Want)
	}
	switch got {
	case "Q":
		sh.checkQuarantined(t, n, via)
	case "S":
		instance := o.SOPInstanceUID
		if instance == "" {
			found, _ := part10.Scan(mustOpen(t, o), part10.Options{})
			instance = found.SOPInstanceUID
		}
		_, path, ok := instanceOf(t, n, instance)
		if !ok {
			return
		}
		sh.checkBytes(t, n, via, path)
		checkServed(t, n, path)
	}
}

func mustOpen(t *testing.T, o device.Object) io.Reader {
	t.Helper()
	r, err := o.Open()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkServed reads a strange but stored object in the ways that viewers do: as DICOM and never as what a
// browser would run, with metadata, and with frames or a refusal.
func checkServed(t *testing.T, n *testnode.Node, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, n.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/dicom")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	h := resp.Header
	if h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Type"), "application/dicom") ||
		!strings.HasPrefix(h.Get("Content-Disposition"), "attachment") {
		t.Errorf("served as %q, %q, %q", h.Get("Content-Type"), h.Get("Content-Disposition"), h.Get("X-Content-Type-Options"))
	}
	var meta []attributes
	getJSON(t, n, path+"/metadata", &meta)
	if status, _ := n.Get(t, path+"/frames/1"); status >= 500 {
		t.Errorf("frames: status %d", status)
	}
}

// TestTruncation cuts objects at every boundary of their structure, and inside. Only a cut between two
// elements of the data set leaves an object that can be taken for a whole one; every other cut must be
// seen, and no cut may lose bytes.
func TestTruncation(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of objects; not with -short")
	}
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	for _, via := range []string{device.ViaUpload, device.ViaDICOM} {
		for kind, o := range map[string]cuttable{"native": nativeObject(), "encapsulated": encapsulatedObject()} {
			t.Run(via+" "+kind, func(t *testing.T) {
				s := sender(n, via)
				defer s.Close()
				for _, cut := range o.cuts() {
					if via == device.ViaDICOM && cut.at <= len(o.meta) {
						continue
					}
					file := slices.Concat(o.meta, o.dataset)[:cut.at]
					sendable, err := device.Bytes("cut", file)
					if err != nil {
						t.Fatal(err)
					}
					sendable.SOPClassUID, sendable.SOPInstanceUID, sendable.TransferSyntaxUID = o.class, o.instance, o.syntax
					sendable.DatasetOffset = int64(len(o.meta))
					sh, err := ship(t.Context(), s, via, sendable)
					if err != nil || sh.err != nil {
						t.Fatalf("cut at %d: %v, %v", cut.at, err, sh.err)
					}
					switch got := sh.letter(); {
					case got == "S" && !cut.whole:
						t.Errorf("cut at %d of %d (%s): stored", cut.at, len(o.meta)+len(o.dataset), cut.where)
					case got == "R" && cut.at > len(o.meta):
						t.Errorf("cut at %d (%s): refused (%+v), the bytes are lost", cut.at, cut.where, sh.Outcome)
					case got == "Q":
						sh.checkQuarantined(t, n, via)
					}
				}
				whole := shipBytes(t, n, via, "whole", slices.Concat(o.meta, o.dataset))
				if whole.letter() != "S" {
					t.Errorf("the whole object: %+v, %v", whole.Outcome, whole.err)
				}
			})
		}
	}
}

// TestBrokenOff ends transfers in their middle: nothing may be kept, and nothing left behind.
func TestBrokenOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir)
	for i, via := range []string{device.ViaDICOM, device.ViaSTOW, device.ViaUpload} {
		o := object{number: 8_000_000 + i, pixels: 2 << 20}
		whole := o.sendable(t)
		broken := whole
		broken.Open = func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(o.file()[:1<<20]), failing{})), nil
		}
		s := sender(n, via, whole)
		if out, err := s.Send(t.Context(), broken); err == nil && out.Kept() {
			t.Errorf("%s: %+v for a transfer that broke off", via, out)
		}
		_ = s.Close() // the line is broken
		if _, status := retrieve(t, n, o); status != http.StatusNotFound {
			t.Errorf("%s: the broken object is there: %d", via, status)
		}
		if sh := shipBytes(t, n, via, "again", o.file()); sh.letter() != "S" {
			t.Errorf("%s: the second try: %+v, %v", via, sh.Outcome, sh.err)
		}
		if got, status := retrieve(t, n, o); status != http.StatusOK || !bytes.HasSuffix(got, o.dataset()) {
			t.Errorf("%s: after the second try: %d", via, status)
		}
	}
	var list []struct{}
	if getJSON(t, n, "/quarantine", &list); len(list) != 0 {
		t.Errorf("%d objects in quarantine", len(list))
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "blobs", "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
}

// failing is a file whose disk fails.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrNoProgress }
