// Package edfplus writes a group of a recording as EDF+C (European Data Format plus, edfplus.info): 16-bit
// samples in data records, and an annotation signal with the readings, the marks and the gaps.
//
// Samples keep their counts. Physical and digital extremes, which are eight characters each, are chosen so
// that the step between counts is exact; where no choice is, the nearest is taken and a warning says so. EDF
// has no missing samples: they are written as the digital minimum and marked "No signal". The header is ASCII,
// so a name in hanzi goes into the first annotation, which is UTF-8.
//
// The length of a data record is chosen so that the last one is full, if that can be. The same recording gives
// the same bytes; samples are read twice and stream.
package edfplus
