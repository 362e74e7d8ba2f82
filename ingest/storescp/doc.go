// Package storescp is the DIMSE door: the Storage and Verification service classes as SCP (PS3.4 Annex A
// and Annex B). It turns each C-STORE into an Arrival (a DICOM file made by putting a File Meta group
// before the data set, whose own bytes never change) and the outcome into a Status.
package storescp
