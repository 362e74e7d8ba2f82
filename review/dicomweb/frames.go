package dicomweb

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/part10"
)

// maxFramesAsked bounds the list of one request. Viewers ask for one; a cine loop has hundreds.
const maxFramesAsked = 10_000

// Transfer syntaxes by which native pixel data can be named: bytes are the same in both.
const (
	implicitVRLittleEndian = "1.2.840.10008.1.2"
	explicitVRLittleEndian = "1.2.840.10008.1.2.1"
)

// compressedTypes are the media types of single compressed frames (PS3.18 Table 8.7.3-5).
var compressedTypes = map[string]string{
	"1.2.840.10008.1.2.4.50":  "image/jpeg",
	"1.2.840.10008.1.2.4.51":  "image/jpeg",
	"1.2.840.10008.1.2.4.57":  "image/jpeg",
	"1.2.840.10008.1.2.4.70":  "image/jpeg",
	"1.2.840.10008.1.2.4.80":  "image/jls",
	"1.2.840.10008.1.2.4.81":  "image/jls",
	"1.2.840.10008.1.2.4.90":  "image/jp2",
	"1.2.840.10008.1.2.4.91":  "image/jp2",
	"1.2.840.10008.1.2.4.92":  "image/jpx",
	"1.2.840.10008.1.2.4.93":  "image/jpx",
	"1.2.840.10008.1.2.4.110": "image/jxl",
	"1.2.840.10008.1.2.4.111": "image/jxl",
	"1.2.840.10008.1.2.4.112": "image/jxl",
	"1.2.840.10008.1.2.4.201": "image/jphc",
	"1.2.840.10008.1.2.4.202": "image/jphc",
	"1.2.840.10008.1.2.4.203": "image/jphc",
	"1.2.840.10008.1.2.5":     "image/dicom-rle",
}

// olderNames are what drafts and older clients call some of them; dicomweb-client still does.
var olderNames = map[string]string{
	"image/jls":       "image/x-jls",
	"image/dicom-rle": "image/x-dicom-rle",
	"image/jphc":      "image/jhc",
}

// frames serves frames of pixel data as they are stored (PS3.18 §10.4.1.1.6): each is one range read, or
// one per fragment. Native frames of any syntax go out as Explicit VR Little Endian.
func (s *server) frames(w http.ResponseWriter, r *http.Request) error {
	sc, accept, err := s.start(r)
	if err != nil {
		return err
	}
	numbers, err := parseFrames(r.PathValue("frames"))
	if err != nil {
		return err
	}
	lay, done, err := s.layoutOf(r.Context(), sc)
	if err != nil {
		return err
	}
	defer done()
	ft := &lay.frames
	if ft.Count == 0 && ft.Problem != "" {
		return fail(http.StatusUnprocessableEntity, "the frames of this instance cannot be told apart; retrieve the whole instance")
	}
	for _, n := range numbers {
		if n > ft.Count {
			return fail(http.StatusNotFound, "this instance has %d frames; there is no frame %d", ft.Count, n)
		}
	}
	syntaxes := []string{explicitVRLittleEndian, implicitVRLittleEndian}
	if ft.Kind == part10.Encapsulated {
		syntaxes = []string{lay.syntax}
	}
	offers := frameOffers(ft.Kind, lay.syntax, len(numbers) == 1)
	taken := choices(accept, offers)
	for _, o := range taken {
		if syntaxTaken(accept, o, syntaxes...) {
			return s.sendFrames(w, r, lay, numbers, o, syntaxes[0])
		}
	}
	if len(taken) > 0 {
		return notAcceptable(offers, "nothing is transcoded; these frames are served in transfer syntax %s, ask for that or for transfer-syntax=*", syntaxes[0])
	}
	return notAcceptable(offers, "these frames are not rendered")
}

func frameOffers(kind, syntax string, one bool) []offer {
	names := []string{typeOctetStream}
	if t := compressedTypes[syntax]; t != "" && kind == part10.Encapsulated {
		names = append(names, t)
		if older := olderNames[t]; older != "" {
			names = append(names, older)
		}
	}
	var offers []offer
	for _, n := range names {
		offers = append(offers, offer{true, n})
	}
	if one {
		for _, n := range names {
			offers = append(offers, offer{false, n})
		}
	}
	return offers
}

