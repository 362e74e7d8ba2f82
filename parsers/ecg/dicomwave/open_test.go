package dicomwave

import (
	"bytes"
	"io"
	"reflect"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

// watched notes the ranges that are read.
type watched struct {
	io.ReaderAt
	least int64
	reads int
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	if w.reads == 0 || off < w.least {
		w.least = off
	}
	w.reads++
	return w.ReaderAt.ReadAt(p, off)
}

// TestOpen: the samples of an object whose header was scanned before are those of Decode, and nothing but them is read.
func TestOpen(t *testing.T) {
	for _, syntax := range []string{"1.2.840.10008.1.2.1", deflatedSyntax} {
		data := small(t, syntax)
		object, err := part10.Scan(bytes.NewReader(data), part10.Options{})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := Decode(ecgtest.Source("", data), ecg.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		at := &watched{ReaderAt: bytes.NewReader(data)}
		opened, err := Open(object, ecg.File{At: at, Size: int64(len(data))}, ecg.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if at.reads > 0 {
			t.Errorf("%s: opening reads %d times", syntax, at.reads)
		}
		for i := range whole.Groups {
			want, _, err := whole.Groups[i].ReadAll(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := opened.Groups[i].ReadAll(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if len(want) == 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: group %d has other samples", syntax, i)
			}
		}
		if syntax != deflatedSyntax && at.least < object.Bulk[0].Offset {
			t.Errorf("byte %d was read, samples begin at %d", at.least, object.Bulk[0].Offset)
		}
	}
}
