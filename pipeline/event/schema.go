package event

import "embed"

//go:embed schema/*.json
var schemas embed.FS

var schemaOf = map[string]string{
	TypeInstanceStored:      "schema/instance.v1.json",
	TypeInstanceConflict:    "schema/instance.v1.json",
	TypeInstanceQuarantined: "schema/instance.v1.json",
	TypeQuarantineResolved:  "schema/resolution.v1.json",
	TypeConflictResolved:    "schema/resolution.v1.json",
	TypeDeadLettered:        "schema/deadletter.v1.json",
	TypeStudySent:           "schema/study-sent.v1.json",
	TypeStudyUpdated:        "schema/study.v1.json",
	TypeStudyComplete:       "schema/study.v1.json",
}

// Types returns every type of record that this release writes.
func Types() []string {
	return []string{
		TypeInstanceStored, TypeInstanceConflict, TypeInstanceQuarantined, TypeQuarantineResolved, TypeConflictResolved,
		TypeDeadLettered, TypeStudySent, TypeStudyUpdated, TypeStudyComplete,
	}
}

// Schema returns the JSON Schema (draft 2020-12) of the bodies of a type; ok is false for an unknown one.
func Schema(typ string) (doc []byte, ok bool) {
	doc, err := schemas.ReadFile(schemaOf[typ])
	return doc, err == nil
}
