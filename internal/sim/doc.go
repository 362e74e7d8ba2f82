// Package sim is a world in which Tributary runs against engines that fail on demand, and a checker of what it
// promises whatever they do.
//
// A World has one to three nodes, each the real ingest.Intake and the real index stage over the real index, and
// engines that it can break: blobs are either the real dirblob on a disk that forgets what was not synced
// (storage/blob/simfs) or a model of S3; the log is a model with the latitude that eventlog.Log allows; the index is
// the real one, behind a door that can lose its answers and its newest transactions. Time is testing/synctest's, and
// one goroutine runs at a time: at every call to an engine it waits for its turn, which the seed decides. So a seed
// tells one story, but for what nobody can decide for Go and the system: ids, a part of the pauses of a stage after a
// fault, and the choice among channels that are ready at one moment. TestWorld therefore repeats a world many times.
//
// Verify holds what is left against what senders were told. It knows nothing of the world, so tests of real
// processes can use it too. Lies are engines that break their word on purpose: the tests see to it that Verify
// catches each.
package sim
