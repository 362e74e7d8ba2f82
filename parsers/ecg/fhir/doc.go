// Package fhir reads waveforms in HL7 FHIR: an Observation with SampledData in its value or components, as JSON or
// XML, alone or in a Bundle that has one such Observation, with the Patient and Device beside it.
//
// SampledData (FHIR R5 §2.1.28.0.5): value = origin + datum·factor, literally. period is ms between samples up to R4,
// interval with intervalUnit since R5. data are decimals between spaces; E is no sample, L and U are below and above
// what could be measured, and all three are missing samples here. HL7's own example has data around its origin, which
// gives values outside its own limits: it is read by the rule, and ecg.WarnScaleSuspicious says so. A unit that is
// not stated stays unknown.
//
// Leads have codes of ISO/IEEE 11073-10101, 131329 for I, which is the potential of lead 131073. Other resources are
// reject.NotParsed: kept, and not read.
package fhir
