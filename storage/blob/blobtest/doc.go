// Package blobtest checks a blob.Store against its contract, sentence by sentence. Every engine runs it.
package blobtest
