package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// told is an event as the scratch file has it.
type told struct {
	n                             int64
	id                            string
	kind                          int
	part                          int32
	off                           int64
	object, tenant, key, sha, dsh string
	bytes, dsoff                  int64
}

const toldColumns = "e.n, e.id, e.type, e.part, e.off, e.object, e.tenant, e.key, e.sha, e.dsha, e.bytes, e.dsoff"

func scanTold(rows *sql.Rows, n *int64, t *told) error {
	err := rows.Scan(&t.n, &t.id, &t.kind, &t.part, &t.off, &t.object, &t.tenant, &t.key, &t.sha, &t.dsh, &t.bytes, &t.dsoff)
	*n = t.n
	return err
}

func (t told) finding(code Code, detail string) Finding {
	return Finding{
		Code: code, Blob: t.key, ObjectID: t.object, EventID: t.id, Tenant: t.tenant,
		Record: place(t.part, t.off), Detail: detail,
	}
}

// compare joins what was gathered.
func (a *audit) compare(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		a.eventsWithoutBlob, a.blobsWithoutEvent, a.attachments, a.orphanedAttachments, a.resolvedBytes,
		a.eventsWithoutRow, a.rowsWithoutEvent, a.rowsThatDiffer,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) eventsWithoutBlob(ctx context.Context) error {
	const query = "SELECT " + toldColumns + ` FROM events e WHERE e.n > ? AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.key = e.key)
		ORDER BY e.n LIMIT ?`
	return each(ctx, a.file, query, scanTold, func(t told) error {
		_, err := a.Blobs.Stat(ctx, t.key)
		return a.missed(ctx, t, err)
	})
}

// missed reports a blob that could not be read as err says, unless that is as it should be.
func (a *audit) missed(ctx context.Context, t told, err error) error {
	var code Code
	switch {
	case err == nil:
		return nil // it came meanwhile
	case errors.Is(err, blob.ErrCorrupt):
		code = BlobDamaged
	case !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrBadKey):
		return fmt.Errorf("look for blob %s: %w", t.key, err)
	case t.kind == quarantinedObject:
		code = QuarantineMissing
	case t.kind == quarantineResolved || t.kind == conflictResolved:
		code = DecisionMissing
	default:
		code = BlobMissing
	}
	if time.Since(a.tailed) > time.Second {
		// An operator may have removed it, or a sender replaced it, since the log was read.
		if err := a.events(ctx); err != nil {
			return err
		}
	}
	past, err := a.past(ctx, t)
	if err != nil || past {
		return err
	}
	if code == BlobDamaged {
		a.broken = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.add(t.finding(code, ""))
	return nil
}

// past tells whether an event's blob is wanted no more: a later event of the object names another one, or
// an operator resolved the entry of the quarantine.
func (a *audit) past(ctx context.Context, t told) (bool, error) {
	if t.kind > quarantinedObject {
		return false, nil
	}
	n, err := a.file.count(ctx, `SELECT COUNT(*) FROM events WHERE object = ? AND
		(type IN (1, 2, 3) AND id > ? OR type = 4 AND ? = 3)`, t.object, t.id, t.kind)
	if err == nil && n == 0 && t.kind == quarantinedObject {
		// The event of the decision may be what is lost. About entries of the quarantine there are no others.
		n, err = a.file.count(ctx, "SELECT COUNT(*) FROM blobs WHERE kind = 'decision' AND object = ?", t.object)
	}
	return n > 0, err
}

// orphan is a blob that no event names.
type orphan struct {
	n            int64
	key, object  string
	kind         string
	createdMicro int64
}

func scanOrphan(rows *sql.Rows, n *int64, o *orphan) error {
	err := rows.Scan(&o.n, &o.key, &o.object, &o.kind, &o.createdMicro)
	*n = o.n
	return err
}

// settled is when the youngest blob was made that must have an event.
func (a *audit) settled() int64 { return a.report.Began.Add(-a.opt.Settle).UnixMicro() }

func (a *audit) eachOrphan(ctx context.Context, fn func(orphan) error) error {
	const query = `SELECT b.n, b.key, b.object, b.kind, b.created FROM blobs b WHERE b.n > ? AND b.kind IN ('object', 'decision')
		AND NOT EXISTS (SELECT 1 FROM events e WHERE e.key = b.key) ORDER BY b.n LIMIT ?`
	return each(ctx, a.file, query, scanOrphan, func(o orphan) error {
		if o.createdMicro > a.settled() {
			return nil
		}
		return fn(o)
	})
}

