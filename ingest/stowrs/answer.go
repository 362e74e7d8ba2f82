package stowrs

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Warning Reasons (0008,1196), PS3.18 Table I.2-2 as PS3.4 Table B.2-1.
const (
	// warnOther says that readers get other data elements under this UID than were sent: the bytes are kept
	// as another version of an instance that was here first ("Coercion of Data Elements").
	warnOther = 0xB000
	// warnBlemish says that the object is stored and indexed, but not quite as the standard has it ("Data
	// Set does not match SOP Class").
	warnBlemish = 0xB007
)

// maxNamed bounds the quarantine ids that the Warning header names.
const maxNamed = 16

// outcome is what became of one part.
type outcome struct {
	class, instance, study, series string

	reason      reject.Code // "" for a stored instance
	warning     uint16      // 0 for none
	quarantined string      // object id of what operators keep
}

func (o *outcome) fail(code reject.Code) { o.reason = code }

func (o *outcome) set(rec ingest.Receipt, err error) {
	o.class, o.instance, o.study, o.series = rec.SOPClass, rec.Instance, rec.Study, rec.Series
	o.reason = ""
	switch {
	case err != nil:
		o.fail(reject.CodeOf(err))
	case rec.Status == ingest.Quarantined:
		o.reason, o.quarantined = reject.Code(rec.Reason), rec.ID
	case rec.Status == ingest.Conflict:
		o.warning = warnOther
	case len(rec.Warnings) > 0:
		o.warning = warnBlemish
	}
}

// status is the answer's status (PS3.18 Table 10.5.3-1) for outcomes of which there is at least one.
func status(outcomes []*outcome) int {
	stored, clean, same := 0, 0, 0
	for _, o := range outcomes {
		if o.reason == "" {
			stored++
			if o.warning == 0 {
				clean++
			}
		}
		if o.reason == outcomes[0].reason {
			same++
		}
	}
	switch {
	case clean == len(outcomes):
		return http.StatusOK
	case stored > 0:
		return http.StatusAccepted
	case same == len(outcomes): // one reason for all that is not about the objects says more than 409
		switch s := ingest.AnswerFor(outcomes[0].reason).HTTP; s {
		case http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusInternalServerError, http.StatusServiceUnavailable:
			return s
		}
	}
	return http.StatusConflict
}

