package sierra

import (
	"io"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/xmltext"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

const op = "ecg/sierra.Decode"

type decoder struct {
	xml     *xmltext.Reader
	lim     ecg.Limits
	rec     *ecg.Recording
	samples int64 // so far, all leads
	whole   bool  // leave the calibration pulse where it is

	status    string
	signal    *xmltext.Node // signalcharacteristics
	display   string        // leads of the printed report, in its order
	rhythm    *waveforms    // decoded at the end: what describes it may come in any order
	beats     *xmltext.Node // repbeats
	lead      *xmltext.Node // leadwaveforms
	internal  []*xmltext.Node
	spikes    []ecg.Annotation
	interpret []*xmltext.Node
}

// waveforms is parsedwaveforms.
type waveforms struct {
	start xmltext.Token
	text  string
}

// Decode reads a restingecgdata document. It is an ecg.Decoder.
func Decode(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) { return decode(src, lim, false) }

func decode(src ecg.Source, lim ecg.Limits, whole bool) (*ecg.Recording, error) {
	lim = lim.Fill()
	x, err := xmltext.New(src.File, lim)
	if err != nil {
		return nil, err
	}
	root, err := x.Next()
	if err == io.EOF || err == nil && root.Name != "restingecgdata" {
		return nil, reject.New(reject.UnsupportedFormat, op, "the root is no restingecgdata")
	}
	if err != nil {
		return nil, err
	}
	d := &decoder{xml: x, lim: lim, whole: whole, status: root.Get("status"), rec: &ecg.Recording{Format: sniff.Sierra, Device: ecg.Device{Maker: "Philips"}}}
	if err := x.Children(d.block); err != nil {
		return nil, err
	}
	if err := d.close(); err != nil {
		return nil, err
	}
	return d.rec, nil
}

// block reads one child of the root.
func (d *decoder) block(start xmltext.Token) error {
	switch start.Name {
	case "measurements", "internalmeasurements":
		return d.xml.Children(func(t xmltext.Token) error {
			if t.Name != "globalmeasurements" && t.Name != "crossleadmeasurements" && t.Name != "leadmeasurements" || len(d.internal) >= 8 {
				return d.xml.Skip()
			}
			n, err := d.xml.Tree(t)
			d.internal = append(d.internal, n)
			return err
		})
	case "waveforms":
		return d.xml.Children(d.waveform)
	case "documentinfo", "userdefines", "orderinfo", "reportinfo", "dataacquisition", "patient", "interpretations":
		n, err := d.xml.Tree(start)
		if err == nil {
			d.header(n)
		}
		return err
	}
	return d.xml.Skip()
}

func (d *decoder) waveform(start xmltext.Token) (err error) {
	switch start.Name {
	case "parsedwaveforms":
		w := &waveforms{start: start}
		if w.text, err = d.xml.Text(); err == nil && d.rhythm == nil {
			d.rhythm = w
		} else if err == nil {
			d.rec.Warn(ecg.WarnUnsupportedPart, "second parsedwaveforms")
		}
		return err
	case "repbeats":
		d.beats, err = d.xml.Tree(start)
		return err
	case "leadwaveforms":
		d.lead, err = d.xml.Tree(start)
		return err
	case "unparsedwaveforms":
		d.rec.Warn(ecg.WarnExternal, start.Name)
	default:
		d.rec.Warn(ecg.WarnUnsupportedPart, "waveforms")
	}
	return d.xml.Skip()
}

// close decodes what was kept for the end.
func (d *decoder) close() error {
	if d.rhythm != nil {
		if err := d.parsed(); err != nil {
			return err
		}
	}
	if d.lead != nil {
		if err := d.single(); err != nil {
			return err
		}
	}
	if d.beats != nil {
		if err := d.repbeats(); err != nil {
			return err
		}
	}
	for _, n := range d.interpret {
		if err := d.interpretation(n); err != nil {
			return err
		}
	}
	for _, n := range d.internal {
		d.measurements(n)
	}
	if d.rec.Rhythm() != nil {
		d.rec.Annotations = d.spikes
	}
	d.xml.Warn(d.rec)
	if len(d.rec.Groups) == 0 {
		d.rec.Warn(ecg.WarnNoWaveform, "")
	}
	return nil
}

func (d *decoder) cut(s string) string {
	if len(s) > d.lim.Text {
		d.rec.Warn(ecg.WarnValueCut, "")
		s = strings.ToValidUTF8(s[:d.lim.Text], "")
	}
	return strings.Join(strings.Fields(s), " ")
}

// text is a value; dashes are where the maker's software took one out.
func (d *decoder) text(n *xmltext.Node, path ...string) string {
	s := d.cut(n.TextAt(path...))
	if strings.Trim(s, "-") == "" {
		return ""
	}
	return s
}

func (d *decoder) number(where, text string) (ecg.Rat, bool) {
	if text = strings.TrimSpace(text); strings.Trim(text, "-") == "" {
		return ecg.Rat{}, false
	}
	r, err := ecg.ParseRat(text)
	if err != nil {
		d.rec.Warn(ecg.WarnNumber, where)
		return ecg.Rat{}, false
	}
	return r, true
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
