//go:build !unix

package locallog_test

func cpuTime() int64 { return 0 }
