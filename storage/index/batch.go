package index

import (
	"fmt"
	"slices"
)

// batch is one transaction of a writer. Study and series rows are gathered in memory and written
// once; what cannot be kept up by adding (an instance leaves a series) is computed again from the
// instances at the end.
type batch struct {
	session
	memory
	dialect dialect
	taken   map[sopKey]bool           // SOP Instance UIDs that have a row
	newest  map[objectKey]originalRow // originals that have a row

	dirtySeries, dirtyStudies map[int64]bool      // to be computed again
	dirtyPatients             map[int64]*studyRow // whose patients are to be counted again; nil where no row is known

	touchedStudies []*studyRow
	touchedSeries  []*seriesRow

	// What prefetch looked for: rows that are not in memory do not exist.
	soughtStudies map[studyKey]bool
	soughtSeries  map[int64]bool // by study

	soughtCompleteness map[studyKey]bool // by prefetchCompleteness
}

// delicate tells changes whose effect reaches further than their own studies: decisions, and instances that
// others exist of.
func (b *batch) delicate(changes []*change) bool {
	seen := make(map[sopKey]bool, len(changes))
	for _, c := range changes {
		if c.decision != nil {
			return true
		}
		if c.instance == nil {
			continue
		}
		k := sopKey{c.instance.tenant, c.instance.sop}
		if b.taken[k] || seen[k] {
			return true
		}
		seen[k] = true
	}
	return false
}

// prefetch reads the studies of the changes and their series, in a few statements for all of them.
func (b *batch) prefetch(changes []*change) error {
	b.soughtStudies, b.soughtSeries = map[studyKey]bool{}, map[int64]bool{}
	byTenant := make(map[string][]any)
	for _, c := range changes {
		if c.instance == nil {
			continue
		}
		if k := (studyKey{c.instance.tenant, c.instance.study}); !b.soughtStudies[k] {
			b.soughtStudies[k] = true
			byTenant[k.tenant] = append(byTenant[k.tenant], k.uid)
		}
	}
	var ids []any
	for tenant, uids := range byTenant {
		err := b.eachOf(func(scan scanner) error {
			s := &studyRow{}
			s.tenant = tenant
			if err := s.scan(scan); err != nil {
				return err
			}
			b.studies[s.studyKey] = s
			b.soughtSeries[s.id] = true
			ids = append(ids, s.id)
			return nil
		}, readStudy+"WHERE tenant = $1 AND study_instance_uid", []any{tenant}, uids)
		if err != nil {
			return fmt.Errorf("read studies: %w", err)
		}
	}
	err := b.eachOf(func(scan scanner) error {
		s := &seriesRow{}
		if err := s.scan(scan); err != nil {
			return err
		}
		b.series[s.seriesKey] = s
		return nil
	}, readSeries+"WHERE study_id", nil, ids)
	if err != nil {
		return fmt.Errorf("read series: %w", err)
	}
	return nil
}

func (b *batch) apply(c *change) error {
	switch {
	case c.instance != nil:
		k := sopKey{c.instance.tenant, c.instance.sop}
		if b.taken[k] {
			return b.collide(c.instance)
		}
		b.taken[k] = true
		id, err := b.enter(c.instance, "")
		if err != nil {
			return err
		}
		_, err = b.join(c.instance, id)
		return err
	case c.original != nil:
		return b.keepOriginal(c.original)
	case c.quarantined != nil:
		return b.quarantine(c.quarantined)
	case c.decision != nil:
		return b.decide(c.decision)
	}
	return nil
}

// enter writes the rows of an instance. With superseded set it belongs to no series.
func (b *batch) enter(in *instance, superseded string) (id int64, err error) {
	series := int64(0)
	if superseded == "" {
		_, row, err := b.rowsOf(in)
		if err != nil {
			return 0, err
		}
		series = row.id
	}
	if id, err = b.newID(instancesTable); err != nil {
		return 0, err
	}
	if err := b.insert(instancesTable, append(in.values(superseded, series), id)); err != nil {
		return 0, fmt.Errorf("insert instance: %w", err)
	}
	if err := b.insert(documentsTable, append(in.documents(), id)); err != nil {
		return 0, fmt.Errorf("insert documents: %w", err)
	}
	return id, b.insertRecording(in.recording, id)
}

