package reprocess

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// Kinds of objects.
const (
	KindInstance   = "instance"   // a DICOM object, whichever version readers see
	KindOriginal   = "original"   // a file in another format
	KindQuarantine = "quarantine" // what could not be indexed
)

var kinds = []string{KindInstance, KindOriginal, KindQuarantine}

// Bounds of a selection: it comes from outside, and is kept on disk.
const (
	maxStudies = 64
	maxValues  = 64
	maxValue   = 128 // bytes
)

// Selection says which objects are read again. All that is set must hold; of a list, one of its values. The zero value
// means all that older parsers have read.
type Selection struct {
	Kinds      []string  `json:"kinds,omitempty"`
	Studies    []string  `json:"studies,omitempty"` // Study Instance UIDs
	Modalities []string  `json:"modalities,omitempty"`
	SOPClasses []string  `json:"sop_classes,omitempty"` // UIDs
	Formats    []string  `json:"formats,omitempty"`     // "dicom", "scp-ecg", …
	Reasons    []string  `json:"reasons,omitempty"`     // codes of parsers/reject: entries of the quarantine only
	From       time.Time `json:"from,omitzero"`         // received at or after
	To         time.Time `json:"to,omitzero"`           // received before

	// OlderThan is a version of the parsers: only objects that were read by an older one. 0 means the version of the
	// node that does the work.
	OlderThan int `json:"older_than,omitempty"`
	// Force takes objects whatever parsers have read them. It is for parsers that were changed without a new version.
	Force bool `json:"force,omitempty"`
}

// Validate reports every mistake. version is that of the parsers that are to read.
func (s *Selection) Validate(version int) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	list := func(what string, values []string, most int, good func(string) bool) {
		if len(values) > most {
			fail("%d %ss at once, of at most %d", len(values), what, most)
			return
		}
		for _, v := range values {
			if v == "" || len(v) > maxValue || !good(v) {
				fail("%.40q is no %s", v, what)
			}
		}
	}
	list("kind of object (instance, original, quarantine)", s.Kinds, len(kinds), func(v string) bool { return slices.Contains(kinds, v) })
	list("Study Instance UID", s.Studies, maxStudies, isUID)
	list("SOP Class UID", s.SOPClasses, maxValues, isUID)
	list("modality", s.Modalities, maxValues, func(v string) bool { return len(v) <= 16 && word(v) })
	list("format", s.Formats, maxValues, word)
	list("reason", s.Reasons, maxValues, func(v string) bool { return slices.Contains(reject.All(), reject.Code(v)) })
	if !s.From.IsZero() && !s.To.IsZero() && !s.From.Before(s.To) {
		fail("nothing is received from %s on and before %s", s.From.Format(time.RFC3339), s.To.Format(time.RFC3339))
	}
	if s.OlderThan < 0 || s.OlderThan > version {
		fail("parsers older than version %d: this release's are of version %d", s.OlderThan, version)
	}
	if s.Force && s.OlderThan > 0 {
		fail("either objects that older parsers have read, or all by force")
	}
	return errors.Join(errs...)
}

// isUID is as lenient as admission: devices write leading zeros.
func isUID(v string) bool { return uid.ValidLenient(v) == nil }

// word is a value that a selection may name: no space, nothing that a terminal or a log would act on.
func word(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' })
}

// below is the version of parsers below which objects are taken, 0 for any.
func (s *Selection) below(version int) int {
	switch {
	case s.Force:
		return 0
	case s.OlderThan > 0:
		return s.OlderThan
	}
	return version
}

// same reports whether two selections are the same one.
func (s *Selection) same(t *Selection) bool {
	a, b := *s, *t
	if !a.From.Equal(b.From) || !a.To.Equal(b.To) {
		return false
	}
	a.From, a.To, b.From, b.To = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return reflect.DeepEqual(a.sorted(), b.sorted())
}

func (s Selection) sorted() Selection {
	for _, list := range []*[]string{&s.Kinds, &s.Studies, &s.Modalities, &s.SOPClasses, &s.Formats, &s.Reasons} {
		*list = slices.Sorted(slices.Values(*list)) // nil for an empty one
	}
	return s
}
