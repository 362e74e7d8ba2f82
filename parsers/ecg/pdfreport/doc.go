// Package pdfreport finds in a PDF report of an ECG what its text says by label: who, when, and the reading. A PDF is
// stored and shown; it is never turned into samples, so its Recording has no groups (ecg.WarnNoWaveform).
//
// A field is filled in where a label that we know stands before a colon ("姓名：", "Patient ID:"), in English or
// Chinese (package label), and one value for it. Two different values for one label, as on a page with two patients,
// leave it empty. Nothing is taken from its place on the page alone.
//
// The extractor (ISO 32000-1) is small and made for files that mean harm: it reads objects in the order of the bytes
// instead of following cross-references, so that no table can send it in circles; object streams count as objects.
// Filters are FlateDecode, ASCIIHexDecode and ASCII85Decode, without predictors, each within a budget of output.
// Fonts give text by ToUnicode, by encodings with names of Chinese character sets (GBK-EUC-H, UniGB-UCS2-H and their
// like), by names of glyphs, or as Windows-1252 and GBK. Encrypted files, and files beyond the limits, keep their
// text to themselves (ecg.WarnUnsupportedPart). Why it is no library: docs/decisions/0014.
package pdfreport
