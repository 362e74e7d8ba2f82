// Package wfdb reads records of the WaveForm DataBase (PhysioNet): a header in text (.hea), signal files beside it,
// and annotations (.atr). Specifications: header(5), signal(5) and annot(5) of the WFDB Applications Guide.
//
// All sample formats are read: 8 (differences), 16, 24, 32, 61, 80, 160, 212, 310, 311, and 508, 516, 524, which
// are FLAC. Samples stream. Signals of different numbers of samples a frame are in different groups, and so are
// signals that are no ECG. A value is (count − baseline)/gain; the least count of a format is missing. Skew is
// applied as rdsamp does it: the record gets shorter by the largest. Segments of a multi-segment record are one
// time line with missing samples where a segment has no such signal, in fixed layout by place and in variable
// layout by name; where gains differ between segments, counts are brought to a common step.
//
// Every file that a header names must have come with it (ecg.Source.Parts). Names count by their last element,
// and a name that leads out of the record's folder refuses the record. Signals whose file did not come are left
// out with a warning.
//
// # Traps of real files
//
// Headers without number of samples; record names other than the file's; gain absent or 0 (200 a mV); several
// headers over one signal file; MATLAB files (format 16 behind 24 bytes); FLAC that unfolds to a thousand
// samples a byte. The 16-bit checksums are compared, up to some million samples.
// See docs/decisions/0015-wfdb.md for FLAC and for bounds.
package wfdb
