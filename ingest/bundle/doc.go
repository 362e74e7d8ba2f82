// Package bundle makes one object of a recording that consists of several files: a WFDB header with its signal
// files, segments and annotations, or an ISHNE recording with its annotations. The object is an uncompressed
// tar of a fixed form, so that the same files are the same object whoever sends them and whenever, and the
// bytes of each file can be cut out of it as they came. The recording's main file is the first entry.
package bundle
