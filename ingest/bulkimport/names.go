package bulkimport

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ownFolder is where a watched folder's answered files go. Names that begin with a dot are never looked at.
const ownFolder = ".tributary"

// writing are endings of names that uploaders use until a file is whole: browsers, rsync, WinSCP, FileZilla, lftp,
// and the scripts of many carts.
var writing = []string{
	".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".download", ".upload", ".uploading", ".writing",
	".incomplete", ".inprogress", ".in-progress", ".lftp-pget-status", ".swp", "~",
}

// isWriting tells a name that is not a file's last one.
func isWriting(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~") {
		return true
	}
	lower := strings.ToLower(name)
	for _, end := range writing {
		if strings.HasSuffix(lower, end) {
			return true
		}
	}
	return false
}

// stem is what files of one recording have in common: the name without the ending of an uploader and without its
// own, case folded.
func stem(name string) string {
	name = strings.TrimPrefix(strings.ToLower(name), ".")
	for _, end := range writing {
		name = strings.TrimSuffix(name, end)
	}
	return strings.TrimSuffix(name, path.Ext(name))
}

// Bounds of what is told of a file's place, bytes.
const (
	maxName = 255
	maxPath = 512
)

// clean makes text that is safe to show, of at most max bytes.
func clean(s string, max int) string {
	var b strings.Builder
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > max {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
