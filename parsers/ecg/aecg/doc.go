// Package aecg reads HL7 annotated ECG ("AnnotatedECG", HL7 aECG Implementation Guide of 2005, schema
// PORT_MT020001) and the dialects that carts and gateways make of it.
//
// A series is a recording, a derivedSeries a representative beat. Each sequenceSet in them is a group: one
// sequence of time, GLIST_TS (TIME_ABSOLUTE) or GLIST_PQ (TIME_RELATIVE) with head and increment, and a
// sequence for each lead, SLIST_PQ, where a sample is origin + digit·scale. Leads are MDC_ECG_LEAD_II of
// ISO/IEEE 11073-10102, in any case, or NOM_ECG_LEAD_II (Dräger MegaCare). Annotation sets nest: a beat holds
// waves and measurements; who made a set, a device or a person, is its author.
//
// What files do, and what becomes of it (docs/decisions/0014):
//
//   - no namespace, no XML declaration, comments first, single quotes: package xmltext does not mind
//   - increment "2 s" that means 2 ms: a rate that no ECG has is repaired where one reading of the unit
//     gives 50 to 4000 Hz (ecg.WarnRateRepaired), and refused otherwise
//   - dates with dashes and T; times with and without zone
//   - effectiveTime as low, high or center; a series whose low and high are the same moment, that of export:
//     the time of the samples themselves goes first, then a series' real interval, then the document's time
//   - elements of no schema: Mindray's PatientID, Age, Paced, SerialNumber and MINDRAY_ codes with values in
//     components of components; readings in analysis/gread (Chinese networks)
//   - digits that are empty between commas (missing samples), or have fractions
//   - a measurement 0 ms of what was not measured (ecg.Measurement.Valid is false)
package aecg
