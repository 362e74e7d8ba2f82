// Package edf reads EDF (Kemp et al. 1992), EDF+C and EDF+D (Kemp and Olivan 2003), BDF (BioSemi, 24 bits) and
// BDF+.
//
// A file is a header of 256 bytes, 256 more for each signal, and data records that hold a run of samples of each
// signal; signals of different rates are in different groups, and so are signals that are no ECG. Samples stream
// from the file. A value is (count − digital minimum)·(physical range)/(digital range) + physical minimum, kept
// exactly; counts outside the digital range stay what they are.
//
// Signals called "EDF Annotations" hold lists of time-stamped annotations (TALs, EDF+ §2.2). The first of each
// record says when the record starts. In EDF+D records may leave gaps: one of up to an hour becomes missing
// samples on the time line, after a longer one new groups begin, with their StartOffset. Recording.Acquired is the
// start of the first record, with its fraction of a second, and annotations count from there.
//
// # Traps of real files
//
// Dates have two digits of a year, 85 to 99 for the last century (EDF+ §2.1.3.2); a full date in the recording
// field counts when the two agree. A number of records of −1, 0 or other than the file has gives way to the
// bytes. Decimal commas, clocks with colons, words in the reserved field, a header length that is wrong, Latin-1
// µ and GBK where ASCII or UTF-8 belongs are read. A signal without range keeps its counts without unit. Refused
// are record durations that are negative, beyond a day, or 0 with samples, and more signals than limits allow.
package edf
