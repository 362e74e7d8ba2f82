// Package xmltext reads the XML of ECG devices: token by token, in bounded memory, in whatever encoding the
// bytes are really in.
//
// It is not a validating parser and reads what devices write: UTF-16 with and without byte order mark, UTF-8
// under a declaration of UTF-16, GBK and GB18030 under UTF-8 or under nothing, Latin-1, control characters in
// comments, no declaration at all. It knows the five entities of XML and character references, and nothing
// that a document could define: a document type with entities, or one at a URL, is refused, others are
// skipped; nothing is ever fetched. Namespaces are not resolved: names come without prefix, since devices
// leave namespaces out, misspell them, and never use two.
package xmltext
