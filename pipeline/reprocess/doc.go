// Package reprocess reads kept objects again with the parsers of this release, and appends records that bring index
// and consumers up to date (docs/decisions/0022). Bytes are never touched. It is a job, not a stage: somebody asks for
// it, it goes over what the index shows, slowly enough for live intake, and remembers how far it came.
//
// What is written counts by the version of the parsers alone (event.Instance.ParserVersion), so it does not matter
// when a record comes, how often, or what else happens to the object meanwhile.
package reprocess
