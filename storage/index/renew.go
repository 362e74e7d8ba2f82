package index

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Several records may be about one object: its announcement, once more where its bytes were lost and sent again, and
// what reprocessing says of it. Its description is that of the newest parsers, whatever came last; where its bytes
// are is told by its newest announcement. So neither an old parser nor a late record takes anything back.

// telling says how much a record's word on an object counts: by the version of its parsers, then by its id.
type telling struct {
	version int64
	record  string
}

func (t telling) after(u telling) bool {
	return t.version > u.version || t.version == u.version && t.record > u.record
}

func tellingOf(body *event.Instance, record string) telling {
	return telling{int64(max(body.ParserVersion, 0)), record}
}

// Columns of instances by what they tell. Those of neither list stay with the row, and superseded and series_id are
// the choice's.
var (
	fixedColumns    = []string{"superseded", "series_id"}
	locationColumns = []string{
		"event_id", "door", "remote", "media_type", "blob_key", "bytes", "sha256", "dataset_offset", "device", "origin",
		"located_version", "located_by",
	}
	layoutColumns = []string{"layout_encoding", "layout_bytes", "layout_key", "layout"}

	rewriteInstance = newRewrite(instancesTable, fixedColumns...)
	rewriteDocument = newRewrite(documentsTable)

	describeInstance = newRewrite(instancesTable, slices.Concat(fixedColumns, locationColumns, []string{"derived_version"})...)
	describeDocument = newRewrite(documentsTable, layoutColumns...)
	locateInstance   = newRewrite(instancesTable, others(instancesTable, locationColumns)...)
	locateDocument   = newRewrite(documentsTable, others(documentsTable, layoutColumns)...)

	originLocation   = []string{"event_id", "door", "remote", "device", "facility", "filename", "blob_key", "bytes", "sha256", "dataset_sha256"}
	describeOriginal = newOriginalRewrite(append([]string{"tenant"}, originLocation...))
	locateOriginal   = newOriginalRewrite(others(originalsTable, originLocation))
)

// others are the columns of a table that are not among some, without the last, by which rows are found.
func others(t *table, some []string) (rest []string) {
	for _, c := range t.columns[:len(t.columns)-1] {
		if !slices.Contains(some, c.name) {
			rest = append(rest, c.name)
		}
	}
	return rest
}

// rewrite is an update of some columns of a row.
type rewrite struct {
	text string
	take []int // of the table's columns, the last one included
}

func newRewrite(t *table, without ...string) rewrite {
	r := rewrite{text: t.update(without...)}
	for i, c := range t.columns {
		if !slices.Contains(without, c.name) {
			r.take = append(r.take, i)
		}
	}
	return r
}

// newOriginalRewrite is newRewrite for originals, which are found by their tenant too.
func newOriginalRewrite(without []string) rewrite {
	r := newRewrite(originalsTable, without...)
	r.text += fmt.Sprintf(" AND tenant = $%d", len(r.take)+1)
	r.take = append(r.take, len(originalsTable.columns)-2)
	return r
}

// run takes the values of a whole row.
func (r rewrite) run(b *batch, row []any) error {
	args := make([]any, 0, len(r.take))
	for _, i := range r.take {
		args = append(args, row[i])
	}
	return b.exec(r.text, args...)
}

