// Package scpecg reads SCP-ECG: EN 1064 from protocol 1.3 to 2.x (ISO 11073-91064) and what is public of
// version 3 (EN 1064:2020, ISO 41064).
//
// A record is a CRC, its size and sections; section 0 points to the others, whatever their order (§5.2, §5.3).
// What is read of each:
//
//	0  pointers, and what a walk through the file finds where they are wrong
//	1  all tags up to 35: patient, devices, institution, date with zone, filters, electrodes
//	2  the default Huffman table, own tables, several of them with switches between them
//	3  leads and their ranges; 4 beats, subtraction zones, protected zones
//	5  reference beat, a Median group
//	6  rhythm: raw or Huffman, first and second differences, bimodal compression, reference beats added back
//	7  global measurements, pacemaker spikes; 10 measurements of each lead
//	8  statements; 11 universal statement codes
//	12 long-term rhythm of version 3, streamed
//
// Sections 9 and 13 to 18 and those of makers are named in a warning. docs/decisions/0011-scp-decoding.md argues
// the choices where the standard is silent or decoders disagree.
//
// # Traps of real files
//
// The text "SCPECG" may be missing; a CRC-valid section 0 stands in for it. Sections lie out of order. A wrong
// CRC is a warning. The lead lengths of section 6 have 16 bits and overflow beyond 32767 raw samples; some
// writers cut the samples then, some store them all. Ranges of section 3 begin at 0 or promise more than is
// stored: the bytes count. Texts lack their NUL and end in stray bytes, and text declared as ASCII is GBK.
// Section 2 may have one table without codes: the samples are raw. A residual without its reference beat lacks
// the QRS complexes, so that such a record is refused and not shown.
package scpecg
