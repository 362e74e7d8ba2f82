package scpecg

import (
	"bytes"
	"strings"
)

// makers are the manufacturer codes of tags 14 and 15, byte 8 (§5.4.5). Codes 100 and 255 point to the text
// at the end.
var makers = map[byte]string{
	1: "Burdick", 2: "Cambridge", 3: "Compumed", 4: "Datamed", 5: "Fukuda", 6: "Hewlett-Packard", 7: "Marquette",
	8: "Mortara", 9: "Nihon Kohden", 10: "Okin", 11: "Quinton", 12: "Siemens", 13: "Spacelabs", 14: "Telemed",
	15: "Hellige", 16: "Esaote", 17: "Schiller", 18: "Picker-Schwarzer", 19: "Elettronica Trentina", 20: "Zwönitz",
}

// Places in tags 14 and 15, bytes from 0.
const (
	deviceMaker   = 7
	deviceModel   = 8
	deviceModelTo = 14
	deviceStrings = 36 // behind the length of the first one
)

// device reads tag 14, the device that recorded, or tag 15, the one that analysed: fixed bytes, then five
// texts, each with its NUL: analysing program, serial number, system software, SCP software, maker.
func (d *decoder) device(t tagged) {
	var model, maker string
	if len(t.value) > deviceMaker {
		maker = makers[t.value[deviceMaker]]
	}
	if len(t.value) > deviceModel {
		model = d.deviceText(t.value[deviceModel:min(len(t.value), deviceModelTo)], t)
	}
	var texts [5]string
	if rest := t.value[min(len(t.value), deviceStrings):]; len(rest) > 0 {
		for i, part := range bytes.SplitN(rest, []byte{0}, len(texts)+1) {
			if i < len(texts) {
				texts[i] = d.deviceText(part, t)
			}
		}
	}
	if texts[4] != "" {
		maker = texts[4]
	}
	dev := &d.rec.Device
	if t.tag == tagAnalysingDevice {
		analysis := strings.TrimSpace(model + " " + texts[0])
		if analysis != "" {
			dev.Analysis = analysis
		}
		return
	}
	dev.Maker, dev.Model, dev.Serial, dev.Software = maker, model, texts[1], texts[2]
	if dev.Analysis == "" {
		dev.Analysis = texts[0]
	}
}

// deviceText reads a text of a device. They are ASCII whatever the language says, but a reader of two-byte
// text must not pair their bytes.
func (d *decoder) deviceText(b []byte, t tagged) string {
	if d.text.wide {
		narrow := *d
		narrow.text, _ = newTextReader(0)
		return narrow.string(b, t.where())
	}
	return d.string(b, t.where())
}
