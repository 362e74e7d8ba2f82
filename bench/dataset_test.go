package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

func TestSaltedUID(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range []uidKind{studyUID, seriesUID, instanceUID} {
		for _, salt := range []uint64{0, 1, 9_999_999_999} {
			for _, n := range []int{0, 1, 9_999_999} {
				for _, length := range []int{24, 43, 44} {
					got, err := saltedUID(length, kind, salt, n)
					if err != nil {
						t.Fatal(err)
					}
					if err := uid.Valid(got); err != nil || len(got) != length || seen[got] {
						t.Fatalf("saltedUID(%d, %c, %d, %d) = %s: %v, seen before: %v", length, kind, salt, n, got, err, seen[got])
					}
					seen[got] = true
				}
			}
		}
	}
}

func TestSaltedUIDThatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		length int
		salt   uint64
		number int
	}{{23, 1, 1}, {45, 1, 1}, {44, 10_000_000_000, 1}, {44, 1, 10_000_000}, {44, 1, -10_000_000}} {
		if got, err := saltedUID(c.length, studyUID, c.salt, c.number); err == nil {
			t.Errorf("saltedUID(%d, …, %d, %d) = %s, want an error", c.length, c.salt, c.number, got)
		}
	}
}

// Each object is a whole file with the UIDs that it says, and objects of other numbers and salts are others.
func TestObjectsAreWholeFiles(t *testing.T) {
	s, err := loops(3, 2, 2, 64, 64, 5)
	if err != nil {
		t.Fatal(err)
	}
	studies, instances := map[string]int{}, map[string]int{}
	for _, salt := range []uint64{1_000_000_001, 1_000_000_002} {
		for i := range 6 {
			o, err := s.object(salt, i)
			if err != nil {
				t.Fatal(err)
			}
			file, err := io.ReadAll(&partsReader{o.parts})
			if err != nil || int64(len(file)) != o.size {
				t.Fatalf("object %d has %d bytes, says %d: %v", i, len(file), o.size, err)
			}
			found, err := part10.Scan(bytes.NewReader(file), part10.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if found.StudyInstanceUID != o.studyUID || found.SeriesInstanceUID != o.seriesUID || found.SOPInstanceUID != o.instanceUID ||
				found.Meta.MediaStorageSOPInstanceUID != o.instanceUID {
				t.Fatalf("object %d holds other UIDs than it says", i)
			}
			if !bytes.HasSuffix(file, o.frame(o.frames)) || len(o.frame(o.frames)) != 64*64 {
				t.Fatalf("object %d does not end with its last frame", i)
			}
			studies[o.studyUID]++
			instances[o.instanceUID]++
		}
	}
	if len(studies) != 6 || len(instances) != 12 {
		t.Fatalf("%d studies and %d instances, want 6 and 12", len(studies), len(instances))
	}
}

// A loop that is longer than what is kept of it repeats whole frames.
func TestTailRepeatsTheBlock(t *testing.T) {
	tpl := &template{block: []byte("aabbcc"), tail: 16, frames: 8, sopClass: "1"}
	s := &set{templates: []*template{tpl}, perStudy: 1}
	o, err := s.object(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(&partsReader{o.parts})
	if err != nil || string(got) != "aabbccaabbccaabb" || string(o.frame(o.frames)) != "bb" {
		t.Fatalf("got %q, last frame %q: %v", got, o.frame(o.frames), err)
	}
}

func TestPartsReaderByteByByte(t *testing.T) {
	r := &partsReader{[][]byte{[]byte("ab"), nil, []byte("c")}}
	var got []byte
	for {
		var one [1]byte
		n, err := r.Read(one[:])
		got = append(got, one[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if string(got) != "abc" {
		t.Fatalf("read %q", got)
	}
}
