package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// cuttable is a small object with every kind of structure, and where its parts lie.
type cuttable struct {
	class, instance, syntax string
	meta, dataset           []byte
}

// cut is a place to cut an object at.
type cut struct {
	at    int
	where string
	whole bool // between two elements of the data set: what is left may pass for a whole object
}

// nativeObject has sequences of defined and undefined length and native pixel data.
func nativeObject() cuttable {
	o := object{number: 7_000_001, pixels: 256}
	const itemTag, itemEnd, sequenceEnd = "\xFE\xFF\x00\xE0", "\xFE\xFF\x0D\xE0", "\xFE\xFF\xDD\xE0"
	inner := bytes.Join([][]byte{element(0x0008, 0x1150, "UI", usStorage), element(0x0008, 0x1155, "UI", "1.2.3")}, nil)
	defined := binary.LittleEndian.AppendUint32([]byte("\x08\x00\x40\x11SQ\x00\x00"), uint32(len(inner)+8))
	defined = append(binary.LittleEndian.AppendUint32(append(defined, itemTag...), uint32(len(inner))), inner...)
	undefined := append([]byte("\x08\x00\x40\x21SQ\x00\x00\xFF\xFF\xFF\xFF"+itemTag+"\xFF\xFF\xFF\xFF"), inner...)
	undefined = append(undefined, itemEnd+"\x00\x00\x00\x00"+sequenceEnd+"\x00\x00\x00\x00"...)
	ds := o.dataset()
	at := bytes.Index(ds, []byte("\x10\x00\x10\x00PN")) // before the patient
	ds = bytes.Join([][]byte{ds[:at], defined, undefined, ds[at:]}, nil)
	return cuttable{usStorage, o.instance(), explicitLE, metaFor(o.instance(), explicitLE), ds}
}

// encapsulatedObject has an offset table and three fragments.
func encapsulatedObject() cuttable {
	const jpeg = "1.2.840.10008.1.2.4.50"
	o := object{number: 7_000_002, pixels: 256}
	ds := o.dataset()
	ds, _, _ = bytes.Cut(ds, []byte("\xE0\x7F\x10\x00OW"))
	ds = append(ds, "\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\x00\x00\x00\x00"...)
	for range 3 {
		ds = append(ds, "\xFE\xFF\x00\xE0\x08\x00\x00\x00\xFF\xD8\xFF\xC0\x00\x0B\xFF\xD9"...)
	}
	ds = append(ds, "\xFE\xFF\xDD\xE0\x00\x00\x00\x00"...)
	return cuttable{usStorage, o.instance(), jpeg, metaFor(o.instance(), jpeg), ds}
}

func metaFor(instance, syntax string) []byte {
	return part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: usStorage, MediaStorageSOPInstanceUID: instance, TransferSyntaxUID: syntax,
	})
}

// cuts returns the places: around and inside of preamble, each head and each value, of elements, items,
// fragments and delimiters alike.
func (o cuttable) cuts() []cut {
	all := []cut{{1, "preamble", false}, {127, "preamble", false}, {128, "before DICM", false}, {132, "after DICM", false}}
	base := len(o.meta)
	for at := 132; at < base; { // File Meta
		next := at + elementSize(o.meta[at:])
		all = append(all, cut{at + 4, "head in File Meta", false}, cut{(at + 8 + next) / 2, "value in File Meta", false}, cut{next, "after an element of File Meta", false})
		at = next
	}
	depth := 0 // of sequences and encapsulated values of undefined length, and items
	for at := 0; at < len(o.dataset); {
		ds := o.dataset[at:]
		tag := fmt.Sprintf("%04X,%04X", binary.LittleEndian.Uint16(ds), binary.LittleEndian.Uint16(ds[2:]))
		head, size := 8, 0
		switch tag {
		case "FFFE,E000":
			if n := binary.LittleEndian.Uint32(ds[4:]); n == 0xFFFFFFFF {
				depth++
			} else {
				size = int(n)
			}
		case "FFFE,E00D", "FFFE,E0DD":
			depth--
		default:
			switch vr := string(ds[4:6]); vr {
			case "OB", "OW", "SQ":
				head = 12
				if n := binary.LittleEndian.Uint32(ds[8:]); n == 0xFFFFFFFF {
					depth++
				} else {
					size = int(n)
				}
			default:
				size = int(binary.LittleEndian.Uint16(ds[6:]))
			}
		}
		begin := base + at
		all = append(all, cut{begin + 2, "tag of " + tag, false}, cut{begin + 6, "length of " + tag, false})
		if size > 0 {
			all = append(all, cut{begin + head, "before the value of " + tag, false}, cut{begin + head + size/2, "value of " + tag, false})
		}
		at += head + size
		if at < len(o.dataset) {
			all = append(all, cut{base + at, "after " + tag, depth == 0})
		}
	}
	return all
}

// elementSize is the size of the element of File Meta at the begin of b.
func elementSize(b []byte) int {
	if string(b[4:6]) == "OB" {
		return 12 + int(binary.LittleEndian.Uint32(b[8:]))
	}
	return 8 + int(binary.LittleEndian.Uint16(b[6:]))
}
