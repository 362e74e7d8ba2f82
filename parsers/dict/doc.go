// Package dict is DICOM's data dictionary (PS3.6): VRs and keywords by tag, tags by keyword.
//
// A tag is written 0xGGGGEEEE. The table is generated from the standard's list of attributes; see gen.
package dict