// answer reports the outcomes; broken is why the body was not read to its end, nil when it was.
func (s *store) answer(w http.ResponseWriter, broken error) {
	kept := slices.ContainsFunc(s.outcomes, func(o *outcome) bool { return o.reason == "" || o.quarantined != "" })
	if !kept && (broken != nil || len(s.outcomes) == 0) {
		s.refuseBroken(w, broken)
		return
	}
	if broken != nil {
		s.noteBroken(reject.CodeOf(broken))
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", s.media)
	if v := quarantineNotice(s.outcomes); v != "" {
		h.Set("Warning", v)
	}
	if broken == nil && s.complete() {
		h.Set(ingest.CompleteHeader, "true")
	}
	code := status(s.outcomes)
	if code == http.StatusServiceUnavailable {
		h.Set("Retry-After", s.retryAfter())
	}
	w.WriteHeader(code)
	out := bufio.NewWriterSize(w, 32<<10)
	write := writeJSON
	if s.media == typeXML {
		write = writeXML
	}
	write(out, report(s.outcomes, s.baseURL()))
	_ = out.Flush() // a peer that is gone asks again, and hears of duplicates
}

// complete keeps the sender's word that its studies have been sent whole, and tells whether it is kept. Where a part
// is not stored, none of the studies is whole.
func (s *store) complete() bool {
	if s.cfg.Signal == nil || !ingest.SaysComplete(s.r.Header) {
		return false
	}
	studies := map[string]bool{}
	for _, o := range s.outcomes {
		if o.reason != "" || o.study == "" {
			return false
		}
		studies[o.study] = true
	}
	if err := s.cfg.Signal(s.r.Context(), s.tenant, event.SignalSTOW, slices.Sorted(maps.Keys(studies))...); err != nil {
		s.cfg.Logger.Warn("a signal is lost, the studies are complete when they are quiet", "door", "stow", "error", err.Error())
		return false
	}
	return true
}

func (s *store) retryAfter() string {
	return strconv.Itoa(max(1, int(s.cfg.RetryAfter.Seconds())))
}

// refuseBroken answers a request of which nothing is kept because of its form.
func (s *store) refuseBroken(w http.ResponseWriter, broken error) {
	code := reject.CodeOf(broken)
	switch {
	case broken == nil:
		refuse(w, http.StatusBadRequest, reject.Empty, "the body has no parts")
	case errors.Is(broken, errNotDICOM):
		refuse(w, http.StatusUnsupportedMediaType, code, "parts are "+typeDICOM+"; metadata with bulk data apart is not taken")
	case s.body.Slow():
		refuse(w, http.StatusRequestTimeout, reject.Aborted, "the body came too slowly")
	case code == reject.TooLarge:
		refuse(w, http.StatusRequestEntityTooLarge, code, "the request has too many bytes or parts")
	case s.body.Err() != nil:
		refuse(w, http.StatusBadRequest, reject.Aborted, "the body broke off")
	default:
		refuse(w, http.StatusBadRequest, reject.Malformed, "the body is no whole multipart body")
	}
}

// noteBroken puts a broken body into the outcomes: as the failure of the part that it broke in, or as
// one failure for what would have followed.
func (s *store) noteBroken(code reject.Code) {
	if code == reject.Internal {
		code = reject.Aborted
	}
	if s.cut == nil {
		s.cut = s.next()
	}
	s.cut.fail(code)
}

// quarantineNotice is a Warning header (299, as PS3.18 §8.3.4.4 uses it) that names what failed to be
// indexed but is kept: a sender need not send it again. The answer's data set has no attribute for that.
func quarantineNotice(outcomes []*outcome) string {
	var ids []string
	n := 0
	for _, o := range outcomes {
		if o.quarantined == "" {
			continue
		}
		if n++; n <= maxNamed {
			ids = append(ids, o.quarantined)
		}
	}
	if n == 0 {
		return ""
	}
	if n > maxNamed {
		ids = append(ids, "...")
	}
	return fmt.Sprintf(`299 tributary "%d of %d instances cannot be indexed and are kept in quarantine: %s"`,
		n, len(outcomes), strings.Join(ids, " "))
}

// baseURL is what Retrieve URLs begin with, without a slash at the end.
func (s *store) baseURL() string {
	if s.cfg.BaseURL != "" {
		return strings.TrimSuffix(s.cfg.BaseURL, "/")
	}
	scheme := "http"
	if s.r.TLS != nil {
		scheme = "https"
	}
	prefix, _, _ := cutLast(strings.TrimSuffix(s.r.URL.Path, "/"), "/studies")
	return scheme + "://" + s.r.Host + prefix
}

// report is the answer's data set: the Store Instances Response Module (PS3.18 Table I.2-1).
func report(outcomes []*outcome, base string) []attribute {
	var stored, failed, other [][]attribute
	study, oneStudy := "", true
	for _, o := range outcomes {
		refs := []attribute{{tag: "00081150", text: o.class}, {tag: "00081155", text: o.instance}}
		reason := attribute{tag: "00081197", number: int(ingest.AnswerFor(o.reason).STOW)}
		switch {
		case o.reason == "":
			item := append(refs, attribute{tag: "00081190", text: base + "/studies/" + o.study + "/series/" + o.series + "/instances/" + o.instance})
			if o.warning != 0 {
				item = append(item, attribute{tag: "00081196", number: int(o.warning)})
			}
			stored = append(stored, sorted(item))
			oneStudy = oneStudy && (study == "" || study == o.study)
			study = o.study
		case o.class != "" && o.instance != "":
			failed = append(failed, append(refs, reason))
		default: // UIDs that could not be told
			other = append(other, []attribute{reason})
		}
	}
	var out []attribute
	if study != "" && oneStudy {
		out = append(out, attribute{tag: "00081190", text: base + "/studies/" + study})
	} else {
		out = append(out, attribute{tag: "00081190"})
	}
	for _, s := range []attribute{{tag: "00081198", items: failed}, {tag: "00081199", items: stored}, {tag: "0008119A", items: other}} {
		if len(s.items) > 0 {
			out = append(out, s)
		}
	}
	return out
}
