// Package ohif serves a published build of the OHIF viewer from a folder, below a mount, beside the DICOMweb that it
// reads. The build is never part of the program: operators bring it (docs/ohif.md).
//
// Files are served as they lie there, compressed where that helps. Two are made: index.html is rewritten for the
// mount, and app-config.js is generated. A viewer's own addresses (/ohif/viewer?…) answer with index.html.
package ohif
