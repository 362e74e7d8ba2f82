package dicomwave

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

const op = "ecg/dicomwave.Decode"

// SOP Classes of waveforms that may hold an ECG (PS3.4 §B.5).
const (
	twelveLead = "1.2.840.10008.5.1.4.1.1.9.1.1"
	ambulatory = "1.2.840.10008.5.1.4.1.1.9.1.3"
	cardiacEP  = "1.2.840.10008.5.1.4.1.1.9.3.1"
	ecgRoot    = "1.2.840.10008.5.1.4.1.1.9.1."
	audioRoot  = "1.2.840.10008.5.1.4.1.1.9.4."

	deflatedSyntax  = "1.2.840.10008.1.2.1.99"
	bigEndianSyntax = "1.2.840.10008.1.2.2"
)

// maxHeader bounds the header of a waveform object, bytes: those of 24 channels have some 40 KiB, and what
// JSON makes of a header takes ten times as much.
const maxHeader = 4 << 20

type decoder struct {
	src    ecg.Source
	lim    ecg.Limits
	rec    *ecg.Recording
	object *part10.Object
	head   dataset
	bulk   map[string]part10.Bulk
	data   ecg.File // where Bulk offsets count: the file, or its inflated data set
	groups map[int]int
}

// Decode reads a DICOM waveform object. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) {
	lim = lim.Fill()
	object, err := part10.Scan(src.Reader(), part10.Options{Limits: part10.Limits{Header: min(lim.HeaderBytes, maxHeader)}, LeadingZeros: true})
	if err != nil && !identityOnly(object, err) {
		return nil, err
	}
	d := &decoder{src: src, lim: lim, object: object, rec: &ecg.Recording{Format: sniff.DICOM}, data: src.File}
	if err != nil {
		d.rec.Warn(ecg.WarnBadUID, "")
	}
	return d.decode()
}

// Describe is what Decode tells of an object that was scanned already, of size bytes, without its samples: the
// readers of its groups give an error. Its errors are Decode's.
func Describe(object *part10.Object, size int64, lim ecg.Limits) (*ecg.Recording, error) {
	return Open(object, ecg.File{At: unread{}, Size: size}, lim)
}

