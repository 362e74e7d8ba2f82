// Package sniff tells what a file is from its first bytes, never from its name: ".ecg" is two formats,
// ".dat" three, ".xml" at least ten.
package sniff