// parseFrames reads "1,2,5": different numbers from 1 up.
func parseFrames(list string) ([]int, error) {
	if strings.Count(list, ",") >= maxFramesAsked {
		return nil, fail(http.StatusBadRequest, "more than %d frames; ask in several requests", maxFramesAsked)
	}
	var out []int
	seen := make(map[int]bool)
	for f := range strings.SplitSeq(list, ",") {
		f = strings.TrimSpace(f)
		n, err := strconv.Atoi(f)
		if err != nil || n < 1 || !digits(f) {
			return nil, fail(http.StatusBadRequest, "the frame list must be numbers from 1 up, separated by commas")
		}
		if seen[n] {
			return nil, fail(http.StatusBadRequest, "frame %d is in the list twice", n)
		}
		seen[n] = true
		out = append(out, n)
	}
	return out, nil
}

func (s *server) sendFrames(w http.ResponseWriter, r *http.Request, lay *layout, numbers []int, o offer, syntax string) error {
	src, free := s.source(lay, lay.frames.Inflated)
	defer free()
	if lay.frames.Kind == part10.Native {
		src = lay.ordered(src, lay.pixels())
	}
	// The table is ours, but its numbers came from a file: each frame is checked before it is used.
	for _, n := range numbers {
		if _, err := lay.frame(src, n); err != nil {
			return err
		}
	}
	base := instanceURL(s.Prefix, lay.study, lay.series, lay.instance) + "/frames/"
	contentType := typeWithSyntax(o.name, syntax)
	if !o.multipart {
		b, err := lay.frame(src, numbers[0])
		if err != nil {
			return err
		}
		number := strconv.Itoa(numbers[0])
		return s.deliver(w, r, single{
			body: b, contentType: contentType, location: base + number,
			etag: strongTag(lay.sha256, "frame-"+number), modified: lay.modified,
		})
	}
	return s.deliverParts(w, r, multi{
		count: len(numbers), name: o.name, etag: weakTag(lay.sha256, "frames-"+r.PathValue("frames")), modified: lay.modified,
		part: func(i int) part {
			b, _ := lay.frame(src, numbers[i]) // checked above
			return part{body: b, contentType: contentType, location: base + strconv.Itoa(numbers[i])}
		},
	})
}

// pixels is the value that native frames are cut from.
func (lay *layout) pixels() part10.Bulk {
	for _, b := range lay.bulk {
		if b.Offset == lay.frames.Offset && b.Inflated == lay.frames.Inflated {
			return b
		}
	}
	return part10.Bulk{VR: "OW", Offset: lay.frames.Offset, Length: (int64(lay.frames.Count)*lay.frames.FrameBits + 7) / 8}
}

// frame is frame n, counted from 1.
func (lay *layout) frame(src source, n int) (body, error) {
	ft := &lay.frames
	const broken = "the recorded frame table of this instance is damaged; retrieve the whole instance, and tell an operator"
	switch ft.Kind {
	case part10.Native:
		first := int64(n-1) * ft.FrameBits
		if n < 1 || n > ft.Count || ft.FrameBits <= 0 || ft.Offset < 0 || first/ft.FrameBits != int64(n-1) {
			return body{}, fail(http.StatusInternalServerError, broken)
		}
		if first%8 == 0 && ft.FrameBits%8 == 0 {
			return runBody(src, part10.Range{Offset: ft.Offset + first/8, Length: ft.FrameBits / 8}), nil
		}
		return bitsBody(src, ft.Offset, first, ft.FrameBits), nil
	case part10.Encapsulated:
		from, to := 0, len(ft.Fragments)
		if n >= 1 && n <= len(ft.First) {
			from = ft.First[n-1]
		} else {
			from = -1
		}
		if n < len(ft.First) {
			to = ft.First[n]
		}
		if from < 0 || from >= to || to > len(ft.Fragments) {
			return body{}, fail(http.StatusInternalServerError, broken)
		}
		return runsBody(src, ft.Fragments[from:to]), nil
	}
	return body{}, fail(http.StatusNotFound, "this instance has no frames")
}
