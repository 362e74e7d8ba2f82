// Package completeness announces studies that have come in whole: the stage behind org.tributary.study.complete.v1
// and …study.updated.v1.
//
// A study is complete when none of its objects has come for a while (Periods, by modality), or when somebody who
// knows said so (event.StudySent). Objects that come later make it incomplete, which is told once, and complete
// again with the next revision.
//
// What the stage knows lies in the index, where every node finds it and a rebuild makes it again: what a study has
// in it, and when its newest record was made, follows from the topic of instances; what was announced, from the
// topic of studies, which the stage applies to the index itself. So an old log that is read again announces
// nothing twice. One process works at a time, by a lease; another takes over when it is gone.
//
// An announcement goes three steps. It is decided, in one transaction that gives each revision one content, once
// the index has caught up with the log. It is appended. And it is forgotten when the stage meets it in the log.
// A crash between any two repeats the second step at most, after a look whether the log has the record, and a
// record that is appended again has the same id.
package completeness
