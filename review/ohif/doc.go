// Package ohif serves a published build of the OHIF viewer from a folder, below a mount, beside the DICOMweb that it
// reads. The build is never part of the program: operators bring it (docs/ohif.md).
//
// A build is made for the root of a host. Addresses at the root in its page, scripts and styles are moved below the
// mount while they are sent; all other bytes are served as they lie there, compressed where that helps.
// app-config.js is generated, and a viewer's own addresses (/ohif/viewer?…) answer with index.html.
package ohif
