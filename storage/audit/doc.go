// Package audit compares what a node keeps: blobs, events and index rows must tell the same story.
//
// Verify reads all three once, into a scratch file that it sorts and joins there, so that ten million
// objects take the disk some gigabytes and memory nothing. What looks wrong is looked at again before it is
// reported, since a live node goes on meanwhile. Repair does what is safe and says what is left to people.
package audit
