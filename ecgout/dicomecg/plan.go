package dicomecg

import (
	"encoding/hex"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

const op = "dicomecg.NewPlan"

// Warnings of a Plan beside those of package ecg. Where is "group 1 lead V3" or an element.
const (
	WarnRounded      ecg.WarningCode = "value-rounded"        // a number that 16 characters cannot say exactly (PS3.5 §6.2, DS)
	WarnDerivedLeft  ecg.WarningCode = "derived-left-out"     // leads that we derive do not fit the object
	WarnGroupLeft    ecg.WarningCode = "group-left-out"       // a group that is no ECG or has no samples
	WarnNoTime       ecg.WarningCode = "acquisition-unknown"  // the recording has no date: see Options.Received
	WarnLengthDiffer ecg.WarningCode = ecg.WarnLengthDiffers  // the group's samples are more or fewer than announced
	WarnCut          ecg.WarningCode = ecg.WarnAnnotationsCut // more annotations than a header may hold
)

// Options of NewPlan, Write and NewPDF.
type Options struct {
	Tenant         string
	SourceSHA256   string    // of the source file, hex; UIDs derive from it
	SourceID       string    // under which the source is stored, for people who look for it; may be empty
	SourceSOPClass string    // SOP Class UID of a source that is DICOM itself
	Charset        Charset   // UTF8 when empty
	Received       time.Time // when the source came in: stands in for a recording without a date; may be zero
	StoredOnly     bool      // leave out the limb leads that we derive
}

// Plan is an object that is ready to be written, as often as wanted.
type Plan struct {
	SOPClassUID       string
	SOPInstanceUID    string
	StudyInstanceUID  string
	SeriesInstanceUID string
	Size              int64         // bytes of the file
	Warnings          []ecg.Warning // what the object cannot say as the recording does

	head  []byte // preamble to Waveform Sequence
	waves []*wave
}

// Write writes rec as a DICOM file. It reads the samples twice.
func Write(w io.Writer, rec *ecg.Recording, opt Options) error {
	p, err := NewPlan(rec, opt)
	if err != nil {
		return err
	}
	_, err = p.WriteTo(w)
	return err
}

// NewPlan reads the samples once and makes the header. The error is a *reject.Error for a recording that no
// ECG object of DICOM can hold, or the source's own.
func NewPlan(rec *ecg.Recording, opt Options) (*Plan, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	if err := rec.Validate(ecg.Limits{}); err != nil {
		return nil, err
	}
	p := &Plan{}
	if err := p.survey(rec, opt); err != nil {
		return nil, err
	}
	class, err := classOf(p.waves)
	if err != nil {
		return nil, err
	}
	for _, w := range p.waves {
		if class == General32BitECG {
			if err := w.pad32(); err != nil {
				return nil, err
			}
		}
		if w.dataBytes() >= undefinedLength || w.count > math.MaxUint32 {
			return nil, reject.New(reject.TooLarge, op, "group %d has %d bytes of samples: an element holds 4 GiB", w.index, w.dataBytes())
		}
	}
	p.identify(rec, opt, class)
	b := &builder{rec: rec, opt: opt, plan: p, t: &texts{charset: opt.Charset, warn: p.warn}}
	d := b.header()
	b.annotate(d)
	p.head = part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: class, MediaStorageSOPInstanceUID: p.SOPInstanceUID, TransferSyntaxUID: uid.ExplicitVRLittleEndian,
	})
	p.head = d.appendTo(p.head)
	p.head = appendLongHeader(p.head, 0x54000100, "SQ", undefinedLength)
	p.Size = int64(len(p.head) + len(endOfSequence))
	for _, w := range p.waves {
		w.head = b.item(w)
		p.Size += int64(len(w.head)) + w.dataBytes() + int64(len(endOfItem))
	}
	return p, nil
}

// Delimiters of undefined length (PS3.5 §7.5.1): a group of a day is too long to go into the length of what
// holds it.
var (
	endOfItem     = []byte{0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0}
	endOfSequence = []byte{0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0}
)

// WriteTo writes the file, p.Size bytes. It implements io.WriterTo.
func (p *Plan) WriteTo(w io.Writer) (int64, error) {
	c := &counter{w: w}
	if _, err := c.Write(p.head); err != nil {
		return c.n, err
	}
	for _, v := range p.waves {
		if _, err := c.Write(v.head); err != nil {
			return c.n, err
		}
		if err := v.write(c); err != nil {
			return c.n, err
		}
		if _, err := c.Write(endOfItem); err != nil {
			return c.n, err
		}
	}
	_, err := c.Write(endOfSequence)
	return c.n, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

func (o *Options) check() error {
	if sum, err := hex.DecodeString(o.SourceSHA256); err != nil || len(sum) != 32 {
		return reject.New(reject.Internal, op, "Options.SourceSHA256 is no SHA-256 in hex")
	}
	switch o.Charset {
	case "":
		o.Charset = UTF8
	case UTF8, GB18030:
	default:
		return reject.New(reject.Internal, op, "the character sets that are written are %s and %s", UTF8, GB18030)
	}
	return nil
}

func (p *Plan) warn(code ecg.WarningCode, where string) {
	w := ecg.Warning{Code: code, Where: where}
	const most = 200
	for _, have := range p.Warnings {
		if have == w {
			return
		}
	}
	if len(p.Warnings) < most {
		p.Warnings = append(p.Warnings, w)
	}
}

// survey reads the groups that are ECGs.
func (p *Plan) survey(rec *ecg.Recording, opt Options) error {
	for n, g := range rec.Groups {
		where := "group " + strconv.Itoa(n)
		if g.Kind == ecg.OtherSignals {
			p.warn(WarnGroupLeft, where)
			continue
		}
		w, err := survey(g, n, opt.StoredOnly)
		if err != nil {
			return err
		}
		if w == nil {
			p.warn(WarnGroupLeft, where)
			continue
		}
		if w.count != g.Length {
			p.warn(WarnLengthDiffer, where)
		}
		w.settle(p.warn)
		p.waves = append(p.waves, w)
	}
	// Viewers draw the first group, and MUSE files begin with the median beat.
	slices.SortStableFunc(p.waves, func(a, b *wave) int { return last(a.group.Kind) - last(b.group.Kind) })
	if len(p.waves) == 0 {
		return reject.New(reject.UnsupportedFormat, op, "the recording has no samples of an ECG")
	}
	return nil
}

func last(k ecg.Kind) int {
	if k == ecg.Median {
		return 1
	}
	return 0
}

func (p *Plan) identify(rec *ecg.Recording, opt Options, class string) {
	ids := ecg.Identity(opt.Tenant, opt.SourceSHA256, rec)
	p.SOPClassUID, p.StudyInstanceUID, p.SeriesInstanceUID = class, ids.Study, ids.Series
	p.SOPInstanceUID = variant(ids.Derived, opt)
}

// variant names an object that was made with options other than the default: other bytes need another name.
func variant(derived string, opt Options) string {
	how := ""
	if opt.Charset == GB18030 {
		how += " gb18030"
	}
	if opt.StoredOnly {
		how += " stored"
	}
	if how == "" {
		return derived
	}
	return uid.FromHash(opt.Tenant, []byte(derived+how))
}
