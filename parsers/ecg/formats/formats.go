// Package formats knows every ECG format: which decoder reads what the first bytes tell. Formats do not know
// one another; they meet here.
package formats

import (
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/bundle"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/formats.Decode"

// Decoder returns the decoder of a format; nil when nothing reads it as an ECG.
func Decoder(f sniff.Format) ecg.Decoder { return decoders[f] }

// Formats returns the formats that are read, in no order.
func Formats() []sniff.Format {
	var fs []sniff.Format
	for f := range decoders {
		fs = append(fs, f)
	}
	return fs
}

// Decode tells what src is by its first bytes, opens it where it is an archive of one recording, decodes it, checks it against lim, and adds the limb leads
// that follow from stored ones. The error is a *reject.Error, or src's own.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	head, err := src.Head(sniff.HeadBytes)
	if err != nil {
		return nil, err
	}
	if len(head) == 0 {
		return nil, reject.New(reject.Empty, op, "no bytes")
	}
	format := sniff.Detect(head)
	if format.Archive() {
		if src, err = bundle.Open(src); err != nil {
			return nil, err
		}
		if head, err = src.Head(sniff.HeadBytes); err != nil {
			return nil, err
		}
		if format = sniff.Detect(head); format.Archive() {
			return nil, reject.New(reject.UnsupportedFormat, op, "an archive in an archive")
		}
	}
	decode := decoders[format]
	if decode == nil && format == sniff.Unknown {
		return nil, reject.New(reject.UnsupportedFormat, op, "the content is of no format that is known")
	}
	if decode == nil {
		return nil, reject.New(reject.UnsupportedFormat, op, "no ECG decoder reads %s", format)
	}
	r, err := decode(src, lim)
	if err != nil {
		return nil, err
	}
	if err := r.Validate(lim); err != nil {
		return nil, err
	}
	return r, r.Complete()
}
