package wfdb

import (
	"math"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/charset"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Bounds of a header. A record of MIMIC has some hundred segments; a day in seconds is 86,400.
const (
	maxHeaderBytes = 4 << 20
	maxSegments    = 100_000
	maxPerFrame    = 4096 // samples of one signal in a frame
	maxSkew        = 1 << 16
	maxComments    = 1000
)

// defaultHz and defaultGain are what header(5) has for fields that are absent.
const (
	defaultHz   = 250
	defaultGain = 200
)

// header is one .hea file.
type header struct {
	name       string
	segments   []segmentRef
	segmented  bool
	rate       ecg.Rat // frames a second
	frames     int64   // −1: not stated
	time, date string
	signals    []signal
	comments   []string
}

// segmentRef is a line of a multi-segment header.
type segmentRef struct {
	name   string // "~" for a gap
	frames int64
}

// signal is a signal's line.
type signal struct {
	file      string // base name
	format    int
	perFrame  int
	skew      int   // frames
	offset    int64 // bytes before the first sample
	gain      ecg.Rat
	noGain    bool
	baseline  int64
	unit      string
	bits      int
	initial   int32
	checksum  int32
	summed    bool // there is a checksum
	label     string
	where     string
	elsewhere bool // there is no file: "~" or "-"
}

// parseHeader reads a header.
func parseHeader(text []byte, lim ecg.Limits, rec *ecg.Recording) (*header, error) {
	decoded, note := charset.Parse("ISO_IR 192").Decode(text, "UT")
	switch {
	case note&charset.Replaced != 0:
		rec.Warn(ecg.WarnTextReplaced, "header")
	case note&charset.Repaired != 0:
		rec.Warn(ecg.WarnTextRepaired, "header")
	}
	h := &header{}
	stage, want := 0, 0
	decoded = strings.ReplaceAll(strings.TrimPrefix(decoded, "\uFEFF"), "\r", "\n")
	for line := range strings.SplitSeq(decoded, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line[0] == '#':
			if len(h.comments) < maxComments && len(line) <= lim.Text {
				h.comments = append(h.comments, strings.TrimSpace(line[1:]))
			} else {
				rec.Warn(ecg.WarnValueCut, "comments")
			}
		case stage == 0:
			n, err := h.recordLine(line, lim)
			if err != nil {
				return nil, err
			}
			stage, want = 1, n
		case h.segmented && len(h.segments) < want:
			if err := h.segmentLine(line); err != nil {
				return nil, err
			}
		case !h.segmented && len(h.signals) < want:
			s, err := signalLine(line)
			if err != nil {
				return nil, err
			}
			s.where = "signal " + strconv.Itoa(len(h.signals))
			h.signals = append(h.signals, s)
		}
	}
	switch {
	case stage == 0:
		return nil, reject.New(reject.Malformed, op, "no record line")
	case len(h.segments)+len(h.signals) < want:
		return nil, reject.New(reject.Truncated, op, "%d lines of %d signals or segments", len(h.segments)+len(h.signals), want)
	}
	return h, nil
}

// recordLine reads "name[/segments] signals [rate[/counter[(base)]] [samples [time [date]]]]". It returns how
// many lines follow.
func (h *header) recordLine(line string, lim ecg.Limits) (int, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return 0, reject.New(reject.Malformed, op, "a record line of %d words", len(words))
	}
	name, segments, segmented := strings.Cut(words[0], "/")
	h.name, h.segmented = name, segmented
	want, err := strconv.Atoi(words[1])
	if err != nil || want < 0 {
		return 0, reject.New(reject.Malformed, op, "%.20q signals", words[1])
	}
	if want > lim.Leads {
		return 0, reject.New(reject.TooManyElements, op, "%d signals", want)
	}
	if segmented {
		n, err := strconv.Atoi(segments)
		if err != nil || n < 1 {
			return 0, reject.New(reject.Malformed, op, "%.20q segments", segments)
		}
		if n > maxSegments {
			return 0, reject.New(reject.TooManyElements, op, "%d segments", n)
		}
		want = n
	}
	h.rate, h.frames = ecg.Int(defaultHz), -1
	if len(words) > 2 {
		text, _, _ := strings.Cut(words[2], "/")
		rate, err := ecg.ParseRat(text)
		if err != nil || rate.Sign() <= 0 || rate.Cmp(ecg.Int(ecg.MaxRateHz)) > 0 {
			return 0, reject.New(reject.Malformed, op, "%.20q Hz", text)
		}
		h.rate = rate
	}
	if len(words) > 3 {
		n, err := strconv.ParseInt(words[3], 10, 64)
		if err != nil || n < 0 {
			return 0, reject.New(reject.Malformed, op, "%.20q samples", words[3])
		}
		if n > 0 {
			h.frames = n
		}
	}
	if len(words) > 4 {
		h.time = words[4]
	}
	if len(words) > 5 {
		h.date = words[5]
	}
	return want, nil
}

