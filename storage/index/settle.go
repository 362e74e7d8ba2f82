package index

import (
	"fmt"
	"strings"
)

// version is a row of instances as far as the choice among versions needs it.
type version struct {
	id         int64
	superseded string
	hash       string // identity of the data set
	place
	eventID string
	series  int64

	described, located telling // which records its row is of
	derived            bool    // it was made of an original
	derivedVersion     int64   // by parsers of this version
}

func (b *batch) versions(k sopKey) ([]version, error) {
	var out []version
	err := b.each(func(scan scanner) error {
		var v version
		var from string
		err := scan(&v.id, &v.superseded, &v.hash, &v.received, &v.object, &v.eventID, &v.series,
			&v.described.version, &v.described.record, &v.located.version, &v.located.record, &v.derivedVersion, &from)
		v.derived = from != ""
		out = append(out, v)
		return err
	}, `SELECT id, superseded, dataset_sha256 || ' ' || transfer_syntax_uid, received, object_id, event_id, series_id,
		parser_version, described_by, located_version, located_by, derived_version, derived_from FROM instances WHERE tenant = $1 AND sop_instance_uid = $2`, k.tenant, k.uid)
	return out, err
}

// collide enters an instance whose SOP Instance UID has a row already: the same event or object again,
// another copy of the same data set, or other bytes.
func (b *batch) collide(in *instance) error {
	k := sopKey{in.tenant, in.sop}
	versions, err := b.versions(k)
	if err != nil {
		return fmt.Errorf("read versions: %w", err)
	}
	var same *version
	others := false
	for i, v := range versions {
		if v.hash == in.identity() {
			same = &versions[i]
		}
		others = others || v.object != in.object
	}
	if others {
		err := b.sibling(k, in.identity(), in.object)
		for _, v := range versions {
			if err == nil {
				err = b.sibling(k, v.hash, v.object)
			}
		}
		if err != nil {
			return fmt.Errorf("write siblings: %w", err)
		}
	}
	if same == nil {
		if _, err := b.enter(in, in.identity()); err != nil {
			return err
		}
	} else if moved, err := b.renew(in, *same); err != nil {
		return err
	} else if !moved && !others {
		return nil // nothing that the choice goes by
	}
	return b.settle(k)
}