func (a *audit) blobsWithoutEvent(ctx context.Context) error {
	return a.eachOrphan(ctx, func(o orphan) error {
		a.report.add(Finding{Code: BlobWithoutEvent, Blob: o.key, ObjectID: o.object, Detail: o.kind})
		return nil
	})
}

// attachment is one that an event names.
type attachment struct {
	told
	blob, encoding string
	size           int64
}

func scanAttachment(rows *sql.Rows, n *int64, t *attachment) error {
	return rows.Scan(n, &t.blob, &t.encoding, &t.size, &t.n, &t.id, &t.kind, &t.part, &t.off, &t.object, &t.tenant, &t.key,
		&t.sha, &t.dsh, &t.bytes, &t.dsoff)
}

// eachLostAttachment calls fn for attachments that are not there, or, in a full look, not whole.
func (a *audit) eachLostAttachment(ctx context.Context, fn func(t attachment, why string) error) error {
	query := "SELECT t.n, t.key, t.encoding, t.bytes, " + toldColumns + ` FROM attached t JOIN events e ON e.n = t.event WHERE t.n > ?`
	if !a.opt.Full {
		query += " AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.key = t.key)"
	}
	return each(ctx, a.file, query+" ORDER BY t.n LIMIT ?", scanAttachment, func(t attachment) error {
		why, err := a.attachmentFault(ctx, t)
		if err != nil || why == "" {
			return err
		}
		past, err := a.past(ctx, t.told)
		if err != nil || past {
			return err
		}
		return fn(t, why)
	})
}

func (a *audit) attachments(ctx context.Context) error {
	return a.eachLostAttachment(ctx, func(t attachment, why string) error {
		f := t.finding(AttachmentMissing, why+" (of object "+t.key+")")
		f.Blob = t.blob
		a.report.add(f)
		return nil
	})
}

// eachUnclaimed calls fn for headers and layouts that nothing names: no event, no object that has yet to
// get its event, nor one whose attachments will be made again then.
func (a *audit) eachUnclaimed(ctx context.Context, fn func(orphan) error) error {
	const query = `SELECT b.n, b.key, b.object, b.kind, b.created FROM blobs b WHERE b.n > ? AND b.kind IN ('header', 'layout')
		AND NOT EXISTS (SELECT 1 FROM attached t WHERE t.key = b.key)
		AND NOT EXISTS (SELECT 1 FROM waiting w WHERE w.object = b.object)
		AND NOT EXISTS (SELECT 1 FROM claimed c WHERE c.key = b.key) ORDER BY b.n LIMIT ?`
	return each(ctx, a.file, query, scanOrphan, func(o orphan) error {
		if o.createdMicro > a.settled() {
			return nil
		}
		return fn(o)
	})
}

func (a *audit) orphanedAttachments(ctx context.Context) error {
	err := a.file.run(
		ctx,
		`CREATE TABLE waiting AS SELECT b.object FROM blobs b WHERE b.kind = 'object' AND NOT EXISTS (SELECT 1 FROM events e WHERE e.key = b.key)`,
		"CREATE INDEX waiting_object ON waiting (object)",
		// Also where another event is current: the blob is what an event would be made from again.
		"CREATE TABLE claimed AS SELECT header AS key FROM blobs WHERE header <> '' UNION SELECT layout FROM blobs WHERE layout <> ''",
		"CREATE INDEX claimed_key ON claimed (key)",
	)
	if err != nil {
		return err
	}
	return a.eachUnclaimed(ctx, func(o orphan) error {
		a.report.add(Finding{Code: AttachmentOrphaned, Blob: o.key, ObjectID: o.object, Detail: o.kind})
		return nil
	})
}

func (a *audit) resolvedBytes(ctx context.Context) error {
	const query = "SELECT " + toldColumns + ` FROM events e WHERE e.n > ? AND e.type = 3
		AND EXISTS (SELECT 1 FROM events d WHERE d.object = e.object AND d.type = 4)
		AND EXISTS (SELECT 1 FROM blobs b WHERE b.key = e.key) ORDER BY e.n LIMIT ?`
	return each(ctx, a.file, query, scanTold, func(t told) error {
		if _, err := a.Blobs.Stat(ctx, t.key); err == nil { // it may be going just now
			a.report.add(t.finding(ResolvedBytes, ""))
		}
		return nil
	})
}

