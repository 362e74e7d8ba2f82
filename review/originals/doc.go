// Package originals gives out what devices sent that is no DICOM object, byte for byte, and finds ECG recordings by
// what they say: rates and intervals, statements, findings that cannot wait (docs/dicomweb.md, "Recordings").
//
// It asks the index and the blob store, and decodes nothing. What it sends is never shown by a browser: a file of a
// device is downloaded, under a name that is safe on every system.
package originals
