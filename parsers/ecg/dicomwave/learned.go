package dicomwave

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// A device writes the same twelve channel definitions into every recording, and every recording that arrives is
// described. So what definitions mean is remembered: at most 512 of at most 4 KiB.
const (
	maxLearned    = 512
	maxDefinition = 4 << 10
)

var (
	learnedLeads [maxLearned]atomic.Pointer[learned]
	learnedSeed  = maphash.MakeSeed()
)

// learned is a channel definition that was read before.
type learned struct {
	definition string // DICOM JSON
	layout     layout
	lead       ecg.Lead
	warnings   []ecg.WarningCode
}

// define reads a channel definition, or remembers it. What depends on the channel's place or the group's rate is
// read each time.
func (d *decoder) define(definition []byte, layout layout, rate ecg.Rat, where string, n int) ecg.Lead {
	slot := &learnedLeads[maphash.Bytes(learnedSeed, definition)%maxLearned]
	if l := slot.Load(); l != nil && l.definition == string(definition) && l.layout == layout {
		for _, code := range l.warnings {
			d.rec.Warn(code, where)
		}
		return l.lead
	}
	def, err := parse(definition)
	if err != nil {
		def = dataset{} // as a channel without a definition
	}
	l := learned{layout: layout}
	l.lead = readLead(def, layout, rate, n, func(code ecg.WarningCode) {
		l.warnings = append(l.warnings, code)
		d.rec.Warn(code, where)
	})
	ofRate := !l.lead.Skew.IsZero() && def.get("003A0215").value != nil // a skew in samples
	if len(definition) <= maxDefinition && l.lead.Code != "" && !ofRate {
		l.definition = string(definition)
		slot.Store(&l)
	}
	return l.lead
}