// Open is Decode of an object that was scanned already: of file nothing is read but samples, when they are asked for. Its
// errors are Decode's.
func Open(object *part10.Object, file ecg.File, lim ecg.Limits) (*ecg.Recording, error) {
	if len(object.Header) > maxDescribed {
		return nil, reject.New(reject.TooManyElements, op, "a header of %d bytes", len(object.Header))
	}
	d := &decoder{src: ecg.Source{File: file}, lim: lim.Fill(), object: object, rec: &ecg.Recording{Format: sniff.DICOM}, data: file}
	rec, err := d.decode()
	if err == nil {
		err = rec.Validate(d.lim)
	}
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// maxDescribed bounds the header of an object that is described, bytes of JSON: that of a header of maxHeader.
const maxDescribed = 4 * maxHeader

// unread stands for bytes that nobody fetched.
type unread struct{}

func (unread) ReadAt([]byte, int64) (int, error) { return 0, errUnread }

var errUnread = errors.New("the samples were not asked for")

func (d *decoder) decode() (_ *ecg.Recording, err error) {
	object := d.object
	if strings.HasPrefix(object.SOPClassUID, audioRoot) {
		return nil, reject.New(reject.UnsupportedFormat, op, "a recording of sound")
	}
	if d.head, err = parse(object.Header); err != nil {
		return nil, reject.New(reject.Malformed, op, "%w", err)
	}
	d.rec.FormatVersion, _ = uid.SOPClassName(object.SOPClassUID)
	d.rec.DocumentID = object.SOPInstanceUID
	d.indexBulk()
	if err := d.waveforms(); err != nil {
		return nil, err
	}
	d.header()
	d.annotations()
	for _, w := range object.Warnings {
		switch w.Code {
		case part10.WarnCharsetRepaired:
			d.rec.Warn(ecg.WarnTextRepaired, w.Path)
		case part10.WarnTextReplaced:
			d.rec.Warn(ecg.WarnTextReplaced, w.Path)
		case part10.WarnCharsetUnknown:
			d.rec.Warn(ecg.WarnCharset, w.Path)
		case part10.WarnTrailingBytes, part10.WarnDeflateTrailing:
			d.rec.Warn(ecg.WarnTrailingBytes, "")
		}
	}
	return d.rec, nil
}

// identityOnly tells objects whose identifiers are wrong and whose data set is whole: nothing to index, and
// still an ECG to look at.
func identityOnly(o *part10.Object, err error) bool {
	var r *reject.Error
	if !errors.As(err, &r) || len(o.Header) == 0 {
		return false
	}
	switch r.Code {
	case reject.BadUID, reject.MissingUID, reject.UIDContradiction:
		return true
	case reject.Malformed:
		for _, id := range []string{o.SOPInstanceUID, o.StudyInstanceUID, o.SeriesInstanceUID, o.SOPClassUID, o.Meta.MediaStorageSOPInstanceUID} {
			if id != "" && uid.Valid(id) != nil {
				return true
			}
		}
	}
	return false
}

func (d *decoder) indexBulk() {
	d.bulk = make(map[string]part10.Bulk, len(d.object.Bulk))
	inflated := false
	for _, b := range d.object.Bulk {
		d.bulk[b.Path] = b
		inflated = inflated || b.Inflated
	}
	if inflated {
		d.data = inflatedFile(d.src.File, d.object.DatasetOffset, d.object.Bulk)
	}
}

func (d *decoder) waveforms() error {
	sequence := d.head.get("54000100")
	if string(sequence.vr) != "SQ" {
		return reject.New(reject.UnsupportedFormat, op, "no Waveform Sequence (5400,0100)")
	}
	stated := sequence.count()
	if stated > d.lim.Groups {
		return reject.New(reject.TooManyElements, op, "%d multiplex groups", stated)
	}
	d.groups = map[int]int{}
	channels, hearts := 0, false
	var items []dataset
	for n, item := range d.head.items("54000100", d.lim.Groups) {
		g, err := d.group(n, item)
		if errors.Is(err, errSampleKind) {
			d.rec.Warn(ecg.WarnUnsupportedPart, "group "+strconv.Itoa(n))
			continue
		}
		if err != nil {
			return err
		}
		d.groups[n+1] = len(d.rec.Groups)
		d.rec.Groups = append(d.rec.Groups, g)
		items = append(items, item)
		channels += len(g.Leads)
		hearts = hearts || g.Kind != ecg.OtherSignals
	}
	if !hearts && strings.HasPrefix(d.object.SOPClassUID, ecgRoot) {
		d.unnamed(items)
	}
	if len(d.rec.Groups) == 0 {
		if stated > 0 {
			return reject.New(reject.NotParsed, op, "no multiplex group has samples of a kind that is read")
		}
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	if d.object.SOPClassUID == twelveLead && (channels > 13 || len(d.rec.Groups) > 5) {
		d.rec.Warn(ecg.WarnLayout, fmt.Sprintf("12-Lead ECG with %d channels", channels)) // PS3.3 §A.34.3.4.4
	}
	return nil
}

// group reads one multiplex group.
func (d *decoder) group(n int, item dataset) (*ecg.Group, error) {
	where := "group " + strconv.Itoa(n)
	g := &ecg.Group{Label: item.text("003A0020")}
	rate, ok := item.number("003A001A")
	if !ok || rate.Sign() <= 0 || rate.Cmp(ecg.Int(ecg.MaxRateHz)) > 0 {
		return nil, reject.New(reject.Malformed, op, "%s has a Sampling Frequency of %.20q", where, item.text("003A001A"))
	}
	g.Rate = rate
	if offset, ok := item.number("00181068"); ok {
		g.StartOffset = offset
	}
	definitions := item.rawItems("003A0200", d.lim.Leads+1)
	channels := item.count("003A0005")
	if channels == 0 {
		channels = int64(len(definitions))
	}
	if channels < 1 || channels > int64(d.lim.Leads) {
		return nil, reject.New(reject.Malformed, op, "%s has %d channels", where, channels)
	}
	if int64(len(definitions)) != channels {
		d.rec.Warn(ecg.WarnHeaderDiffers, where+" channel definitions")
	}
	layout, err := layoutOf(item, int(channels), d.object.TransferSyntaxUID == bigEndianSyntax)
	if err != nil {
		return nil, reject.New(reject.Malformed, op, "%s: %w", where, err)
	}
	known := 0
	for i := range int(channels) {
		def := []byte("{}")
		if i < len(definitions) {
			def = definitions[i]
		}
		l := d.define(def, layout, g.Rate, where+" channel "+strconv.Itoa(i), i)
		if l.Code != "" && l.Voltage() && d.object.SOPClassUID != cardiacEP {
			known++
		}
		if have, _ := g.Lead(l.Name); have != nil && l.Code != "" {
			d.rec.Warn(ecg.WarnLeadDuplicate, where)
		}
		g.Leads = append(g.Leads, l)
	}
	if err := d.samples(g, n, item, layout, where); err != nil {
		return nil, err
	}
	g.Kind = d.kind(g, item, known)
	if g.Kind != ecg.OtherSignals && !ecg.RateOK(g.Rate) {
		return nil, reject.New(reject.Malformed, op, "%s is an ECG at %s Hz", where, g.Rate)
	}
	return g, nil
}

func (d *decoder) kind(g *ecg.Group, item dataset, known int) ecg.Kind {
	if known == 0 {
		return ecg.OtherSignals
	}
	label := strings.ToUpper(g.Label)
	for _, word := range []string{"MEDIAN", "REPRESENTATIVE", "AVERAGE", "TEMPLATE", "BEAT"} {
		if strings.Contains(label, word) {
			return ecg.Median
		}
	}
	seconds := g.DurationMillis().Float64() / 1000
	switch {
	case item.text("003A0004") == "DERIVED" && seconds < 2.5 && len(d.rec.Groups) > 0:
		return ecg.Median
	case d.object.SOPClassUID == ambulatory, seconds > 600:
		return ecg.FullDisclosure
	}
	return ecg.Rhythm
}

// unnamed takes the voltages of an ECG object none of whose channels names a lead that is known ("ECG 1") for
// what its class says they are.
func (d *decoder) unnamed(items []dataset) {
	for i, g := range d.rec.Groups {
		if ecg.RateOK(g.Rate) && slices.ContainsFunc(g.Leads, func(l ecg.Lead) bool { return l.Voltage() }) {
			g.Kind = d.kind(g, items[i], 1)
		}
	}
}

// samples points the group at its Waveform Data. What the bytes hold counts, whatever is announced.
func (d *decoder) samples(g *ecg.Group, n int, item dataset, layout layout, where string) error {
	bulk, ok := d.bulk["54000100/"+strconv.Itoa(n)+"/54001010"]
	frame := int64(layout.frameBytes())
	if !ok || bulk.Length < frame {
		d.rec.Warn(ecg.WarnNoWaveform, where)
		return nil
	}
	layout.words = layout.big && bulk.VR == "OW"
	count, stated := bulk.Length/frame, item.count("003A0010")
	switch {
	case stated > count:
		d.rec.Warn(ecg.WarnTruncated, where)
	case stated <= 0:
		d.rec.Warn(ecg.WarnLengthDiffers, where)
	default:
		if bulk.Length-stated*frame > 1 { // one byte pads an odd length
			d.rec.Warn(ecg.WarnLengthDiffers, where)
		}
		count = stated
	}
	f := ecg.Frames{At: d.data.At, Offset: bulk.Offset, FrameBytes: frame, Samples: 1, Count: count, Decode: layout.decode}
	if layout.words && frame%2 != 0 {
		// Words cross frames of an odd number of bytes.
		f.At, layout.words = swapped{d.data.At, bulk.Offset, bulk.Length}, false
		f.Decode = layout.decode
	}
	if err := f.Check(d.data.Size); err != nil {
		return reject.At(reject.Truncated, op, bulk.Offset, "%s: %w", where, err)
	}
	g.Stream(f)
	return nil
}
