// Package faultproxy stands between a client and one engine and breaks what passes, as a test tells it to.
//
// Proxy works on TCP, for any protocol: latency, bandwidth, resets, refused connections, partitions, half-open
// connections, and answers that are lost after the engine has done what it was asked. HTTP is a reverse proxy for
// engines that speak HTTP: it knows requests, so it can answer some of them with an error and lose the answers
// of others. One may stand in front of the other.
//
// What is random follows from a seed and from the order of requests or connections. Close ends every connection
// and goroutine.
package faultproxy
