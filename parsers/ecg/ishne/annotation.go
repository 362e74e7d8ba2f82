package ishne

import (
	"encoding/binary"
	"io"
	"path"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// companion reads the annotations that came with a recording.
func (d *decoder) companion() error {
	file, ok := d.src.Part(strings.TrimSuffix(d.src.Name, path.Ext(d.src.Name)) + ".ann")
	if !ok || !isAnn(file) {
		ok = false
		for _, part := range d.src.Parts {
			if isAnn(part) {
				if ok {
					return nil // several, and none of our name: whose they are is not known
				}
				file, ok = part, true
			}
		}
	}
	if !ok || len(d.rec.Groups) == 0 {
		return nil
	}
	a, err := open(ecg.Source{File: file}, d.lim, "ANN  1.0", d.rec.Format)
	if err != nil {
		if reject.CodeOf(err) == reject.Internal {
			return err
		}
		d.rec.Warn(ecg.WarnUnsupportedPart, "annotations")
		return nil
	}
	if a.rec.Patient.ID != d.rec.Patient.ID || !a.rate.Equal(d.rate) {
		d.rec.Warn(ecg.WarnHeaderDiffers, "annotations")
	}
	return annotations(d.rec, file, 0, a.rate, d.lim)
}

func isAnn(f ecg.File) bool {
	head, err := f.Head(8)
	return err == nil && string(head) == "ANN  1.0"
}

// annotationBytes is the size of one annotation.
const annotationBytes = 4

// annotations reads the beats of f into rec.
func annotations(rec *ecg.Recording, f ecg.File, group int, rate ecg.Rat, lim ecg.Limits) error {
	head, err := f.Head(fixedEnd)
	if err != nil {
		return err
	}
	at := int64(fixedEnd) + max(0, int64(int32(binary.LittleEndian.Uint32(head[atVarSize:]))))
	if at+4 > f.Size {
		rec.Warn(ecg.WarnTruncated, "annotations")
		return nil
	}
	first, err := f.Bytes(at, 4)
	if err != nil {
		return err
	}
	sample := int64(binary.LittleEndian.Uint32(first))
	at += 4
	if (f.Size-at)%annotationBytes != 0 {
		rec.Warn(ecg.WarnTrailingBytes, "annotations")
	}
	perSample, _ := ecg.Int(1000).Quo(rate)
	buf := make([]byte, 4096*annotationBytes)
	for count := (f.Size - at) / annotationBytes; count > 0; {
		b := buf[:min(int64(len(buf)), count*annotationBytes)]
		if n, err := f.At.ReadAt(b, at); n < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		at += int64(len(b))
		count -= int64(len(b)) / annotationBytes
		for ; len(b) > 0; b = b[annotationBytes:] {
			sample += int64(binary.LittleEndian.Uint16(b[2:]))
			if b[0] == '!' {
				continue // a distance without a beat
			}
			if len(rec.Annotations) >= lim.Annotations {
				rec.Warn(ecg.WarnAnnotationsCut, "")
				return nil
			}
			rec.Annotations = append(rec.Annotations, beat(b[0], b[1], group, ecg.Int(sample).Mul(perSample)))
		}
	}
	return nil
}

func beat(class, sub byte, group int, onset ecg.Rat) ecg.Annotation {
	a := ecg.Annotation{Kind: ecg.Beat, Group: group, Onset: onset, Code: printable(class)}
	switch class {
	case 'C':
		a.Kind, a.Text = ecg.Event, "calibration pulse"
	case 'X':
		a.Kind, a.Text = ecg.Event, "artefact"
	default:
		a.Text = strings.TrimSpace(strings.ReplaceAll(printable(sub), "#", ""))
	}
	return a
}

func printable(c byte) string {
	if c > ' ' && c < 0x7F {
		return string(rune(c))
	}
	return ""
}
