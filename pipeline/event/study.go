package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/oklog/ulid/v2"
)

// Types of records about whole studies. The first lies on TopicInstances, behind the objects that it is about; the
// other two are what TopicStudies has.
const (
	TypeStudySent     = "org.tributary.study.sent.v1"
	TypeStudyUpdated  = "org.tributary.study.updated.v1"
	TypeStudyComplete = "org.tributary.study.complete.v1"
)

// StudySent is the body of study.sent records: somebody who knows says that all of a study has been sent.
type StudySent struct {
	Tenant           string    `json:"tenant"`
	StudyInstanceUID string    `json:"study_instance_uid"`
	Signal           string    `json:"signal"` // who knows: one of the Signal… constants; more may come
	At               time.Time `json:"at"`
}

// Signals that a study has been sent whole.
const (
	SignalSTOW   = "stow"   // a STOW-RS request that said so
	SignalUpload = "upload" // an upload that said so: a file, or a form
	SignalImport = "import" // an import came to its end
	SignalAPI    = "api"    // somebody told the node
)

// maxSignal bounds the name of a signal, bytes.
const maxSignal = 32

// ValidSignal reports whether s can be a signal: small letters, digits and dashes, at most 32.
func ValidSignal(s string) bool {
	if s == "" || len(s) > maxSignal {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Reasons of a Study: why it counts as complete, or does so no longer.
const (
	ReasonQuiet   = "quiet-period"
	ReasonChanged = "changed" // of study.updated
	ReasonSignal  = "signal:" // and the signal
)

// Study is the body of study.complete and study.updated records: what a study had in it when it was found
// complete, or when a complete one was found to have changed.
type Study struct {
	Tenant           string `json:"tenant"`
	StudyInstanceUID string `json:"study_instance_uid"`

	// Revision counts the study.complete records of a study from 1. In study.updated it is the last one, which
	// does not hold any more.
	Revision int       `json:"revision"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"` // since when it counts so

	Series        int64     `json:"series"`
	Instances     int64     `json:"instances"`
	Bytes         int64     `json:"bytes"`
	Modalities    []string  `json:"modalities,omitempty"` // (0008,0061), sorted
	FirstReceived time.Time `json:"first_received,omitzero"`
	LastReceived  time.Time `json:"last_received,omitzero"`
	Priority      string    `json:"priority,omitempty"` // PriorityStat when a recording of the study is critical

	// Digest stands for the set of data sets: see Content.
	Digest string `json:"digest"`
}

// NewStudySent makes the record of a signal. It has the key of the study's objects, and so comes behind those
// whose records were appended before.
func NewStudySent(source string, s *StudySent) (Envelope, error) {
	body := *s
	body.At = s.At.UTC()
	data, err := Encode(&body)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{
		ID: NewID(), Type: TypeStudySent, Source: source, Subject: s.StudyInstanceUID, Time: body.At,
		Topic: TopicInstances, Key: s.StudyInstanceUID, Data: data,
	}, nil
}

// NewStudy makes a study.complete or study.updated record at the time of the record. Its id follows from type,
// tenant, study, revision and digest, so that a record that is made again is the same one.
func NewStudy(typ, source string, at time.Time, s *Study) (Envelope, error) {
	body := *s
	body.At, body.FirstReceived, body.LastReceived = s.At.UTC(), s.FirstReceived.UTC(), s.LastReceived.UTC()
	data, err := Encode(&body)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{
		ID: studyID(typ, s), Type: typ, Source: source, Subject: s.StudyInstanceUID, Time: at.UTC(),
		Topic: TopicStudies, Key: s.StudyInstanceUID, Data: data,
	}, nil
}

// studyID is a ULID of the time of the last object and 80 bits of a hash of what the record says.
func studyID(typ string, s *Study) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%d\n%s", typ, s.Tenant, s.StudyInstanceUID, s.Revision, s.Digest))
	var id ulid.ULID
	ms := uint64(max(s.LastReceived.UnixMilli(), 0)) //nolint:gosec // not negative
	if id.SetTime(min(ms, ulid.MaxTime())) != nil || id.SetEntropy(sum[:10]) != nil {
		return "" // neither fails: the time is bounded, and there are ten bytes
	}
	return id.String()
}

// Content is what a study has in it, as a number of 256 bits: the sum, modulo 2²⁵⁶, of the SHA-256 of each
// member. It does not depend on the order, members can be added and taken away, and a consumer that adds up the
// objects that it heard of comes to Study.Digest. The zero value is an empty study.
type Content [4]uint64 // the most significant first

// memberOf is the hash of a data set. What tells data sets apart is what tells objects apart: not their object
// id, which is another one when two nodes take the same data set.
func memberOf(sopInstanceUID, datasetSHA256, transferSyntaxUID string) (m Content) {
	text := make([]byte, 0, 256)
	text = append(append(text, sopInstanceUID...), '\n')
	text = append(append(text, datasetSHA256...), '\n')
	sum := sha256.Sum256(append(text, transferSyntaxUID...))
	for i := range m {
		m[i] = binary.BigEndian.Uint64(sum[8*i:])
	}
	return m
}

// Add puts a data set into the study: its SHA-256 is Blob.DatasetSHA256.
func (c *Content) Add(sopInstanceUID, datasetSHA256, transferSyntaxUID string) {
	m := memberOf(sopInstanceUID, datasetSHA256, transferSyntaxUID)
	carry := uint64(0)
	for i := len(c) - 1; i >= 0; i-- {
		c[i], carry = bits.Add64(c[i], m[i], carry)
	}
}

// contentScheme is in front of the text of a Content, so that another way of counting can be told.
const contentScheme = "sum-sha256:"

// String returns the number as Study.Digest has it: "sum-sha256:" and 64 hexadecimal digits.
func (c Content) String() string {
	var b [32]byte
	for i, v := range c {
		binary.BigEndian.PutUint64(b[8*i:], v)
	}
	return contentScheme + hex.EncodeToString(b[:])
}

// ParseContent reads what String wrote.
func ParseContent(s string) (c Content, err error) {
	if len(s) != len(contentScheme)+64 || s[:len(contentScheme)] != contentScheme {
		return c, errors.New("digest of a study is not " + contentScheme + " and 64 hexadecimal digits")
	}
	b, err := hex.DecodeString(s[len(contentScheme):])
	if err != nil {
		return c, fmt.Errorf("digest of a study: %w", err)
	}
	for i := range c {
		c[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return c, nil
}

// maxRevision bounds what is believed of a revision: one a second for thirty years.
const maxRevision = 1 << 30

func (s *Study) check() error {
	switch {
	case s.StudyInstanceUID == "" || s.Digest == "":
		return errors.New("study without study_instance_uid or digest")
	case s.Revision < 1 || s.Revision > maxRevision:
		return errors.New("study without a revision from 1")
	case s.Series < 0 || s.Instances < 0 || s.Bytes < 0:
		return errors.New("study of less than nothing")
	}
	return nil
}

func (s *StudySent) check() error {
	if s.StudyInstanceUID == "" || s.Signal == "" {
		return errors.New("signal without study_instance_uid or signal")
	}
	return nil
}
