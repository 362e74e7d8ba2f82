package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// serveArgs are the arguments of a node on free ports.
func serveArgs(t *testing.T, dir string, more ...string) (address string, args []string) {
	t.Helper()
	address = freeAddress(t)
	return address, append([]string{"serve", "--data", dir, "--http", address, "--dicom", freeAddress(t)}, more...)
}

// TestHelp asks every command that the program names for help.
func TestHelp(t *testing.T) {
	code, out, _ := run(t, "--help")
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	commands := [][]string{{}}
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z-]+)(?: (ls|show|retry|rm|promote|keep|convert|render))?(?: |$)`).FindAllStringSubmatch(out, -1) {
		c := []string{m[1]}
		if m[2] != "" {
			commands = append(commands, []string{m[1]})
			c = append(c, m[2])
		}
		commands = append(commands, c)
	}
	if len(commands) < 6 {
		t.Errorf("only %d commands in:\n%s", len(commands), out)
	}
	for _, c := range commands {
		code, out, stderr := run(t, append(c, "--help")...)
		if code != 0 || !strings.Contains(out, "Usage: tributary") {
			t.Errorf("%v --help: exit %d\n%s%s", c, code, out, stderr)
		}
	}
	if code, out, _ := run(t, "version"); code != 0 || !strings.HasPrefix(out, "tributary ") {
		t.Errorf("version: exit %d, %s", code, out)
	}
}

// TestUsage makes every mistake that a command line can show.
func TestUsage(t *testing.T) {
	empty := t.TempDir()
	none := filepath.Join(empty, "tokens")
	if err := os.WriteFile(none, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(empty, "data")
	for _, c := range []struct {
		says string
		args []string
	}{
		{"unexpected argument", []string{"nonsense"}},
		{"unknown flag", []string{"serve", "--nonsense"}},
		{"--aet", []string{"serve", "--data", data, "--aet", "MUCH TOO LONG A TITLE"}},
		{"--token-file", []string{"serve", "--data", data, "--token-file", none}},
		{"--token-file", []string{"serve", "--data", data, "--http", "0.0.0.0:0"}},
		{"--peer", []string{"serve", "--data", data, "--dicom", "0.0.0.0:0"}},
		{"--pprof", []string{"serve", "--data", data, "--pprof", "0.0.0.0:0"}},
		{"--max-object must be more than 0", []string{"serve", "--data", data, "--max-object=-5"}},
		{"write dir:PATH or s3://", []string{"serve", "--data", data, "--blobs", "ftp://x"}},
		{"a role is one of", []string{"serve", "--data", data, "--roles", "cook"}},
		{"another node must do it", []string{"serve", "--data", data, "--roles", "intake"}},
		{"--to", []string{"send", empty}},
		{"write dicom://", []string{"send", empty, "--to", "nowhere"}},
		{"http", []string{"send", empty, "--to", "dicom://A@127.0.0.1:1", "--via", "tus"}},
		{"no files", []string{"send", t.TempDir(), "--to", "http://127.0.0.1:1"}},
		{"name entries", []string{"quarantine", "rm"}},
	} {
		code, _, stderr := run(t, c.args...)
		if code != 2 || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit %d, want 2 and %q:\n%s", c.args, code, c.says, stderr)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("a wrong command line made a data folder")
	}
}

// TestSecondNode refuses to share a data folder or an address.
func TestSecondNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := testnode.Start(t, dir)
	_, args := serveArgs(t, dir)
	code, _, stderr := run(t, args...)
	if code != 1 || !regexp.MustCompile(`lock|another|in use`).MatchString(stderr) {
		t.Errorf("a second node on the same folder: exit %d\n%s", code, stderr)
	}
	for flag, address := range map[string]string{"--http": strings.TrimPrefix(n.URL, "http://"), "--dicom": n.DICOM} {
		_, args := serveArgs(t, filepath.Join(t.TempDir(), "data"))
		code, _, stderr := run(t, append(args, flag, address)...)
		if code != 1 || !strings.Contains(stderr, flag) || !strings.Contains(stderr, "address already in use") {
			t.Errorf("%s in use: exit %d\n%s", flag, code, stderr)
		}
	}
	if sh := shipBytes(t, n, device.ViaUpload, "object", object{number: 1, pixels: 512}.file()); sh.letter() != "S" {
		t.Errorf("the first node after that: %+v, %v", sh.Outcome, sh.err)
	}
}

// TestTokens lets in who has a token, and nobody else.
func TestTokens(t *testing.T) {
	parent := t.TempDir()
	file := filepath.Join(parent, "tokens")
	if err := os.WriteFile(file, []byte("first-token\nsecond-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := testnode.Start(t, filepath.Join(parent, "data"), "--token-file", file)
	for _, c := range []struct {
		path, authorization string
		want                int
	}{
		{"/healthz", "", http.StatusOK}, // what a supervisor asks
		{"/dicom-web/studies", "", http.StatusUnauthorized},
		{"/dicom-web/studies", "Bearer wrong", http.StatusUnauthorized},
		{"/dicom-web/studies", "Bearer ", http.StatusUnauthorized},
		{"/dicom-web/studies", "Bearer first-toke", http.StatusUnauthorized},
		{"/quarantine", "", http.StatusUnauthorized},
		{"/metrics", "", http.StatusUnauthorized},
		{"/", "", http.StatusUnauthorized},
		{"/healthz/../dicom-web/studies", "", http.StatusUnauthorized},
		{"/quarantine", "Bearer second-token", http.StatusOK},
		{"/quarantine", "Basic YW55Ym9keTpmaXJzdC10b2tlbg==", http.StatusOK}, // anybody:first-token
	} {
		h := http.Header{}
		if c.authorization != "" {
			h.Set("Authorization", c.authorization)
		}
		resp, body := do(t, http.MethodGet, n.URL+c.path, h, nil)
		wantStatus(t, c.path+" with "+c.authorization, resp, body, c.want)
		if c.want == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", c.path)
		}
	}
	for _, via := range []string{device.ViaSTOW, device.ViaUpload, device.ViaTus} {
		o := object{number: 4300, pixels: 512}.sendable(t)
		s := device.Target{Via: via, Address: n.URL}.Open(nil)
		if out, err := s.Send(t.Context(), o); err == nil {
			t.Errorf("%s without a token: %+v", via, out)
		}
		s = device.Target{Via: via, Address: n.URL, Token: "first-token"}.Open(nil)
		if out, err := s.Send(t.Context(), o); err != nil || !out.Kept() {
			t.Errorf("%s with a token: %+v, %v", via, out, err)
		}
	}
	if log := n.Log(); strings.Contains(log, "-token\"") || strings.Contains(log, "first-token") {
		t.Error("a token is in the log")
	}
}

// TestOutsideAddress listens on other addresses than loopback only for who says how strangers are kept out.
func TestOutsideAddress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{{"--insecure"}, {"--token-file", file}} {
		_, args := serveArgs(t, filepath.Join(t.TempDir(), "data"), append(more, "--http", ":"+port)...)
		p := begin(t, args...)
		p.ready(t, "127.0.0.1:"+port)
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := p.wait(t); code != 0 {
			t.Errorf("%v: exit %d\n%s", more, code, p.err.String())
		}
	}
}
