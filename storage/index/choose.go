package index

// choose returns the version that the latest "promoted" decision names (by time, then event id), or
// the first received. What was made of one original counts as one version (made).
func choose(versions []version, hashes map[string]string, decisions []decision) version {
	var latest *decision
	for i, d := range decisions {
		if d.action != "promoted" {
			continue
		}
		if latest == nil || d.decided > latest.decided || d.decided == latest.decided && d.eventID > latest.eventID {
			latest = &decisions[i]
		}
	}
	best, at := made(versions)
	first := -1
	var earliest place
	for i, v := range versions {
		if latest != nil && v.hash == hashes[latest.object] {
			return v
		}
		where := v.place
		if v.derived {
			if i != best {
				continue
			}
			where = at
		}
		if first < 0 || where.before(earliest) {
			first, earliest = i, where
		}
	}
	return versions[first]
}

// made returns which of the versions made of an original is the one to show, -1 for none: that of the newest parsers,
// and of several the first received. They are of the same bytes of a device, so that nobody has to decide between
// them; and they stand, all together, at the place of the first of them.
func made(versions []version) (best int, first place) {
	best = -1
	for i, v := range versions {
		if !v.derived {
			continue
		}
		if best < 0 || v.before(first) {
			first = v.place
		}
		if best < 0 || v.derivedVersion > versions[best].derivedVersion ||
			v.derivedVersion == versions[best].derivedVersion && v.before(versions[best].place) {
			best = i
		}
	}
	return best, first
}

// undecided tells whether some version has neither been named by a decision nor was there when one
// was made.
func undecided(versions []version, hashes map[string]string, decisions []decision) bool {
	settled := func(v version) bool {
		for _, d := range decisions {
			if (d.action == "promoted" || d.action == "kept") && (d.decided >= v.received || hashes[d.object] == v.hash) {
				return true
			}
		}
		return false
	}
	things, open := 0, false
	madeOf, madeSettled := false, false
	for _, v := range versions {
		if v.derived {
			madeOf, madeSettled = true, madeSettled || settled(v)
			continue
		}
		things++
		open = open || !settled(v)
	}
	if madeOf {
		things++
		open = open || !madeSettled
	}
	return things > 1 && open
}
