package dicomweb

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/tributary-dicom/tributary/review/render"
	"github.com/tributary-dicom/tributary/storage/index"
)

// maxRendered bounds how many pictures one request may ask for: each is drawn while the client waits.
const maxRendered = 1000

// pictureTypes are the media types of pictures, ours first.
var pictureTypes = []string{render.TypeJPEG, render.TypePNG, render.TypeGIF}

// rendered serves instances as what a browser shows (PS3.18 §10.4.1.1.3): a picture of a frame, the document
// or the video that an instance wraps, an ECG as it is drawn on paper. thumbnail makes it the small picture
// of §10.4.1.1.4. Of a study or series there is one picture of each instance, in a multipart body, and one
// thumbnail in all.
func (s *server) rendered(thumbnail bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		sc, err := s.scope(r)
		if err != nil {
			return err
		}
		params, err := parseParams(r.URL.RawQuery)
		if err != nil {
			return err
		}
		q := asking{accept: acceptOf(r, params), paper: readPaper(params)}
		if q.viewing, err = readViewing(params, thumbnail); err != nil {
			return err
		}
		for _, text := range q.warnings {
			w.Header().Add("Warning", `299 - "`+text+`"`)
		}
		if list := r.PathValue("frames"); list != "" {
			if q.frames, err = parseFrames(list); err != nil {
				return err
			}
		}
		switch {
		case sc.SOPInstanceUID != "":
			return s.renderInstance(w, r, sc, q)
		case thumbnail:
			return s.thumbnailOfMany(w, r, sc, q)
		}
		return s.renderMany(w, r, sc, q)
	}
}

// asking is what a client wants of a picture.
type asking struct {
	viewing
	accept []mediaRange
	frames []int // of the path; nil for the instance
	paper  paper // of an ECG
}

// pictureOffers are the forms of n pictures.
func pictureOffers(n int) []offer {
	var offers []offer
	for _, multipart := range []bool{false, true} {
		if multipart || n == 1 {
			for _, name := range pictureTypes {
				offers = append(offers, offer{multipart, name})
			}
		}
	}
	return offers
}

// renderInstance serves one instance, or frames of one.
func (s *server) renderInstance(w http.ResponseWriter, r *http.Request, sc index.Scope, q asking) error {
	d, err := s.toDraw(r.Context(), sc)
	if err != nil {
		return err
	}
	defer d.free()
	if q.frames == nil {
		if done, err := s.renderOther(w, r, d, q); done || err != nil {
			return err
		}
		q.frames = []int{d.representative(q.thumbnail)}
	}
	if len(q.frames) > maxRendered {
		return fail(http.StatusBadRequest, "more than %d frames to draw; ask in several requests", maxRendered)
	}
	for _, n := range q.frames {
		if err := d.drawable(n); err != nil {
			return err
		}
	}
	offers := pictureOffers(len(q.frames))
	c := choices(q.accept, offers)
	if len(c) == 0 {
		return notAcceptable(offers, "this instance is rendered as a picture")
	}
	if !c[0].multipart {
		return s.sendPicture(w, r, d, q, c[0].name)
	}
	return s.sendPictures(w, r, c[0].name, len(q.frames), func(i int) (*drawn, int, error) { return d, q.frames[i], nil }, q)
}

// sendPicture sends one frame as a single body.
func (s *server) sendPicture(w http.ResponseWriter, r *http.Request, d *drawn, q asking, mediaType string) error {
	number := q.frames[0]
	etag := q.tag(d.sha256, mediaType, number)
	if notModified(w, r, etag, 0) { // before it is drawn again
		return nil
	}
	f, err := s.openFrame(r.Context(), d, number, q.viewing)
	if err != nil {
		return err
	}
	if f.jpeg && mediaType == render.TypeJPEG {
		return s.deliver(w, r, single{body: f.body, contentType: mediaType, etag: etag})
	}
	b, free, err := s.encode(r.Context(), d, f, mediaType, q.viewing)
	if err != nil {
		return err
	}
	defer free()
	return s.deliver(w, r, single{body: bytesBody(b), contentType: mediaType, etag: etag})
}

// tag is the entity tag of a picture: of the object, and of all that it was drawn with.
func (q asking) tag(object, mediaType string, frame int) string {
	v := q.viewing
	window := ""
	if v.window != nil {
		window = fmt.Sprint(*v.window)
	}
	v.window, v.warnings = nil, nil
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %v %s %v", pictureVersion, mediaType, frame, v, window, q.paper))
	return strongTag(object, hex.EncodeToString(sum[:8]))
}

// bytesBody is bytes in memory.
func bytesBody(b []byte) body {
	return body{int64(len(b)), func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b[off : off+n])), nil
	}}
}