// join adds a current instance to its series and study.
func (b *batch) join(in *instance, id int64) (*seriesRow, error) {
	study, series, err := b.rowsOf(in)
	if err != nil {
		return nil, err
	}
	if !series.counted && !series.fresh && series.from == nil {
		b.touchedSeries = append(b.touchedSeries, series)
	}
	series.instances++
	series.counted = true
	series.classes = series.classes.with(setValue(in.sopClass))
	if series.instances == 1 || in.before(series.first) {
		modality := modalityOf(in.all)
		if modality != series.modality && series.modality != "" {
			b.dirtyStudies[study.id] = true // another series may have the old one, or none
		}
		series.first, series.firstInstance, series.modality, series.from = in.place, id, modality, in.all
	}

	modalities, classes := study.modalities.with(series.modality).bounded(), study.classes.with(setValue(in.sopClass))
	first := study.firstInstance == 0 || in.before(study.first)
	changed := !slices.Equal(modalities, study.modalities) || len(classes) != len(study.classes)
	if (first || changed) && !study.fresh && study.from == nil && !study.sets {
		b.touchedStudies = append(b.touchedStudies, study)
	}
	if changed {
		study.modalities, study.classes, study.sets = modalities, classes, true
	}
	if first {
		study.first, study.firstInstance, study.from = in.place, id, in.all
	}
	if err := b.addContent(study.studyKey, in); err != nil {
		return nil, err
	}
	if study.patients == 0 {
		study.patient, study.patients = in.patient, 1
	} else if study.patients > 1 || study.patient != in.patient {
		b.dirtyPatients[study.id] = study
	}
	return series, nil
}

// setValue makes v fit into a set.
func setValue(v string) string {
	for i := range len(v) {
		if v[i] == '\\' || v[i] == separator[0] {
			return v[:i]
		}
	}
	return v
}

// rowsOf returns the study and series of an instance, remembered, read or new.
func (b *batch) rowsOf(in *instance) (*studyRow, *seriesRow, error) {
	study, err := b.studyOf(studyKey{in.tenant, in.study})
	if err != nil {
		return nil, nil, err
	}
	series, err := b.seriesOf(seriesKey{study.id, in.series}, study.fresh)
	return study, series, err
}

func (b *batch) studyOf(k studyKey) (*studyRow, error) {
	if s, ok := b.studies[k]; ok {
		return s, nil
	}
	s := &studyRow{studyKey: k}
	if !b.soughtStudies[k] {
		err := b.each(s.scan, readStudy+"WHERE tenant = $1 AND study_instance_uid = $2", k.tenant, k.uid)
		if err != nil {
			return nil, fmt.Errorf("read study: %w", err)
		}
	}
	if s.id == 0 {
		var err error
		if s.id, err = b.newID(studiesTable); err != nil {
			return nil, err
		}
		s.fresh = true
		b.touchedStudies = append(b.touchedStudies, s)
	}
	b.studies[k] = s
	return s, nil
}

func (b *batch) seriesOf(k seriesKey, freshStudy bool) (*seriesRow, error) {
	if s, ok := b.series[k]; ok {
		return s, nil
	}
	s := &seriesRow{seriesKey: k}
	if !freshStudy && !b.soughtSeries[k.study] {
		err := b.each(s.scan, readSeries+"WHERE study_id = $1 AND series_instance_uid = $2", k.study, k.uid)
		if err != nil {
			return nil, fmt.Errorf("read series: %w", err)
		}
	}
	if s.id == 0 {
		var err error
		if s.id, err = b.newID(seriesTable); err != nil {
			return nil, err
		}
		s.fresh = true
		b.touchedSeries = append(b.touchedSeries, s)
	}
	b.series[k] = s
	return s, nil
}

// flush writes the gathered rows, and computes dirty ones again.
func (b *batch) flush() error {
	for _, s := range b.touchedStudies {
		var err error
		switch {
		case s.fresh:
			err = b.insert(studiesTable, append(s.values(), s.patient, s.patients, int64(0), s.id))
		case s.from != nil:
			err = b.exec(updateStudy, append(s.values(), s.id)...)
		default:
			err = b.exec("UPDATE studies SET modalities = $1, sop_classes = $2 WHERE id = $3",
				s.modalities.String(), s.classes.String(), s.id)
		}
		if err != nil {
			return fmt.Errorf("write study: %w", err)
		}
		s.fresh, s.from, s.sets = false, nil, false
	}
	for _, s := range b.touchedSeries {
		var err error
		switch {
		case s.fresh:
			err = b.insert(seriesTable, append(s.values(), s.id))
		case s.from != nil:
			err = b.exec(updateSeries, append(s.values(), s.id)...)
		default:
			err = b.exec("UPDATE series SET instances = $1, sop_classes = $2 WHERE id = $3",
				s.instances, s.classes.String(), s.id)
		}
		if err != nil {
			return fmt.Errorf("write series: %w", err)
		}
		s.fresh, s.from, s.counted = false, nil, false
	}
	b.touchedStudies, b.touchedSeries = nil, nil
	return b.recompute()
}
