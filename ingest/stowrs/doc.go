// Package stowrs is the door for STOW-RS (PS3.18 §10.5): POST /studies and /studies/{study} with
// multipart/related bodies of DICOM files, or one DICOM file as the body. It reads part after part
// straight into admission and answers with what became of each instance. It never fetches anything that
// a request names: no Content-Location, no BulkDataURI.
package stowrs
