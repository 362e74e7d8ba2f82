// Package bundle finds the one recording that an archive holds: a WFDB record with its files, an ISHNE recording
// with its annotations, or a single file of any ECG format, in ZIP, tar or gzip, or tar in gzip.
//
// Members that are stored as they are (ZIP method 0, tar) are read in place, whatever their size. What is
// compressed is unpacked into memory: MaxUnpacked bytes in all, more is reject.TooLarge; and once a megabyte has
// come out, no more than maxRatio bytes for each that went in. Only what the recording needs is unpacked.
//
// Refused, since no exporter makes them and every attack does: more than MaxEntries entries, archives in archives,
// names that lead out of the archive, links and devices, sparse and encrypted members, sizes or checksums that
// are not those of the bytes, and local headers that contradict the directory. Nothing is ever written, so a name
// can do no harm here; it would where the archive is unpacked next.
package bundle
