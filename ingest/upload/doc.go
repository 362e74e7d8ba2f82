// Package upload holds the doors for plain HTTP: New serves POST and PUT /upload (one file of any format
// as the body, or a form with several), NewTus serves resumable uploads by the tus 1.0 protocol. Both
// hand what they receive to admission and answer with receipts; tus spools on the local disk until a
// file is whole.
package upload
