// Package ishne reads ISHNE Holter recordings (Badilini 1998, "The ISHNE Holter Standard Output File Format") and
// the annotation files that belong to them (.ann, "ANN  1.0").
//
// A file is a magic text, a CRC, a fixed header of 512 bytes, a block of free text, and samples of 16 bits,
// little-endian, one of each lead in turn. They stream from the file. A lead's resolution is in nV a count; the
// CRC (CCITT, from FFFF) covers both header blocks. A count of −32768 is missing.
//
// The annotation file has the same header, then the number of samples before the first annotation (32 bits), and
// for each beat two letters and the distance to the one before in samples (16 bits): N normal, V ventricular, S
// supraventricular, P paced, B bundle branch block, C calibration, X artefact, U not classified, and "!" for a
// distance without a beat.
//
// # Traps of real files
//
// The number of samples in the header is too large, too small, or that of all leads together: the bytes count.
// The last frame may be cut; dates of −9 are none; the CRC is 0 or wrong in many; unused leads are −9. The offset
// of the samples may be absent. Names are in whatever character set the recorder has.
package ishne
