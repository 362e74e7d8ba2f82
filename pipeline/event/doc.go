// Package event defines the records that tell the world what became of each object: Go types, their
// JSON, and the CloudEvents 1.0 envelope that carries them.
//
// The log of these records is the truth of a node, together with the blobs; every index is a view of
// it. A schema change only adds fields. A breaking change is a new type (….v2) on the same topic.
package event
