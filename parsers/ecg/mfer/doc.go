// Package mfer reads MFER, the medical waveform format of ISO 22077 (ISO/TS 11073-92001): carts and monitors of
// Japanese makers.
//
// A file is a chain of tag, length and value. Lengths are BER: a byte below 80H, or 80H+n and n bytes, highest
// first; attributes of a channel (3FH with the channel's number, seven bits a byte) may also end with 00 00. The
// byte order of values is that of tag 01, big unless it says otherwise. Sampling interval and sensitivity are a
// unit, a power of ten and a mantissa. Samples are stored in sequences, in each a block of every channel, and
// stream from the file; channels of different rates or block lengths are in different groups. Waveform data that
// follow others without a new definition continue them; behind a new definition they are groups of their own.
//
// What a file does not define has the standard's defaults: 1000 Hz, 1 µV, one channel, blocks of one sample of 16
// bits. A value is (count − offset)·sensitivity; the NULL value is a missing sample. Floating-point samples
// become counts of a tenth of a µV, or a thousandth of their unit. Compressed data (tag 0EH, and type 9, AHA) are
// refused as not parsed: no public file has them.
//
// # Traps of real files
//
// The character set changes within a file (a name in UTF-16 between two that are ASCII). Pressures at one rate lie
// beside ECG at another. Preambles are absent, or have MFR or MFER. Attributes come in any order. No end mark
// follows.
package mfer
