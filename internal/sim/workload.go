package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// parcel is one object that a device has to send.
type parcel struct {
	body []byte
	uid  string // SOP Instance UID
	data string // hex SHA-256 of the data set
	file string // hex SHA-256 of body
	kind kind

	// Of its journey.
	tries         int
	notBefore     time.Time
	landed, again bool // the node is done with it; it must be sent again
}

type kind int

const (
	whole kind = iota
	cut        // a file that ends too early: quarantine
	junk       // no medical format at all: refused
)

const (
	ctStorage  = "1.2.840.10008.5.1.4.1.1.2"
	explicitLE = "1.2.840.10008.1.2.1"
)

// element encodes one explicit little endian element with a 16-bit length (PS3.5 §7.1.2).
func element(b []byte, group, elem uint16, vr, value string) []byte {
	if len(value)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" {
			pad = 0
		}
		value += string(pad)
	}
	b = binary.LittleEndian.AppendUint16(b, group)
	b = binary.LittleEndian.AppendUint16(b, elem)
	b = append(b, vr...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

var names = []string{"Wang^Wei=王^伟", "Li^Na=李^娜", "Müller^Jörg", "Zhang^San=张^三", "O'Brien^Ann"}

// instance makes a CT instance with so many bytes of pixels.
func instance(rng *rand.Rand, study int, uid, name string, pixels int, station string) parcel {
	var ds []byte
	ds = element(ds, 0x0008, 0x0005, "CS", "ISO_IR 192")
	ds = element(ds, 0x0008, 0x0016, "UI", ctStorage)
	ds = element(ds, 0x0008, 0x0018, "UI", uid)
	ds = element(ds, 0x0008, 0x0060, "CS", "CT")
	ds = element(ds, 0x0010, 0x0010, "PN", name)
	ds = element(ds, 0x0010, 0x0020, "LO", fmt.Sprintf("P%d", study))
	ds = element(ds, 0x0020, 0x000D, "UI", fmt.Sprintf("1.2.3.%d", study))
	ds = element(ds, 0x0020, 0x000E, "UI", fmt.Sprintf("1.2.3.%d.1", study))
	ds = binary.LittleEndian.AppendUint16(ds, 0x7FE0)
	ds = binary.LittleEndian.AppendUint16(ds, 0x0010)
	ds = append(ds, 'O', 'W', 0, 0)
	ds = binary.LittleEndian.AppendUint32(ds, uint32(pixels&^1))
	for range (pixels &^ 1) / 2 {
		ds = binary.LittleEndian.AppendUint16(ds, uint16(rng.Uint32()))
	}
	return pack(uid, ds, station)
}

// pack makes a file of a data set. Files of one data set differ by the station that sent them.
func pack(uid string, ds []byte, station string) parcel {
	body := append(part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: ctStorage, MediaStorageSOPInstanceUID: uid, TransferSyntaxUID: explicitLE, SourceAETitle: station,
	}), ds...)
	return parcel{body: body, uid: uid, data: sum(ds), file: sum(body)}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// workload is what devices send: most objects are new, some come again by another way or the same, some have taken
// UIDs, some are broken.
func workload(rng *rand.Rand, n int) []parcel {
	var all []parcel
	var sets []int // those whose data set can come again
	raw := map[int][]byte{}
	for i := range n {
		uid := fmt.Sprintf("1.2.3.9.%d", i)
		size := 2 * rng.IntN(1500)
		if rng.IntN(8) == 0 {
			size = 13_000 + rng.IntN(30_000) // a file of its own
		}
		name := names[rng.IntN(len(names))]
		x := rng.IntN(100)
		var p parcel
		switch old := pick(rng, sets); {
		case x < 10 && old >= 0: // the same data set by another way
			p = pack(all[old].uid, raw[old], fmt.Sprintf("STATION%d", rng.IntN(3)))
		case x < 20 && old >= 0: // a taken UID
			p = instance(rng, rng.IntN(5), all[old].uid, name, size, "")
		case x < 26 && len(all) > 0: // the same bytes
			p = all[rng.IntN(len(all))]
		case x < 33:
			p = instance(rng, rng.IntN(5), uid, name, 100, "")
			p.body = slices.Clone(p.body[:len(p.body)-50])
			p.kind, p.data, p.file = cut, "", sum(p.body)
		case x < 36:
			p = parcel{body: fmt.Appendf(nil, "letter %d, which is no image at all", rng.Uint64()), kind: junk}
			p.file = sum(p.body)
		default:
			p = instance(rng, rng.IntN(5), uid, name, size, "")
		}
		if p.kind == whole {
			sets = append(sets, len(all))
			raw[len(all)] = p.body[len(p.body)-datasetBytes(p):]
		}
		all = append(all, p)
	}
	return all
}

func pick(rng *rand.Rand, from []int) int {
	if len(from) == 0 {
		return -1
	}
	return from[rng.IntN(len(from))]
}

// datasetBytes is the length of a parcel's data set: its File Meta group tells its own (PS3.10 §7.1).
func datasetBytes(p parcel) int {
	const preamble, groupLength = 128 + 4, 12
	length := int(binary.LittleEndian.Uint32(p.body[preamble+8:]))
	return len(p.body) - preamble - groupLength - length
}
