package wfdb

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// maxAnnotationBytes bounds an annotation file: four bytes for each of 400,000 beats, and text.
const maxAnnotationBytes = 16 << 20

// mnemonics are the letters of annotation codes 1 to 41 (annot(5), ecgcodes.h).
var mnemonics = [...]string{
	1: "N", 2: "L", 3: "R", 4: "a", 5: "V", 6: "F", 7: "J", 8: "A", 9: "S", 10: "E", 11: "j", 12: "/", 13: "Q", 14: "~",
	16: "|", 18: "s", 19: "T", 20: "*", 21: "D", 22: `"`, 23: "=", 24: "p", 25: "B", 26: "^", 27: "t", 28: "+", 29: "u",
	30: "?", 31: "!", 32: "[", 33: "]", 34: "e", 35: "n", 36: "@", 37: "x", 38: "f", 39: "(", 40: ")", 41: "r",
}

// Codes that are not annotations but say something about the next or the last one.
const (
	codeNote = 22
	codeSkip = 59
	codeNum  = 60
	codeSub  = 61
	codeChan = 62
	codeAux  = 63
)

// annotations reads NAME.atr, and of each lead NAME.lead (as LUDB has them).
func (d *decoder) annotations(h *header) error {
	base := d.base(h)
	if f, ok := d.src.Part(base + ".atr"); ok {
		if err := d.annotationFile(f, h.rate, ""); err != nil {
			return err
		}
	}
	for _, g := range d.rec.Groups {
		if g.Kind == ecg.OtherSignals {
			continue
		}
		for i := range g.Leads {
			l := &g.Leads[i]
			name := strings.ToLower(strings.TrimSpace(l.Label))
			if name == "" || name == "hea" || name == "dat" || name == "atr" || name == "mat" || strings.ContainsAny(name, " ./") {
				continue
			}
			if f, ok := d.src.Part(base + "." + name); ok && !d.isSignalFile(f, h) {
				if err := d.annotationFile(f, h.rate, l.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *decoder) isSignalFile(f ecg.File, h *header) bool {
	for i := range h.signals {
		if strings.EqualFold(h.signals[i].file, f.Name) {
			return true
		}
	}
	return false
}

// annotationFile reads one file in MIT format (annot(5)): pairs of bytes with a code of 6 bits and a distance of
// 10 in frames.
func (d *decoder) annotationFile(f ecg.File, rate ecg.Rat, lead string) error {
	if f.Size > maxAnnotationBytes {
		d.rec.Warn(ecg.WarnAnnotationsCut, "")
		return nil
	}
	b, err := f.Bytes(0, f.Size)
	if err != nil {
		return err
	}
	if isAHA(b) {
		d.rec.Warn(ecg.WarnUnsupportedPart, "annotations of the AHA format")
		return nil
	}
	perTick, _ := ecg.Int(1000).Quo(rate)
	tick := int64(0)
	var last *ecg.Annotation
	for len(b) >= 2 {
		word := binary.LittleEndian.Uint16(b)
		b = b[2:]
		code, n := int(word>>10), int64(word&0x3FF)
		switch {
		case word == 0:
			return nil
		case code == codeSkip && len(b) >= 4: // high half first
			tick += int64(int32(uint32(binary.LittleEndian.Uint16(b))<<16 | uint32(binary.LittleEndian.Uint16(b[2:]))))
			b = b[4:]
		case code == codeNum, code == codeSub, code == codeChan, code == codeSkip:
		case code == codeAux:
			text := b[:min(n, int64(len(b)))]
			b = b[min(n+n&1, int64(len(b))):]
			if resolution, ok := timeResolution(text); ok {
				perTick, _ = ecg.Int(1000).Quo(resolution)
			} else if last != nil {
				last.Text = d.auxText(text)
			}
		default:
			tick += n
			if code == 0 {
				continue // a distance alone
			}
			if tick < 0 || tick > 1<<50 || code >= len(mnemonics) || mnemonics[code] == "" {
				d.rec.Warn(ecg.WarnLayout, "annotations")
				last = nil
				continue
			}
			if code == codeNote && tick == 0 && len(b) >= 2 && b[1]>>2 == codeAux && isDeclaration(b[2:]) {
				last = nil // says how to read the file, and nothing about the heart
				continue
			}
			if len(d.rec.Annotations) >= d.lim.Annotations {
				d.rec.Warn(ecg.WarnAnnotationsCut, "")
				return nil
			}
			d.rec.Annotations = append(d.rec.Annotations, ecg.Annotation{
				Kind: kindOf(code), Group: -1, Lead: lead, Onset: ecg.Int(tick).Mul(perTick), Code: mnemonics[code],
			})
			last = &d.rec.Annotations[len(d.rec.Annotations)-1]
		}
	}
	d.rec.Warn(ecg.WarnTruncated, "annotations") // an end mark belongs there
	return nil
}

// isAHA knows annotations of the AHA database: records of 16 bytes that begin with 0 and a letter.
func isAHA(b []byte) bool {
	if len(b) < 16 || len(b)%16 != 0 || b[3]>>2 == codeAux {
		return false
	}
	for i := 0; i < len(b) && i < 256; i += 16 {
		if b[i] != 0 || b[i+1] < '!' || b[i+1] > '~' {
			return false
		}
	}
	return true
}

func isDeclaration(text []byte) bool { return bytes.HasPrefix(text, []byte("## ")) }

// timeResolution reads "## time resolution: 1000", ticks a second.
func timeResolution(text []byte) (ecg.Rat, bool) {
	rest, ok := strings.CutPrefix(string(text), "## time resolution:")
	if !ok {
		return ecg.Rat{}, false
	}
	v, err := ecg.ParseRat(strings.Trim(rest, " \x00"))
	return v, err == nil && v.Sign() > 0
}

func (d *decoder) auxText(b []byte) string {
	text, note := charset.Parse("ISO_IR 192").Decode(b, "UT")
	if note&charset.Replaced != 0 {
		d.rec.Warn(ecg.WarnTextReplaced, "annotation")
	}
	return strings.Trim(text, "\x00 ")
}

func kindOf(code int) ecg.AnnotationKind {
	switch code {
	case 14, 16, 20, 21: // noise, artefact, ST and T changes
		return ecg.Event
	case 18, 19: // ST segment, T wave change
		return ecg.Event
	case codeNote, 23, 36: // note, measurement, link
		return ecg.Note
	case 24, 27, 29, 39, 40: // P, T and U waves, onset and end
		return ecg.Wave
	case 26: // spike that did not capture
		return ecg.Spike
	case 28, 32, 33: // change of rhythm, start and end of flutter
		return ecg.RhythmNote
	}
	return ecg.Beat
}
