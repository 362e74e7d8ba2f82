// Package e2e tests the built binary from outside: real processes, real clients, SIGKILL.
package e2e
