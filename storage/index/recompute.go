package index

import "fmt"

// recompute makes dirty series and studies anew from their current instances; those without any go.
func (b *batch) recompute() error {
	if len(b.dirtySeries)+len(b.dirtyStudies) == 0 {
		return b.recomputeAllPatients()
	}
	for id := range b.dirtySeries {
		if err := b.recomputeSeries(id); err != nil {
			return fmt.Errorf("compute series again: %w", err)
		}
	}
	for id := range b.dirtyStudies {
		if err := b.recomputeContent(id); err != nil {
			return fmt.Errorf("compute completeness again: %w", err)
		}
		if err := b.recomputeStudy(id); err != nil {
			return fmt.Errorf("compute study again: %w", err)
		}
		b.dirtyPatients[id] = nil
	}
	// What is remembered of these rows is stale; this is rare, so all of it goes.
	clear(b.studies)
	clear(b.series)
	return b.recomputeAllPatients()
}

func (b *batch) recomputeAllPatients() error {
	for id, row := range b.dirtyPatients {
		if err := b.recomputePatients(id, row); err != nil {
			return fmt.Errorf("count patients of a study again: %w", err)
		}
	}
	return nil
}

func (b *batch) recomputeSeries(id int64) error {
	s := seriesRow{id: id}
	err := b.each(func(scan scanner) error { return scan(&s.study, &s.uid) },
		"SELECT study_id, series_instance_uid FROM series WHERE id = $1", id)
	if err != nil || s.study == 0 {
		return err
	}
	b.dirtyStudies[s.study] = true
	err = b.each(func(scan scanner) error {
		var instance int64
		var at place
		var class string
		err := scan(&instance, &at.received, &at.object, &class)
		if s.instances == 0 || at.before(s.first) {
			s.first, s.firstInstance = at, instance
		}
		s.instances++
		s.classes = s.classes.with(setValue(class))
		return err
	}, "SELECT id, received, object_id, sop_class_uid FROM instances WHERE series_id = $1", id)
	if err != nil {
		return err
	}
	if s.instances == 0 {
		return b.exec("DELETE FROM series WHERE id = $1", id)
	}
	if s.from, err = b.attributesOf(s.firstInstance); err != nil {
		return err
	}
	s.modality = modalityOf(s.from)
	return b.exec(updateSeries, append(s.values(), id)...)
}

func (b *batch) recomputeStudy(id int64) error {
	s := studyRow{id: id}
	err := b.each(func(scan scanner) error { return scan(&s.tenant, &s.uid) },
		"SELECT tenant, study_instance_uid FROM studies WHERE id = $1", id)
	if err != nil || s.uid == "" {
		return err
	}
	err = b.each(func(scan scanner) error {
		var at place
		var instance int64
		var modality *string
		var classes string
		if err := scan(&at.received, &at.object, &instance, &modality, &classes); err != nil {
			return err
		}
		if s.firstInstance == 0 || at.before(s.first) {
			s.first, s.firstInstance = at, instance
		}
		if modality != nil {
			s.modalities = s.modalities.with(*modality).bounded()
		}
		for _, c := range parseSet(classes) {
			s.classes = s.classes.with(c)
		}
		return nil
	}, "SELECT first_received, first_object, first_instance, modality, sop_classes FROM series WHERE study_id = $1", id)
	if err != nil {
		return err
	}
	if s.firstInstance == 0 {
		return b.exec("DELETE FROM studies WHERE id = $1", id)
	}
	if s.from, err = b.attributesOf(s.firstInstance); err != nil {
		return err
	}
	return b.exec(updateStudy, append(s.values(), id)...)
}

// attributesOf reads all attributes of an instance.
func (b *batch) attributesOf(instance int64) ([]pair, error) {
	var packed []byte
	err := b.each(func(scan scanner) error { return scan(&packed) },
		"SELECT attributes FROM documents WHERE instance_id = $1", instance)
	if err != nil {
		return nil, err
	}
	m := make(map[string]string)
	if err := unpackInto(m, packed); err != nil {
		return nil, err
	}
	return pairs(m), nil
}
