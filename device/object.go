package device

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// Object is one file to send.
type Object struct {
	Name string // for people; never patient data
	Size int64  // bytes of the whole file
	Open func() (io.ReadCloser, error)

	// What an upload tells of the file beside its bytes; "" says nothing. They may be patient data.
	Filename, Device string

	// What a C-STORE needs to know; empty for files that are no DICOM.
	SOPClassUID       string
	SOPInstanceUID    string
	TransferSyntaxUID string
	DatasetOffset     int64 // first byte of the data set
}

// DICOM reports whether the object can go by C-STORE.
func (o Object) DICOM() bool {
	return o.SOPClassUID != "" && o.SOPInstanceUID != "" && o.TransferSyntaxUID != ""
}

// inspectBytes is how much of a file is read to learn its UIDs: File Meta has them, and a file without it
// has them in its first elements.
const inspectBytes = 64 << 10

// File describes a file on disk. A file that is no DICOM is described all the same: STOW-RS and C-STORE
// cannot take it, the uploads can.
func File(path string) (Object, error) {
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	info, err := os.Stat(path)
	if err != nil {
		return Object{}, err
	}
	if !info.Mode().IsRegular() {
		return Object{}, fmt.Errorf("%s is no file", path)
	}
	return describe(Object{Name: path, Size: info.Size(), Open: open})
}

// Bytes describes a file in memory.
func Bytes(name string, data []byte) (Object, error) {
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	return describe(Object{Name: name, Size: int64(len(data)), Open: open})
}

// Opener describes a file that can be opened as often as wanted.
func Opener(name string, size int64, open func() (io.ReadCloser, error)) (Object, error) {
	return describe(Object{Name: name, Size: size, Open: open})
}

func describe(o Object) (Object, error) {
	r, err := o.Open()
	if err != nil {
		return o, err
	}
	defer r.Close()
	head, err := io.ReadAll(io.LimitReader(r, inspectBytes))
	if err != nil {
		return o, err
	}
	// The verdict is about a cut file and says nothing here; what was learnt before the cut does.
	found, _ := part10.Scan(bytes.NewReader(head), part10.Options{})
	o.SOPClassUID, o.SOPInstanceUID = found.SOPClassUID, found.SOPInstanceUID
	if m := found.Meta; m.MediaStorageSOPInstanceUID != "" {
		o.SOPClassUID, o.SOPInstanceUID = m.MediaStorageSOPClassUID, m.MediaStorageSOPInstanceUID
	}
	o.TransferSyntaxUID, o.DatasetOffset = found.TransferSyntaxUID, found.DatasetOffset
	return o, nil
}
