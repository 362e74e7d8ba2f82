// Package bulkimport is the folder door: a Watcher takes what people, SFTP servers and other programs put into
// a folder, and Walk finds the files of folders, archives and media for an import.
//
// A file is taken when it is whole: when it got its name by a rename from one that uploaders use while they
// write, or when nothing about it changed for a while. It leaves its place only after its receipt is durable, so
// a crash at any time means that it is sent again and recognised as a duplicate. Names and paths are hints for
// people: nothing is ever stored under one. Links and special files are never opened.
package bulkimport
