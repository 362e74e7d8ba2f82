package stowrs

import (
	"bufio"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strconv"
)

// attribute is one element of an answer. Which field counts follows from its VR.
type attribute struct {
	tag    string // "GGGGEEEE"
	text   string // UI, UR; "" is a zero-length value
	number int    // US
	items  [][]attribute
}

// dictionary holds the elements of answers (PS3.6 §6).
var dictionary = map[string]struct{ vr, keyword string }{
	"00081150": {"UI", "ReferencedSOPClassUID"},
	"00081155": {"UI", "ReferencedSOPInstanceUID"},
	"00081190": {"UR", "RetrieveURL"},
	"00081196": {"US", "WarningReason"},
	"00081197": {"US", "FailureReason"},
	"00081198": {"SQ", "FailedSOPSequence"},
	"00081199": {"SQ", "ReferencedSOPSequence"},
	"0008119A": {"SQ", "OtherFailuresSequence"},
}

func sorted(ds []attribute) []attribute {
	slices.SortFunc(ds, func(a, b attribute) int { return cmp.Compare(a.tag, b.tag) })
	return ds
}

// writeJSON writes a data set in the DICOM JSON model (PS3.18 Annex F). Errors stay in w.
func writeJSON(w *bufio.Writer, ds []attribute) {
	w.WriteByte('{')
	for i, a := range ds {
		if i > 0 {
			w.WriteByte(',')
		}
		vr := dictionary[a.tag].vr
		w.WriteString(`"` + a.tag + `":{"vr":"` + vr + `"`)
		switch {
		case vr == "SQ":
			w.WriteString(`,"Value":[`)
			for j, item := range a.items {
				if j > 0 {
					w.WriteByte(',')
				}
				writeJSON(w, item)
			}
			w.WriteByte(']')
		case vr == "US":
			w.WriteString(`,"Value":[` + strconv.Itoa(a.number) + `]`)
		case a.text != "":
			quoted, _ := json.Marshal(a.text) // a string cannot fail
			w.WriteString(`,"Value":[` + string(quoted) + `]`)
		}
		w.WriteByte('}')
	}
	w.WriteByte('}')
}

// writeXML writes a data set in the Native DICOM Model (PS3.19 §A.1). Errors stay in w.
func writeXML(w *bufio.Writer, ds []attribute) {
	w.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">`)
	writeXMLItem(w, ds)
	w.WriteString("</NativeDicomModel>\n")
}

func writeXMLItem(w *bufio.Writer, ds []attribute) {
	for _, a := range ds {
		d := dictionary[a.tag]
		w.WriteString(`<DicomAttribute tag="` + a.tag + `" vr="` + d.vr + `" keyword="` + d.keyword + `">`)
		switch {
		case d.vr == "SQ":
			for j, item := range a.items {
				w.WriteString(`<Item number="` + strconv.Itoa(j+1) + `">`)
				writeXMLItem(w, item)
				w.WriteString(`</Item>`)
			}
		case d.vr == "US":
			w.WriteString(`<Value number="1">` + strconv.Itoa(a.number) + `</Value>`)
		case a.text != "":
			w.WriteString(`<Value number="1">`)
			_ = xml.EscapeText(w, []byte(a.text))
			w.WriteString(`</Value>`)
		}
		w.WriteString(`</DicomAttribute>`)
	}
}
