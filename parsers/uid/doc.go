// Package uid knows DICOM's unique identifiers: their form (PS3.5 §9), the transfer syntaxes and SOP
// classes of the standard (PS3.6 Annex A), and how a UID is derived from a hash (PS3.5 §B.2).
package uid
