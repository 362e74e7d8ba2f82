// Package rebuild makes again what was lost: the index from the log (FromLog), and the log from the blobs
// (FromBlobs). Both go on where a killed run stopped, by what they find: the new index keeps its place in
// the log in each transaction, and the log itself tells which blobs have their event.
package rebuild