func (b *batch) sibling(k sopKey, hash, object string) error {
	return b.exec(`INSERT INTO siblings (tenant, sop_instance_uid, dataset_sha256, object_id) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, k.tenant, k.uid, hash, object)
}

// settle chooses the version that readers see, and whether a person is waited for.
func (b *batch) settle(k sopKey) error {
	versions, err := b.versions(k)
	if err != nil || len(versions) == 0 {
		return err
	}
	hashes := make(map[string]string) // object id → data set
	err = b.each(func(scan scanner) error {
		var object, hash string
		err := scan(&object, &hash)
		hashes[object] = hash
		return err
	}, "SELECT object_id, dataset_sha256 FROM siblings WHERE tenant = $1 AND sop_instance_uid = $2", k.tenant, k.uid)
	if err != nil {
		return err
	}
	var decisions []decision
	err = b.each(func(scan scanner) error {
		d := decision{about: aboutConflict}
		err := scan(&d.object, &d.eventID, &d.action, &d.decided)
		decisions = append(decisions, d)
		return err
	}, `SELECT object_id, event_id, action, decided FROM decisions WHERE about = 'conflict' AND object_id IN
		(SELECT object_id FROM siblings WHERE tenant = $1 AND sop_instance_uid = $2)`, k.tenant, k.uid)
	if err != nil {
		return err
	}

	winner := choose(versions, hashes, decisions)
	if winner.superseded != "" {
		for _, v := range versions {
			if v.superseded == "" {
				if err := b.demote(v); err != nil {
					return err
				}
			}
		}
		if err := b.promote(k, winner); err != nil {
			return err
		}
	}

	err = b.exec("DELETE FROM conflicts WHERE tenant = $1 AND sop_instance_uid = $2", k.tenant, k.uid)
	if err != nil || !undecided(versions, hashes, decisions) {
		return err
	}
	newest := versions[0].received
	for _, v := range versions {
		newest = max(newest, v.received)
	}
	return b.exec("INSERT INTO conflicts (tenant, sop_instance_uid, received) VALUES ($1, $2, $3)", k.tenant, k.uid, newest)
}

// demote takes a version out of its series.
func (b *batch) demote(v version) error {
	if v.superseded != "" {
		return nil
	}
	b.dirtySeries[v.series] = true
	err := b.exec("UPDATE instances SET superseded = $1, series_id = 0 WHERE id = $2", v.hash, v.id)
	if err != nil {
		return fmt.Errorf("supersede instance: %w", err)
	}
	return nil
}

// promote puts a version into the series that its attributes name.
func (b *batch) promote(k sopKey, v version) error {
	all, err := b.attributesOf(v.id)
	if err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	in := &instance{
		tenant: k.tenant, study: find(all, "StudyInstanceUID"), series: find(all, "SeriesInstanceUID"), sop: k.uid,
		place: v.place, sopClass: find(all, "SOPClassUID"), patient: patientHash(all), all: all,
	}
	in.datasetSHA256, in.syntax, _ = strings.Cut(v.hash, " ")
	series, err := b.join(in, v.id)
	if err != nil {
		return err
	}
	err = b.exec("UPDATE instances SET superseded = '', series_id = $1 WHERE id = $2", series.id, v.id)
	if err != nil {
		return fmt.Errorf("make instance current: %w", err)
	}
	return nil
}

// decide keeps a person's decision and lets it take effect. It may come before what it is about.
func (b *batch) decide(d *decision) error {
	err := b.exec(`INSERT INTO decisions (object_id, event_id, about, action, decided) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, d.object, d.eventID, d.about, d.action, d.decided)
	if err != nil {
		return fmt.Errorf("write decision: %w", err)
	}
	if d.about == aboutQuarantine {
		if d.action == "removed" || d.action == "retried" {
			return b.exec("DELETE FROM quarantine WHERE object_id = $1", d.object)
		}
		return nil
	}
	var keys []sopKey
	err = b.each(func(scan scanner) error {
		var k sopKey
		err := scan(&k.tenant, &k.uid)
		keys = append(keys, k)
		return err
	}, "SELECT DISTINCT tenant, sop_instance_uid FROM siblings WHERE object_id = $1", d.object)
	if err != nil {
		return fmt.Errorf("read siblings: %w", err)
	}
	for _, k := range keys {
		if err := b.settle(k); err != nil {
			return err
		}
	}
	return nil
}

// quarantine lists an object, unless a decision took it out already.
func (b *batch) quarantine(q *quarantined) error {
	resolved := false
	err := b.each(func(scan scanner) error {
		var action string
		err := scan(&action)
		resolved = resolved || action == "removed" || action == "retried"
		return err
	}, "SELECT action FROM decisions WHERE about = 'quarantine' AND object_id = $1", q.object)
	if err != nil || resolved {
		return err
	}
	err = b.exec(`INSERT INTO quarantine (tenant, object_id, event_id, received, sha256, door, device, entry, parser_version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (tenant, object_id) DO UPDATE SET event_id = excluded.event_id, received = excluded.received, sha256 = excluded.sha256,
			door = excluded.door, device = excluded.device, entry = excluded.entry, parser_version = excluded.parser_version
		WHERE excluded.parser_version > quarantine.parser_version
			OR excluded.parser_version = quarantine.parser_version AND excluded.event_id < quarantine.event_id`,
		q.tenant, q.object, q.eventID, q.received, q.sha256, q.door, q.device, q.entry, q.version)
	if err != nil {
		return fmt.Errorf("write quarantine: %w", err)
	}
	return nil
}
