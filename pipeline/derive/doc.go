// Package derive is the stage that makes a DICOM object of each recording that came in another format: a
// waveform object of an ECG, an Encapsulated PDF of a report. The object goes the way of every arrival; the
// original stays as it came. UIDs follow from the original's hash, so that a repetition makes the same object.
package derive
