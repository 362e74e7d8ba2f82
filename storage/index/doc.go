// Package index is the searchable view of the log: studies, series, instances, quarantine and
// conflicts. It is a pure function of the events applied to it, in any order and with any repetition,
// and can be thrown away and rebuilt.
package index
