package index

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Said is what the parsers said of an object: its description, apart from who gave it and where it came from.
type Said struct {
	Attributes     map[string]string // with the identifiers
	Header, Layout *event.Attachment // nil for none
	Facts, Reasons []byte            // of a recording, JSON
	Priority       string
	Reason, Detail string // of an entry of the quarantine
}

// SaidBy is what an event says, in the form in which the index keeps it.
func SaidBy(body *event.Instance) (Said, error) {
	s := Said{Attributes: map[string]string{}, Header: body.Header, Layout: body.Frames, Reason: body.Reason, Detail: body.ReasonDetail}
	copied := *body
	copied.Attributes = maps.Clone(body.Attributes)
	all := attributesOf(&copied)
	if err := unpackInto(s.Attributes, pack(all, -1)); err != nil {
		return s, err
	}
	recording, err := newRecording(&copied, all)
	if err == nil && recording != nil {
		s.Facts, s.Reasons, s.Priority = recording.facts, recording.reasons, recording.priority
	}
	return s, err
}

// Said returns what the index says of an object now, or ErrNotFound when it does not show it any more.
func (db *DB) Said(ctx context.Context, r Reading) (Said, error) {
	if r.Kind == RowQuarantine {
		q, err := db.QuarantineEntry(ctx, r.Tenant, r.ObjectID)
		return Said{Attributes: map[string]string{}, Reason: q.Reason, Detail: q.Detail}, err
	}
	const op = "read what parsers said"
	text := `SELECT d.attributes, d.header_encoding, d.header_bytes, d.header_key, d.header, d.layout_encoding, d.layout_bytes, d.layout_key,
		d.layout, COALESCE(r.priority, ''), f.facts, f.reasons FROM instances i JOIN documents d ON d.instance_id = i.id
		LEFT JOIN recordings r ON r.instance_id = i.id LEFT JOIN recording_documents f ON f.instance_id = i.id
		WHERE i.tenant = $1 AND i.sop_instance_uid = $2 AND i.dataset_sha256 = $3 AND i.transfer_syntax_uid = $4`
	args := []any{r.Tenant, r.SOPInstanceUID, r.DatasetSHA256, r.TransferSyntaxUID}
	if r.Kind == RowOriginal {
		text = `SELECT o.attributes, '', 0, '', NULL, '', 0, '', NULL, COALESCE(r.priority, ''), f.facts, f.reasons FROM originals o
			LEFT JOIN recordings r ON r.instance_id = 0 AND r.tenant = o.tenant AND r.original = o.object_id
			LEFT JOIN recording_documents f ON f.instance_id = 0 AND f.tenant = o.tenant AND f.original = o.object_id
			WHERE o.tenant = $1 AND o.object_id = $2`
		args = []any{r.Tenant, r.ObjectID}
	}
	rows, err := db.engine.query(ctx, text, args...)
	if err != nil {
		return Said{}, db.failed(ctx, op, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return Said{}, db.failed(ctx, op, err)
		}
		return Said{}, ErrNotFound
	}
	s := Said{Attributes: map[string]string{}}
	var header, layout event.Attachment
	var packed []byte
	err = rows.Scan(&packed, &header.Encoding, &header.Bytes, &header.BlobKey, &header.Data, &layout.Encoding, &layout.Bytes, &layout.BlobKey,
		&layout.Data, &s.Priority, &s.Facts, &s.Reasons)
	if err == nil {
		err = unpackInto(s.Attributes, packed)
	}
	if err != nil {
		return s, db.failed(ctx, op, err)
	}
	if header.Encoding != "" {
		s.Header = &header
	}
	if layout.Encoding != "" {
		s.Layout = &layout
	}
	return s, nil
}

// Parts of a description that Differences names.
const (
	PartAttributes = "attributes"
	PartHeader     = "header"
	PartLayout     = "layout"
	PartRecording  = "recording"
	PartReason     = "reason"
)

// Differences returns the parts in which two descriptions differ, and the keywords of attributes that do: names, never
// values.
func (s Said) Differences(t Said) (parts, keywords []string) {
	keys := maps.Clone(s.Attributes)
	maps.Copy(keys, t.Attributes)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if s.Attributes[k] != t.Attributes[k] {
			keywords = append(keywords, k)
		}
	}
	add := func(part string, differs bool) {
		if differs {
			parts = append(parts, part)
		}
	}
	add(PartAttributes, len(keywords) > 0)
	add(PartHeader, !sameDocument(s.Header, t.Header))
	add(PartLayout, !sameDocument(s.Layout, t.Layout))
	add(PartRecording, s.Priority != t.Priority || !bytes.Equal(s.Facts, t.Facts) || !bytes.Equal(s.Reasons, t.Reasons))
	add(PartReason, s.Reason != t.Reason || s.Detail != t.Detail)
	return parts, keywords
}

// sameDocument compares attachments by what is in them. One that lies beside a blob is the same as another only where
// both name one blob: admission names it again when it has the same document.
func sameDocument(a, b *event.Attachment) bool {
	switch {
	case a == nil || b == nil:
		return a == b
	case a.Bytes != b.Bytes || a.BlobKey != b.BlobKey:
		return false
	case a.BlobKey != "" || bytes.Equal(a.Data, b.Data) && a.Encoding == b.Encoding:
		return true
	}
	one, err := a.Open(a.Data)
	if err != nil {
		return false
	}
	other, err := b.Open(b.Data)
	return err == nil && bytes.Equal(one, other)
}
