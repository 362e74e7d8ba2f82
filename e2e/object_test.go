package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

const (
	usStorage  = "1.2.840.10008.5.1.4.1.1.6.1"
	explicitLE = "1.2.840.10008.1.2.1"
)

// object is a synthetic ultrasound image that is made again from its number and size whenever its bytes
// are needed.
type object struct {
	number int
	pixels int // bytes of PixelData, even
}

func (o object) instance() string { return fmt.Sprintf("1.2.826.0.1.3680043.10.1.%d.1", o.number) }
func (o object) series() string   { return fmt.Sprintf("1.2.826.0.1.3680043.10.2.%d", o.number/5) }
func (o object) study() string    { return fmt.Sprintf("1.2.826.0.1.3680043.10.3.%d", o.number/20) }

// dataset is the object without preamble and File Meta.
func (o object) dataset() []byte {
	columns := uint16(256)
	rows := uint16(max(o.pixels/256, 1))
	b := bytes.Join([][]byte{
		element(0x0008, 0x0005, "CS", "ISO_IR 192"),
		element(0x0008, 0x0016, "UI", usStorage), element(0x0008, 0x0018, "UI", o.instance()),
		element(0x0008, 0x0020, "DA", "20261122"), element(0x0008, 0x0060, "CS", "US"),
		element(0x0010, 0x0010, "PN", fmt.Sprintf("Zhang^San%d=张^三", o.number)), element(0x0010, 0x0020, "LO", fmt.Sprintf("P%d", o.number/20)),
		element(0x0020, 0x000D, "UI", o.study()), element(0x0020, 0x000E, "UI", o.series()),
		element(0x0020, 0x0013, "IS", fmt.Sprint(o.number)),
		element(0x0028, 0x0002, "US", "\x01\x00"), element(0x0028, 0x0004, "CS", "MONOCHROME2"),
		element(0x0028, 0x0010, "US", string(binary.LittleEndian.AppendUint16(nil, rows))),
		element(0x0028, 0x0011, "US", string(binary.LittleEndian.AppendUint16(nil, columns))),
		element(0x0028, 0x0100, "US", "\x08\x00"), element(0x0028, 0x0101, "US", "\x08\x00"),
		element(0x0028, 0x0102, "US", "\x07\x00"), element(0x0028, 0x0103, "US", "\x00\x00"),
	}, nil)
	n := int(rows) * int(columns)
	b = append(b, 0xE0, 0x7F, 0x10, 0x00, 'O', 'W', 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	noise := rand.New(rand.NewPCG(uint64(o.number), uint64(n)))
	for range n / 8 {
		b = binary.LittleEndian.AppendUint64(b, noise.Uint64())
	}
	return b
}

// file is the object as a DICOM file.
func (o object) file() []byte {
	return append(part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: usStorage, MediaStorageSOPInstanceUID: o.instance(), TransferSyntaxUID: explicitLE,
	}), o.dataset()...)
}

// path is where the object is retrieved, below the DICOMweb root.
func (o object) path() string {
	return "/dicom-web/studies/" + o.study() + "/series/" + o.series() + "/instances/" + o.instance()
}

func (o object) sendable(t testing.TB) device.Object {
	t.Helper()
	d, err := device.Bytes(fmt.Sprintf("object-%d.dcm", o.number), o.file())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// element encodes one explicit little endian element with a 16-bit length.
func element(group, elem uint16, vr, value string) []byte {
	if len(value)%2 == 1 {
		pad := " "
		if vr == "UI" {
			pad = "\x00"
		}
		value += pad
	}
	b := binary.LittleEndian.AppendUint16(nil, group)
	b = binary.LittleEndian.AppendUint16(b, elem)
	b = append(b, vr...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}
