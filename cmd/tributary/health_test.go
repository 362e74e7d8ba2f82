package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	n := start(t, t.TempDir())
	n.studies(t) // it is up
	addr := n.httpListener.Addr().String()
	_, port, _ := strings.Cut(addr, ":")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"all roles":      {[]string{"--http", addr}, exitOK, "ready"},
		"listens at all": {[]string{"--http", "0.0.0.0:" + port, "--role", "intake"}, exitOK, "ready"},
		"JSON":           {[]string{"--http", addr, "--json", "--role", "index"}, exitOK, `"index": "ok"`},
		"as an address":  {[]string{"--http", "http://" + addr + "/"}, exitOK, "ready"},
		"a role of none": {[]string{"--http", addr, "--role", "cook"}, exitFailed, "does not have the role cook"},
		"nobody there":   {[]string{"--http", "127.0.0.1:1"}, exitFailed, "is the node running?"},
		"no address":     {[]string{"--http", "here"}, exitUsage, "--http"},
		"nobody in time": {[]string{"--http", addr, "--timeout", "1ns"}, exitFailed, "no answer"},
	} {
		t.Run(name, func(t *testing.T) { health(t, c.args, c.code, c.says) })
	}
	if err := n.index.Close(); err != nil {
		t.Fatal(err)
	}
	health(t, []string{"--http", addr}, exitFailed, "index: ")
	health(t, []string{"--http", addr, "--role", "intake"}, exitOK, "ready")
}

func health(t *testing.T, args []string, code int, says string) {
	t.Helper()
	var out bytes.Buffer
	got := run(append([]string{"health"}, args...), streams{&out, &out})
	if got != code || !strings.Contains(out.String(), says) {
		t.Errorf("exit %d and %q, want %d and %q", got, out.String(), code, says)
	}
}