func (h *header) segmentLine(line string) error {
	words := strings.Fields(line)
	if len(words) < 2 {
		return reject.New(reject.Malformed, op, "a segment line of %d words", len(words))
	}
	n, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil || n < 0 {
		return reject.New(reject.Malformed, op, "a segment of %.20q samples", words[1])
	}
	name := words[0]
	if name != "~" {
		if name, err = baseName(name); err != nil {
			return err
		}
	}
	h.segments = append(h.segments, segmentRef{name, n})
	return nil
}

// baseName reduces a name to its last element. One that leads out of its folder, or starts at a root, is an
// attack or a record that cannot be read elsewhere: both are refused.
func baseName(name string) (string, error) {
	slashed := strings.ReplaceAll(name, `\`, "/")
	parts := strings.Split(slashed, "/")
	outside := parts[0] == "" || strings.HasSuffix(parts[0], ":")
	for _, p := range parts {
		outside = outside || p == ".."
	}
	base := parts[len(parts)-1]
	if outside || base == "" || strings.ContainsRune(base, 0) || strings.Contains(slashed, "://") {
		return "", reject.New(reject.UnsupportedFormat, op, "the header names a file outside the record")
	}
	return base, nil
}

// signalLine reads "file format[xN][:skew][+offset] [gain[(baseline)][/unit] [bits [zero [initial [checksum
// [block [description]]]]]]]".
func signalLine(line string) (signal, error) {
	var words [8]string
	rest := line
	n := 0
	for ; n < len(words) && rest != ""; n++ {
		i := strings.IndexAny(rest, " \t")
		if i < 0 {
			i = len(rest)
		}
		words[n], rest = rest[:i], strings.TrimLeft(rest[i:], " \t")
	}
	if n < 2 {
		return signal{}, reject.New(reject.Malformed, op, "a signal line of %d words", n)
	}
	s := signal{perFrame: 1, gain: ecg.Int(defaultGain), noGain: true, label: rest, elsewhere: words[0] == "~" || words[0] == "-"}
	if !s.elsewhere {
		file, err := baseName(words[0])
		if err != nil {
			return signal{}, err
		}
		s.file = file
	}
	if err := s.parseFormat(words[1]); err != nil {
		return signal{}, err
	}
	number := func(i int, bits int) int64 {
		v, err := strconv.ParseInt(words[i], 10, bits)
		if err != nil {
			return 0
		}
		return v
	}
	s.bits = int(max(0, min(32, number(3, 32))))
	s.baseline = number(4, 32)
	s.initial = int32(number(5, 32))
	if words[5] == "" {
		s.initial = int32(s.baseline)
	}
	if sum, err := strconv.ParseInt(words[6], 10, 32); err == nil {
		s.checksum, s.summed = int32(sum), true
	}
	return s, s.parseGain(words[2])
}

// parseFormat reads "16x2:3+24": format, samples a frame, skew in frames and bytes in front.
func (s *signal) parseFormat(text string) error {
	end := strings.IndexAny(text, "x:+")
	if end < 0 {
		end = len(text)
	}
	format, err := strconv.Atoi(text[:end])
	if err != nil {
		return reject.New(reject.Malformed, op, "sample format %.20q", text)
	}
	s.format = format
	if _, known := widths[format]; !known && !isFLAC(format) && format != 0 {
		return reject.New(reject.NotParsed, op, "sample format %d", format)
	}
	for rest := text[end:]; rest != ""; {
		mark := rest[0]
		rest = rest[1:]
		end := strings.IndexAny(rest, "x:+")
		if end < 0 {
			end = len(rest)
		}
		v, err := strconv.ParseInt(rest[:end], 10, 64)
		if err != nil || v < 0 {
			return reject.New(reject.Malformed, op, "sample format %.20q", text)
		}
		rest = rest[end:]
		switch {
		case mark == 'x' && v >= 1 && v <= maxPerFrame:
			s.perFrame = int(v)
		case mark == ':' && v <= maxSkew:
			s.skew = int(v)
		case mark == '+':
			s.offset = v
		default:
			return reject.New(reject.Malformed, op, "sample format %.20q", text)
		}
	}
	return nil
}

// parseGain reads "200(1024)/mV". The baseline is the ADC's zero where the gain states none.
func (s *signal) parseGain(text string) error {
	text, s.unit, _ = strings.Cut(text, "/")
	if s.unit == "" {
		s.unit = "mV"
	}
	gain, base, based := strings.Cut(text, "(")
	if based {
		v, err := ecg.ParseRat(strings.TrimSuffix(base, ")"))
		n, ok := v.Round()
		if err != nil || !ok || n > math.MaxInt32 || n < math.MinInt32 {
			return reject.New(reject.Malformed, op, "baseline %.20q", base)
		}
		s.baseline = n
	}
	if gain == "" {
		return nil
	}
	v, err := ecg.ParseRat(gain)
	if err != nil {
		return reject.New(reject.Malformed, op, "gain %.20q", gain)
	}
	if !v.IsZero() {
		s.gain, s.noGain = v, false
	}
	return nil
}
