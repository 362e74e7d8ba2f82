// Package web is the node's own pages: search, a study, pictures and loops, ECGs, and the desk of operators.
//
// Pages are made on the server by html/template and read the same index values as every other reader; pictures and
// waveforms come from the DICOMweb paths of the same node. Search, study and the desk work without scripts. Scripts
// and styles are small, written in src, bundled by esbuild into assets, and embedded; nothing comes from elsewhere.
// docs/pages.md tells how it is used and how it is built.
//
// Each part has files of its own: the frame and the search and study pages (this file's neighbours), operators*.go,
// cine*.go and ecg*.go, with templates, sources and a text catalogue of the same name.
package web

//go:generate go tool -modfile=../../tools/go.mod esbuild src/frame/frame.ts src/frame/frame.css src/operators/operators.ts src/operators/operators.css src/cine/cine.ts src/cine/cine.css src/ecg/ecg.ts src/ecg/ecg.css --bundle --minify --format=esm --target=es2022 --charset=utf8 --legal-comments=none --log-level=warning --entry-names=[name] --outdir=assets
