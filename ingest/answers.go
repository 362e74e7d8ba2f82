package ingest

import (
	"net/http"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Answer is what a refusal or a quarantine means on the wire.
type Answer struct {
	DIMSE uint16 // C-STORE Status (PS3.4 §B.2.3, PS3.7 Annex C)
	STOW  uint16 // Failure Reason (0008,1197) of a STOW-RS answer (PS3.18 §10.5.3, Annex I)
	HTTP  int    // status for a single object
	Retry bool   // the same object may be taken later
}

// warnNotIndexed is B007H: kept, but not as the instance that its SOP Class promises (PS3.4 Table B.2-1).
// A device hears a warning, not a failure: the bytes are durable and operators see them.
const warnNotIndexed = 0xB007

// answers is the only place where a reason becomes a wire status. Kept objects answer B007H on DIMSE,
// a Failure Reason per instance on STOW-RS, and 201 with "status":"quarantined" on /upload.
var answers = map[reject.Code]Answer{
	reject.Empty:             {0xC000, 0xC000, http.StatusBadRequest, false},
	reject.UnsupportedFormat: {0xC000, 0xC000, http.StatusUnsupportedMediaType, false},
	reject.NotStorageObject:  {0xC000, 0xC000, http.StatusUnprocessableEntity, false},
	reject.BadUID:            {0x0117, 0x0117, http.StatusBadRequest, false},
	reject.TooLarge:          {0xA700, 0xA700, http.StatusRequestEntityTooLarge, false},
	reject.UnsupportedClass:  {0x0122, 0x0122, http.StatusUnprocessableEntity, false},
	reject.ClassMismatch:     {0xA900, 0xA900, http.StatusConflict, false},
	reject.StudyMismatch:     {0xA900, 0xA900, http.StatusConflict, false},
	reject.ContextMismatch:   {0x0122, 0x0122, http.StatusConflict, false},
	reject.NotAuthorized:     {0x0124, 0x0124, http.StatusForbidden, false},
	reject.Conflict:          {0x0111, 0x0111, http.StatusConflict, false},
	reject.Aborted:           {0x0110, 0x0110, http.StatusBadRequest, true},
	reject.OutOfResources:    {0xA700, 0xA700, http.StatusServiceUnavailable, true},
	reject.ChecksumMismatch:  {0xC000, 0xC000, http.StatusBadRequest, true},
	reject.Internal:          {0x0110, 0x0110, http.StatusInternalServerError, true},

	reject.Malformed:          {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.Truncated:          {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.MissingUID:         {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.NoTransferSyntax:   {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.WrongSyntax:        {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.UIDContradiction:   {warnNotIndexed, 0xA900, http.StatusCreated, false},
	reject.DuplicateElement:   {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.TooDeep:            {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.TooManyElements:    {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.HeaderTooLarge:     {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.InflateBomb:        {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.UndecodableDeflate: {warnNotIndexed, 0xC000, http.StatusCreated, false},
	reject.NotParsed:          {warnNotIndexed, 0xC000, http.StatusCreated, false},
}

// AnswerFor returns what code means on the wire. Codes without a row, of which a test finds none, are
// answered as Internal.
func AnswerFor(code reject.Code) Answer {
	if a, ok := answers[code]; ok {
		return a
	}
	return answers[reject.Internal]
}