// sendPictures sends pictures as parts of one body, each drawn when its turn has come. What cannot be drawn
// is left out; when that is everything, the answer says why of the last.
func (s *server) sendPictures(w http.ResponseWriter, r *http.Request, mediaType string, count int, frame func(i int) (*drawn, int, error), q asking) error {
	w.Header().Add("Vary", "Accept")
	boundary := "tributary-" + rand.Text()
	sent := 0
	var last error
	for i := range count {
		b, location, free, err := s.pictureOf(r.Context(), mediaType, i, frame, q)
		var why *failure
		switch {
		case err == nil:
		case errors.As(err, &why) && (why.status == http.StatusNotAcceptable || why.status == http.StatusUnprocessableEntity) && len(q.frames) == 0:
			last = err
			continue
		case errors.Is(err, index.ErrNotFound) && len(q.frames) == 0: // gone since the list was made
			last = err
			continue
		case sent == 0:
			return err
		default:
			s.broken(r, err)
		}
		if sent == 0 {
			w.Header().Set("Content-Type", fmt.Sprintf(`%s; type="%s"; boundary=%s`, typeRelated, mediaType, boundary))
			w.WriteHeader(http.StatusOK)
			if r.Method == http.MethodHead {
				free()
				return nil
			}
		}
		_, err = w.Write(appendPartHead(nil, boundary, sent, part{body: body{length: int64(len(b))}, contentType: mediaType, location: location}))
		if err == nil {
			_, err = w.Write(b)
		}
		free()
		if err != nil {
			s.broken(r, err)
		}
		sent++
	}
	if sent == 0 {
		return last
	}
	if _, err := io.WriteString(w, "\r\n--"+boundary+"--\r\n"); err != nil {
		s.broken(r, err)
	}
	return nil
}

func (s *server) pictureOf(ctx context.Context, mediaType string, i int, frame func(i int) (*drawn, int, error), q asking) (b []byte, location string, sent func(), err error) {
	d, n, err := frame(i)
	if err != nil {
		return nil, "", nil, err
	}
	if q.frames == nil {
		defer d.free()
	}
	location = instanceURL(s.Prefix, d.study, d.series, d.instance)
	if q.frames != nil {
		location += "/frames/" + strconv.Itoa(n)
	}
	location += "/rendered"
	f, err := s.openFrame(ctx, d, n, q.viewing)
	if err != nil {
		return nil, "", nil, err
	}
	if !f.jpeg || mediaType != render.TypeJPEG {
		b, sent, err = s.encode(ctx, d, f, mediaType, q.viewing)
		return b, location, sent, err
	}
	if sent, err = s.hold(ctx, f.body.length); err != nil {
		return nil, "", nil, err
	}
	if b, err = readFirst(ctx, f.body, f.body.length); err != nil {
		sent()
	}
	return b, location, sent, err
}

// renderMany serves a picture of each instance of a study or series.
func (s *server) renderMany(w http.ResponseWriter, r *http.Request, sc index.Scope, q asking) error {
	items, err := s.pictures(r.Context(), sc)
	if err != nil {
		return err
	}
	if len(items) > maxRendered {
		return fail(http.StatusBadRequest, "more than %d instances to draw; ask for them one by one", maxRendered)
	}
	offers := pictureOffers(len(items))
	c := choices(q.accept, offers)
	if len(c) == 0 {
		return notAcceptable(offers, "the pictures of several instances are sent in one multipart body")
	}
	if !c[0].multipart {
		sc.SeriesInstanceUID, sc.SOPInstanceUID = items[0].series, items[0].instance
		return s.renderInstance(w, r, sc, q)
	}
	return s.sendPictures(w, r, c[0].name, len(items), func(i int) (*drawn, int, error) {
		one := sc
		one.SeriesInstanceUID, one.SOPInstanceUID = items[i].series, items[i].instance
		d, err := s.toDraw(r.Context(), one)
		if err != nil {
			return nil, 0, err
		}
		return d, d.representative(false), nil
	}, q)
}

// pictures lists the instances of a scope that may be pictures.
func (s *server) pictures(ctx context.Context, sc index.Scope) ([]item, error) {
	items, err := s.list(ctx, sc)
	if err != nil {
		return nil, err
	}
	if items = slices.DeleteFunc(items, func(it item) bool { return !it.isDICOM() }); len(items) == 0 {
		return nil, fail(http.StatusNotAcceptable, "nothing here is stored as DICOM; retrieve the instances one by one")
	}
	return items, nil
}

// thumbnailTries is how many instances of a study or series are looked at for one that can be drawn.
const thumbnailTries = 8

// thumbnailOfMany serves the thumbnail of one instance that stands for a study or series: of the middle one,
// or of others spread over them while those cannot be drawn.
func (s *server) thumbnailOfMany(w http.ResponseWriter, r *http.Request, sc index.Scope, q asking) error {
	items, err := s.pictures(r.Context(), sc)
	if err != nil {
		return err
	}
	tries := []int{len(items) / 2}
	step := max(1, len(items)/(thumbnailTries-1))
	for i := 0; i < len(items) && len(tries) < thumbnailTries; i += step {
		if i != tries[0] {
			tries = append(tries, i)
		}
	}
	for _, i := range tries {
		sc.SeriesInstanceUID, sc.SOPInstanceUID = items[i].series, items[i].instance
		err = s.renderInstance(w, r, sc, q)
		var why *failure
		if !errors.As(err, &why) || why.status != http.StatusNotAcceptable && why.status != http.StatusUnprocessableEntity {
			return err
		}
	}
	return err
}
