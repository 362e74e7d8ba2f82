// Package simfs is a disk in memory that fails on demand. It keeps what a system call returned apart from
// what a sync made durable, as a page cache does, so that a test can cut the power at any call and look
// at what a start-up would find.
//
// The model is harsher than common file systems: a synced file whose folder was not synced may be gone, a
// rename may persist at either end only, writes persist sector by sector in any order, and after a failed
// sync the bytes stay visible but never become durable.
package simfs
