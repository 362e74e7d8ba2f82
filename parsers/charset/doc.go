// Package charset decodes DICOM text to UTF-8: Specific Character Set (0008,0005), with and without code
// extensions (PS3.3 §C.12.1.1.2, PS3.5 §6.1), and text whose bytes contradict what it declares.
package charset
