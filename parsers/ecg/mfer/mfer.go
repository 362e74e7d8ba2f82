package mfer

import (
	"math/big"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "mfer.Decode"

// Tags of ISO 22077-1.
const (
	tagEndOfContents = 0x00
	tagByteOrder     = 0x01
	tagVersion       = 0x02
	tagCharset       = 0x03
	tagBlock         = 0x04
	tagChannels      = 0x05
	tagSequences     = 0x06
	tagWaveform      = 0x08
	tagLead          = 0x09
	tagType          = 0x0A
	tagInterval      = 0x0B
	tagSensitivity   = 0x0C
	tagOffset        = 0x0D
	tagCompression   = 0x0E
	tagFilter        = 0x11
	tagNull          = 0x12
	tagComment       = 0x16
	tagMaker         = 0x17
	tagData          = 0x1E
	tagAttributes    = 0x3F
	tagPreamble      = 0x40
	tagEvent         = 0x41
	tagGroup         = 0x67
	tagEnd           = 0x80
	tagName          = 0x81
	tagID            = 0x82
	tagAge           = 0x83
	tagSex           = 0x84
	tagTime          = 0x85
	tagUID           = 0x87
)

// maxTags bounds the tags of one file: a monitor's day has some thousand, most of them events.
const maxTags = 1_000_000

type decoder struct {
	src  ecg.Source
	lim  ecg.Limits
	rec  *ecg.Recording
	in   cursor
	tags int
	held int64 // bytes of texts and definitions that were kept

	little  bool
	charset string
	root    attributes
	chans   map[int]*attributes
	count   int   // channels
	seqs    int64 // 0: not stated
	changed bool  // since the last waveform data
	time    ecg.Time

	frames []frame
	events []event
}

// attributes are what may be defined for all channels or for one. Nil is not defined.
type attributes struct {
	lead            int
	label           string
	hasLead         bool
	kind            *byte
	block           *int64
	interval, sense []byte
	offset, null    []byte
	filter          string
}

// frame is waveform data with the definitions that hold for them.
type frame struct {
	little   bool
	channels []attributes // resolved
	seqs     int64
	parts    []extent
	time     ecg.Time
}

type extent struct{ offset, size int64 }

type event struct {
	channel     int // −1: all
	frame       int
	code        int
	start, last int64 // samples
	text        string
}

// Decode reads an MFER file. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	d := &decoder{src: src, lim: lim.Fill(), rec: &ecg.Recording{Format: sniff.MFER}, in: cursor{file: src.File}}
	d.count, d.chans, d.changed = 1, map[int]*attributes{}, true
	if err := d.walk(); err != nil {
		return nil, err
	}
	if err := d.groups(); err != nil {
		return nil, err
	}
	d.annotate()
	return d.rec, nil
}

// walk reads the chain of tags.
func (d *decoder) walk() error {
	for d.in.pos < d.src.Size {
		if d.tags++; d.tags > maxTags {
			return reject.At(reject.TooManyElements, op, d.in.pos, "%d tags", d.tags)
		}
		tag, err := d.in.one()
		if err != nil {
			return err
		}
		if tag == tagEndOfContents {
			continue // padding
		}
		if tag == tagAttributes {
			if err := d.channel(); err != nil {
				return err
			}
			continue
		}
		n, err := d.in.length()
		if err != nil {
			return err
		}
		if n == indefinite {
			return reject.At(reject.Malformed, op, d.in.pos, "tag %02X has no length", tag)
		}
		switch {
		case tag == tagEnd:
			if d.in.pos += n; d.in.pos < d.src.Size {
				d.rec.Warn(ecg.WarnTrailingBytes, "")
			}
			return nil
		case tag == tagData:
			if err := d.data(n); err != nil {
				return err
			}
			continue
		case n > d.src.Size-d.in.pos:
			return reject.At(reject.Truncated, op, d.in.pos, "tag %02X of %d bytes reaches beyond the file", tag, n)
		}
		value, err := d.value(tag, n)
		if err != nil {
			return err
		}
		if err := d.rootTag(tag, value); err != nil {
			return err
		}
	}
	return nil
}

// value reads the value of a tag that we know, and passes over others.
func (d *decoder) value(tag byte, n int64) ([]byte, error) {
	if n > window || tag == tagGroup {
		if tag < tagGroup && tag != tagComment && tag != tagPreamble && tag != tagEvent {
			return nil, reject.At(reject.Malformed, op, d.in.pos, "tag %02X of %d bytes", tag, n)
		}
		d.rec.Warn(ecg.WarnUnsupportedPart, "tag "+strconv.FormatInt(int64(tag), 16))
		d.in.pos += n
		return nil, nil
	}
	if d.held += n; d.held > d.lim.HeaderBytes {
		return nil, reject.At(reject.HeaderTooLarge, op, d.in.pos, "definitions of %d bytes", d.held)
	}
	b, err := d.in.bytes(int(n))
	return append([]byte(nil), b...), err
}