// renew lets a record of a data set that has a row say what it has to say. It tells whether the choice among versions
// may come out otherwise.
func (b *batch) renew(in *instance, row version) (moved bool, err error) {
	if in.derivedVersion > row.derivedVersion { // bytes are the same, whichever copy it is
		if err := b.exec("UPDATE instances SET derived_version = $1 WHERE id = $2", in.derivedVersion, row.id); err != nil {
			return false, fmt.Errorf("rewrite instance: %w", err)
		}
		moved = true
	}
	in.derivedVersion = max(in.derivedVersion, row.derivedVersion)
	values, documents := append(in.values("", 0), row.id), append(in.documents(), row.id)
	located := in.eventID > row.eventID || in.eventID == row.eventID && in.told.after(row.located)
	switch described := in.told.after(row.described); {
	case in.before(row.place): // the earlier copy stands for the data set
		return true, b.describe(in, row, rewriteInstance, rewriteDocument, values, documents)
	case in.place != row.place: // a later copy
		return moved, nil
	case described && located:
		again, err := b.described(in, row, rewriteInstance, rewriteDocument, values, documents)
		return moved || again, err
	case described:
		again, err := b.described(in, row, describeInstance, describeDocument, values, documents)
		return moved || again, err
	case located:
		if err := locateInstance.run(b, values); err != nil {
			return moved, fmt.Errorf("rewrite instance: %w", err)
		}
		if err := locateDocument.run(b, documents); err != nil {
			return moved, fmt.Errorf("rewrite documents: %w", err)
		}
	}
	return moved, nil
}

// described is describe for a row whose series and study may stay as they are: mostly a newer parser says the same.
func (b *batch) described(in *instance, row version, instance, document rewrite, values, documents []any) (moved bool, err error) {
	var had []byte
	err = b.each(func(scan scanner) error { return scan(&had) }, "SELECT attributes FROM documents WHERE instance_id = $1", row.id)
	if err != nil {
		return false, fmt.Errorf("read attributes: %w", err)
	}
	if row.derived != (in.derivedFrom != "") || !bytes.Equal(had, pack(in.all, -1)) {
		return true, b.describe(in, row, instance, document, values, documents)
	}
	return false, b.rewrite(in, row, instance, document, values, documents)
}

// describe rewrites a row whose record may name another series. It leaves the one that it is in first.
func (b *batch) describe(in *instance, row version, instance, document rewrite, values, documents []any) error {
	if err := b.demote(row); err != nil {
		return err
	}
	return b.rewrite(in, row, instance, document, values, documents)
}

func (b *batch) rewrite(in *instance, row version, instance, document rewrite, values, documents []any) error {
	if err := instance.run(b, values); err != nil {
		return fmt.Errorf("rewrite instance: %w", err)
	}
	if err := document.run(b, documents); err != nil {
		return fmt.Errorf("rewrite documents: %w", err)
	}
	if err := b.deleteRecording(row.id, in.tenant, ""); err != nil {
		return err
	}
	return b.insertRecording(in.recording, row.id)
}

// originalRow is what is known of an original that has a row.
type originalRow struct {
	eventID   string // of its newest announcement
	described telling
}

// keepOriginal writes an original, or what its record has to say of one that is there.
func (b *batch) keepOriginal(o *original) error {
	k := objectKey{o.tenant, o.object}
	have, known := b.newest[k]
	described, located := !known || o.told.after(have.described), !known || o.eventID > have.eventID
	if described {
		have.described = o.told
	}
	if located {
		have.eventID = o.eventID
	}
	b.newest[k] = have
	switch {
	case !known:
		if err := b.insert(originalsTable, o.values()); err != nil {
			return fmt.Errorf("insert original: %w", err)
		}
		return b.insertRecording(o.recording, 0)
	case described && located:
		// Anew: an insert of many rows costs less than an update of a few.
		if err := b.exec("DELETE FROM originals WHERE tenant = $1 AND object_id = $2", o.tenant, o.object); err != nil {
			return fmt.Errorf("rewrite original: %w", err)
		}
		if err := b.insert(originalsTable, o.values()); err != nil {
			return fmt.Errorf("rewrite original: %w", err)
		}
	case described:
		if err := describeOriginal.run(b, o.values()); err != nil {
			return fmt.Errorf("rewrite original: %w", err)
		}
	case located:
		if err := locateOriginal.run(b, o.values()); err != nil {
			return fmt.Errorf("rewrite original: %w", err)
		}
	}
	if !described {
		return nil
	}
	if err := b.deleteRecording(0, o.tenant, o.object); err != nil {
		return err
	}
	return b.insertRecording(o.recording, 0)
}
