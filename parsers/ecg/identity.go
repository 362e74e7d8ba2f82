package ecg

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// IDs are the UIDs under which a recording without DICOM identity is known.
type IDs struct {
	Study   string // Study Instance UID of the original and of all that is made of it
	Series  string // Series Instance UID of both
	Source  string // of the original file, as though it were an instance
	Derived string // SOP Instance UID of the DICOM object that is made of it
}

// Identity derives the UIDs of a file from tenant and SHA-256 (hex, of the whole file), so that the same file
// sent again is the same instance and becomes the same object (PS3.5 §B.2). A recording that names its study
// by a valid UID stays in it, and one that came as DICOM is known by its own SOP Instance UID. rec is nil for
// a file that holds no recording, such as a report.
func Identity(tenant, sha256hex string, rec *Recording) IDs {
	sum, err := hex.DecodeString(sha256hex)
	if err != nil || len(sum) == 0 {
		sum = []byte(strings.ToLower(sha256hex)) // no hash, and yet a name
	}
	ids := IDs{
		Study:   uid.FromHash(tenant, role(sum, "study")),
		Series:  uid.FromHash(tenant, role(sum, "series")),
		Source:  uid.FromHash(tenant, sum),
		Derived: uid.FromHash(tenant, role(sum, "ecg")),
	}
	if rec == nil {
		return ids
	}
	if own := rec.Context.StudyInstanceUID; uid.Valid(own) == nil {
		ids.Study = own
	}
	if own := rec.DocumentID; rec.Format == sniff.DICOM && uid.Valid(own) == nil {
		ids.Source = own
	}
	return ids
}

// role is the hash of one thing among several that a file gives a name to.
func role(sum []byte, word string) []byte {
	h := sha256.New()
	h.Write(sum)
	h.Write([]byte{0})
	h.Write([]byte(word))
	return h.Sum(nil)
}
