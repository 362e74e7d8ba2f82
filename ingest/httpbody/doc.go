// Package httpbody reads what HTTP doors receive: multipart bodies as a stream (RFC 2046 §5.1), bodies
// that are too slow or too long (Guard), and the headers that say what a body is. It holds nothing of a
// body but one bounded buffer.
package httpbody