// eventsWithoutRow looks for what the index has gone past and does not show.
func (a *audit) eventsWithoutRow(ctx context.Context) error {
	if a.Index == nil || a.foreign {
		return nil
	}
	const query = "SELECT " + toldColumns + ` FROM events e WHERE e.n > ? AND CASE
		WHEN e.type IN (1, 2) AND EXISTS (SELECT 1 FROM found f WHERE f.object = e.object AND f.kind = 'original' AND f.tenant = e.tenant) THEN 0
		WHEN e.type IN (1, 2) THEN NOT EXISTS (SELECT 1 FROM found f WHERE f.kind = 'instance' AND f.sop = e.sop AND f.dsha = e.dsha
			AND f.syntax = e.syntax AND f.tenant = e.tenant)
		WHEN e.type = 3 THEN NOT EXISTS (SELECT 1 FROM found f WHERE f.object = e.object AND f.kind = 'quarantine' AND f.tenant = e.tenant)
			AND NOT EXISTS (SELECT 1 FROM events d WHERE d.object = e.object AND d.type = 4)
		ELSE NOT EXISTS (SELECT 1 FROM found f WHERE f.event = e.id AND f.kind = 'decision') END ORDER BY e.n LIMIT ?`
	return each(ctx, a.file, query, scanTold, func(t told) error {
		if applied, ok := a.applied[t.part]; !ok || t.off > applied {
			a.report.Waiting++
			return nil
		}
		a.report.add(t.finding(RowMissing, ""))
		return nil
	})
}

// shown is a row of the index.
type shown struct {
	n                                     int64
	kind, tenant, object, event, key, why string
}

func scanShown(rows *sql.Rows, n *int64, s *shown) error {
	err := rows.Scan(&s.n, &s.kind, &s.tenant, &s.object, &s.event, &s.key, &s.why)
	*n = s.n
	return err
}

func (a *audit) eachRow(ctx context.Context, code Code, query string) error {
	if a.Index == nil {
		return nil // what was read before the damage tells nothing
	}
	return each(ctx, a.file, query, scanShown, func(s shown) error {
		detail := s.kind
		if s.why != "" {
			detail += ": " + s.why
		}
		a.report.add(Finding{Code: code, ObjectID: s.object, EventID: s.event, Tenant: s.tenant, Blob: s.key, Detail: detail})
		return nil
	})
}

func (a *audit) rowsWithoutEvent(ctx context.Context) error {
	return a.eachRow(ctx, RowWithoutEvent, `SELECT f.n, f.kind, f.tenant, f.object, f.event, f.key, '' FROM found f
		WHERE f.n > ? AND NOT EXISTS (SELECT 1 FROM events e WHERE e.id = f.event)
		AND NOT EXISTS (SELECT 1 FROM events e WHERE e.announced = f.event AND e.announced <> '') ORDER BY f.n LIMIT ?`)
}

func (a *audit) rowsThatDiffer(ctx context.Context) error {
	return a.eachRow(ctx, RowDiffers, `SELECT n, kind, tenant, object, event, key, why FROM (
		SELECT f.n, f.kind, f.tenant, f.object, f.event, f.key, CASE
			WHEN f.object <> e.object THEN 'object id'
			WHEN f.kind = 'decision' THEN ''
			WHEN f.tenant <> e.tenant THEN 'tenant'
			WHEN f.key <> e.key THEN 'blob'
			WHEN f.bytes <> e.bytes THEN 'bytes'
			WHEN f.sha <> e.sha THEN 'sha256'
			WHEN f.kind = 'quarantine' THEN ''
			WHEN f.dsha <> e.dsha THEN 'dataset_sha256'
			WHEN f.sop <> e.sop THEN 'sop_instance_uid'
			WHEN f.syntax <> e.syntax THEN 'transfer_syntax'
			ELSE '' END AS why
		FROM found f JOIN events e ON e.id = f.event WHERE f.n > ?) WHERE why <> '' ORDER BY n LIMIT ?`)
}
