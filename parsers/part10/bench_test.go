package part10

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// ultrasound makes an Explicit VR Little Endian ultrasound image of about 100 KiB with about 100 data
// elements, as the benchmark's workload W1 sends.
func ultrasound() []byte {
	b := AppendFileMeta(nil, FileMeta{
		MediaStorageSOPClassUID: "1.2.840.10008.5.1.4.1.1.6.1", MediaStorageSOPInstanceUID: "2.25.7001",
		TransferSyntaxUID: explicitLittleEndian,
	})
	short := func(tag uint32, v, value string) {
		if len(value)%2 == 1 {
			value += " "
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(tag>>16))
		b = binary.LittleEndian.AppendUint16(b, uint16(tag))
		b = append(b, v...)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		b = append(b, value...)
	}
	us := func(tag uint32, n uint16) { short(tag, "US", string([]byte{byte(n), byte(n >> 8)})) }
	short(0x00080005, "CS", "ISO_IR 192")
	short(0x00080008, "CS", `ORIGINAL\PRIMARY\ABDOMEN`)
	short(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.6.1\x00")
	short(0x00080018, "UI", "2.25.7001\x00")
	short(0x00080020, "DA", "20260102")
	short(0x00080021, "DA", "20260102")
	short(0x00080030, "TM", "101112")
	short(0x00080050, "SH", "ACC0001")
	short(0x00080060, "CS", "US")
	short(0x00080070, "LO", "Nobody Medical")
	short(0x00080080, "LO", "Village Clinic")
	short(0x00080090, "PN", "Referrer^R")
	short(0x00081030, "LO", "Abdomen routine")
	for i := range 20 {
		short(0x00091001+uint32(i), "LO", fmt.Sprintf("private value %d", i))
	}
	short(0x00100010, "PN", "Patient^Test=病人^测试")
	short(0x00100020, "LO", "PID-0001")
	short(0x00100030, "DA", "19700101")
	short(0x00100040, "CS", "F")
	for i := range 30 {
		short(0x00180050+uint32(i), "DS", fmt.Sprintf("%d.25", i))
	}
	short(0x0020000D, "UI", "2.25.7002\x00")
	short(0x0020000E, "UI", "2.25.7003\x00")
	short(0x00200010, "SH", "STUDY1")
	short(0x00200011, "IS", "1")
	short(0x00200013, "IS", "1")
	us(0x00280002, 1)
	short(0x00280004, "CS", "MONOCHROME2")
	us(0x00280010, 320)
	us(0x00280011, 320)
	us(0x00280100, 8)
	us(0x00280101, 8)
	us(0x00280102, 7)
	us(0x00280103, 0)
	for i := range 15 {
		short(0x00400240+uint32(i), "LO", "step description")
	}
	b = append(b, 0xE0, 0x7F, 0x10, 0x00, 'O', 'W', 0, 0)
	b = binary.LittleEndian.AppendUint32(b, 320*320)
	return append(b, make([]byte, 320*320)...)
}

func BenchmarkScan(b *testing.B) {
	data := ultrasound()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	r := bytes.NewReader(nil)
	for b.Loop() {
		r.Reset(data)
		if obj, err := Scan(r, Options{}); err != nil || len(obj.Header) == 0 {
			b.Fatal(err)
		}
	}
}
