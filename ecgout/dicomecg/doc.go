// Package dicomecg writes a recording as a DICOM waveform object (PS3.3 §A.34, §C.10.9), and a report as an
// Encapsulated PDF.
//
// The SOP Class follows from leads, rates, length and groups: 12-Lead ECG for the twelve leads alone, General
// ECG for rhythm beside median beat and for other leads, Ambulatory ECG for recordings of hours and for rates
// below 200 Hz, General 32-bit ECG for counts beyond 16 bits and rates that no other class allows.
//
// Counts are written as they are stored, with their step exact in Channel Sensitivity and, where one decimal
// string is too short, its Correction Factor. What cannot be said exactly is a Warning of the Plan, never a
// silent change. Missing samples, and those outside a lead's own extent, are Waveform Padding Value, with the
// gaps marked by an annotation. Limb leads that follow from stored ones are written, because readers expect
// twelve, and each says so: a Channel Source Modifier and Channel Derivation Description.
//
// The same recording with the same options gives the same bytes: dates are the recording's, UIDs derive from
// tenant and source hash (ecg.Identity). Samples stream from source to writer in blocks; what stays in
// memory is the header.
package dicomecg
