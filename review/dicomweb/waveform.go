package dicomweb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/tributary-dicom/tributary/ecgout/draw"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/dicomwave"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/review/render"
	"github.com/tributary-dicom/tributary/storage/blob"
)

const (
	waveformSequence = "54000100"
	typeSVG          = "image/svg+xml"

	// waveformMemory is what drawing a recording takes at most: its samples where they are unfolded, and a
	// page of ten pixels a millimetre. Bytes.
	waveformMemory = 96 << 20

	// pagePixels is how many pixels a millimetre of paper has in a picture.
	pagePixels = 10
)

// waveformTypes are the media types of a drawn ECG, ours first; a thumbnail is a picture.
var (
	waveformTypes          = []string{typeSVG, render.TypePNG, typePDF, render.TypeJPEG}
	waveformThumbnailTypes = []string{render.TypeJPEG, render.TypePNG, typeSVG}
)

// svgPolicy keeps a drawing from doing anything but being drawn, whatever a device wrote into a name.
const svgPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:"

// sendWaveform draws an ECG on millimetre paper: as much as a page has, in the layout that its leads ask for.
func (s *server) sendWaveform(w http.ResponseWriter, r *http.Request, d *drawn, q asking) error {
	names := waveformTypes
	if q.thumbnail {
		names = waveformThumbnailTypes
	}
	var offers []offer
	for _, n := range names {
		offers = append(offers, offer{name: n})
	}
	c := choices(q.accept, offers)
	if len(c) == 0 {
		return notAcceptable(offers, "this ECG is drawn")
	}
	options, err := q.paper.options(q.viewing)
	if err != nil {
		return err
	}
	etag := q.tag(d.sha256, c[0].name, 0)
	if notModified(w, r, etag, 0) { // before it is drawn again
		return nil
	}
	b, free, err := s.drawWaveform(r.Context(), d, c[0].name, q.viewing, options)
	if err != nil {
		return err
	}
	defer free()
	if c[0].name == typeSVG {
		w.Header().Set("Content-Security-Policy", svgPolicy)
	}
	return s.deliver(w, r, single{
		body: bytesBody(b), contentType: c[0].name, etag: etag,
		location: instanceURL(s.Prefix, d.study, d.series, d.instance) + "/rendered",
	})
}

func (s *server) drawWaveform(ctx context.Context, d *drawn, mediaType string, view viewing, o draw.Options) ([]byte, func(), error) {
	if err := s.drawing.Acquire(ctx, waveformMemory); err != nil {
		return nil, nil, err
	}
	defer s.drawing.Release(waveformMemory)
	at, err := blob.At(ctx, s.Blobs, d.key, d.bytes)
	if err != nil {
		return nil, nil, err
	}
	rec, err := dicomwave.Decode(ecg.Source{File: ecg.File{At: at, Size: d.bytes}}, ecg.Limits{})
	if err != nil {
		return nil, nil, waveformError(err)
	}
	sheet, err := draw.Plan(rec, o)
	if err != nil {
		return nil, nil, waveformError(err)
	}
	pixels := int(sheet.WidthMM() * pagePixels)
	if view.width > 0 { // fitted into the box, as pictures are
		pixels = view.width
		if view.height > 0 {
			pixels = min(pixels, int(float64(view.height)*sheet.WidthMM()/sheet.HeightMM()))
		}
	}
	pixels = max(16, min(pixels, maxViewport))
	var out bytes.Buffer
	switch mediaType {
	case typeSVG:
		err = sheet.WriteSVG(&out)
	case typePDF:
		err = sheet.WritePDF(&out)
	case render.TypePNG:
		err = sheet.WritePNG(&out, pixels)
	default:
		err = sheet.WriteJPEG(&out, pixels, view.quality)
	}
	if err != nil {
		return nil, nil, waveformError(err)
	}
	free, err := s.hold(ctx, int64(out.Cap()))
	return out.Bytes(), free, err
}

// waveformError tells a client why an ECG cannot be drawn. Errors of the store stay what they are.
func waveformError(err error) error {
	var refused *reject.Error
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrCorrupt), errors.Is(err, blob.ErrUnavailable):
		return err
	case errors.Is(err, draw.ErrNothing):
		return fail(http.StatusNotAcceptable, "this recording has no ECG to draw; /metadata and /bulkdata serve its waveforms")
	case errors.As(err, &refused) && refused.Code != reject.Internal:
		return fail(http.StatusUnprocessableEntity, "this recording cannot be drawn (%s)", refused.Code)
	}
	return fmt.Errorf("draw waveform: %w", err)
}

// paper is how an ECG is to be drawn, in parameters of our own: layout, speed (mm/s), gain (mm/mV), filter
// and lang, as of the render command.
type paper map[string]string

var paperKeys = []string{"layout", "speed", "gain", "filter", "lang"}

func readPaper(params []param) paper {
	p := paper{}
	for _, one := range params {
		if slices.Contains(paperKeys, one.key) && one.value != "" {
			p[one.key] = one.value
		}
	}
	return p
}

func (p paper) options(view viewing) (o draw.Options, err error) {
	for key, value := range p {
		const most = 64
		if len(value) > most {
			return o, badView("%s is too long", key)
		}
	}
	if o.Layout, err = draw.ParseLayout(p["layout"]); err != nil {
		return o, badView("%s", err)
	}
	if o.Filters, err = draw.ParseFilters(p["filter"]); err != nil {
		return o, badView("%s", err)
	}
	for key, to := range map[string]*float64{"speed": &o.Speed, "gain": &o.Gain} {
		if p[key] == "" {
			continue
		}
		n, ok := number(p[key])
		if !ok {
			return o, badView("%s is a number", key)
		}
		*to = n
	}
	o.Language = draw.Language(p["lang"])
	if view.thumbnail {
		o.Thumbnail = max(64, min(view.width, 2000)) // as the drawing can be
	}
	if err := o.Validate(); err != nil {
		return o, badView("%s", err)
	}
	return o, nil
}