// channel reads the attributes of one channel.
func (d *decoder) channel() error {
	number, err := d.in.channelNumber()
	if err != nil {
		return err
	}
	if number >= d.lim.Leads {
		return reject.At(reject.TooManyElements, op, d.in.pos, "attributes of channel %d", number)
	}
	n, err := d.in.length()
	if err != nil {
		return err
	}
	if n != indefinite && n > d.src.Size-d.in.pos {
		return reject.At(reject.Truncated, op, d.in.pos, "attributes of %d bytes reach beyond the file", n)
	}
	a := d.chans[number]
	if a == nil {
		a = &attributes{}
		d.chans[number] = a
	}
	end := d.in.pos + n
	for n == indefinite || d.in.pos < end {
		if d.tags++; d.tags > maxTags {
			return reject.At(reject.TooManyElements, op, d.in.pos, "%d tags", d.tags)
		}
		tag, err := d.in.one()
		if err != nil {
			return err
		}
		size, err := d.in.length()
		if err != nil {
			return err
		}
		switch {
		case tag == tagEndOfContents && size == 0 && n == indefinite:
			return nil
		case size == indefinite, tag == tagAttributes, tag == tagData, size > d.src.Size-d.in.pos, n != indefinite && size > end-d.in.pos:
			return reject.At(reject.Malformed, op, d.in.pos, "tag %02X of %d bytes among the attributes of a channel", tag, size)
		}
		value, err := d.value(tag, size)
		if err != nil {
			return err
		}
		if tag == tagEvent {
			d.event(value, number)
			continue
		}
		if err := d.attribute(a, tag, value); err != nil {
			return err
		}
	}
	if d.in.pos != end {
		return reject.At(reject.Malformed, op, d.in.pos, "attributes overrun their length")
	}
	return nil
}

// attribute reads what may be defined for all channels or for one. Tags that mean nothing there are passed over.
func (d *decoder) attribute(a *attributes, tag byte, v []byte) error {
	switch tag {
	case tagLead:
		if len(v) < 1 {
			return nil
		}
		a.hasLead = true
		if len(v) == 1 {
			a.lead, a.label = int(v[0]), ""
		} else {
			a.lead, a.label = int(d.unsigned(v[:2])), d.text(v[2:], "lead")
		}
	case tagType:
		if len(v) != 1 || int(v[0]) >= len(typeBytes) {
			return reject.At(reject.NotParsed, op, d.in.pos, "samples of type %x", v)
		}
		a.kind = &v[0]
	case tagBlock:
		n := int64(d.unsigned(v))
		if len(v) == 0 || n <= 0 || n > d.src.Size {
			return reject.At(reject.Malformed, op, d.in.pos, "blocks of %d samples", n)
		}
		a.block = &n
	case tagInterval:
		a.interval = d.bigEndian(v)
	case tagSensitivity:
		a.sense = d.bigEndian(v)
	case tagOffset:
		a.offset = d.wholeBigEndian(v)
	case tagNull:
		a.null = d.wholeBigEndian(v)
	case tagFilter:
		a.filter = d.printable(v)
	default:
		return nil
	}
	d.changed = true
	return nil
}

// unsigned reads a number in the file's byte order; of more than eight bytes, the highest are lost.
func (d *decoder) unsigned(v []byte) uint64 {
	n := uint64(0)
	for i := range v {
		if d.little {
			n = n<<8 | uint64(v[len(v)-1-i])
		} else {
			n = n<<8 | uint64(v[i])
		}
	}
	return n
}

// bigEndian returns unit, exponent and a mantissa whose highest byte comes first.
func (d *decoder) bigEndian(v []byte) []byte {
	if len(v) < 3 {
		return v
	}
	return append(append([]byte(nil), v[:2]...), d.wholeBigEndian(v[2:])...)
}

func (d *decoder) wholeBigEndian(v []byte) []byte {
	out := append([]byte(nil), v...)
	if d.little {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out
}

// scaled reads unit, power of ten and mantissa; ok is false for what is none or has mantissa 0.
func scaled(v []byte) (unit byte, value ecg.Rat, ok bool) {
	if len(v) < 3 || len(v) > 10 {
		return 0, ecg.Rat{}, false
	}
	n := new(big.Int).SetBytes(v[2:])
	mantissa, err := ecg.ParseRat(n.String())
	if err != nil || mantissa.IsZero() {
		return 0, ecg.Rat{}, false
	}
	return v[0], mantissa.Pow10(int(int8(v[1]))), true
}

// data takes note of waveform data of n bytes.
func (d *decoder) data(n int64) error {
	left := d.src.Size - d.in.pos
	if n > left {
		d.rec.Warn(ecg.WarnTruncated, "")
		n = left
	}
	part := extent{d.in.pos, n}
	d.in.pos += n
	if !d.changed && len(d.frames) > 0 {
		f := &d.frames[len(d.frames)-1]
		if len(f.parts) >= d.lim.Annotations {
			return reject.At(reject.TooManyElements, op, part.offset, "%d parts of waveform data", len(f.parts))
		}
		f.parts = append(f.parts, part)
		return nil
	}
	if len(d.frames) >= d.lim.Groups {
		return reject.At(reject.TooManyElements, op, part.offset, "%d definitions of waveforms", len(d.frames))
	}
	f := frame{little: d.little, seqs: d.seqs, parts: []extent{part}, time: d.time, channels: make([]attributes, d.count)}
	for i := range f.channels {
		f.channels[i] = d.root
		if own := d.chans[i]; own != nil {
			f.channels[i].override(own)
		}
	}
	d.frames = append(d.frames, f)
	d.changed = false
	return nil
}

// override puts what own defines in place of what holds for all.
func (a *attributes) override(own *attributes) {
	if own.hasLead {
		a.hasLead, a.lead, a.label = true, own.lead, own.label
	}
	if own.kind != nil {
		a.kind = own.kind
	}
	if own.block != nil {
		a.block = own.block
	}
	for _, v := range []struct{ to, from *[]byte }{
		{&a.interval, &own.interval}, {&a.sense, &own.sense}, {&a.offset, &own.offset}, {&a.null, &own.null},
	} {
		if *v.from != nil {
			*v.to = *v.from
		}
	}
	if own.filter != "" {
		a.filter = own.filter
	}
}
