package main

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/storage/blob/s3blob"
)

// TestComposeFile: the file that brings a county up is whole, and every node of it has flags that this
// release takes. The images are not started here.
func TestComposeFile(t *testing.T) {
	example, err := os.ReadFile("../../deploy/env.example")
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, line := range regexp.MustCompile(`(?m)^([A-Z0-9_]+)=`).FindAllStringSubmatch(string(example), -1) {
		env = append(env, line[1]+"=secret")
	}
	services := testengine.Compose(t, "../../docker-compose.yml", env)

	pinned := regexp.MustCompile(`@sha256:[0-9a-f]{64}$|:v?[0-9]+\.[0-9]+(\.[0-9]+)?[-a-z0-9.]*$`)
	roles := map[string]int{}
	for name, s := range services {
		if s.Image != "tributary:local" && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %s is not pinned", name, s.Image)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %d is published on %q by default", name, p.Target, p.HostIP)
			}
		}
		if name == "certs" {
			continue // it ends
		}
		if s.Healthcheck == nil || s.Deploy.Resources.Limits.Memory == "" {
			t.Errorf("%s has no health check, or no memory limit", name)
		}
		for on, d := range s.DependsOn {
			if d.Condition != "service_healthy" && on != "certs" {
				t.Errorf("%s waits for %s: %s", name, on, d.Condition)
			}
		}
		if s.Image != "tributary:local" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			cfg := composeNode(t, s.Environment)
			for _, r := range cfg.Roles {
				roles[r]++
			}
			if !cfg.places.blobs.shared() || !cfg.places.log.shared() || !cfg.places.index.shared() {
				t.Error("a node keeps something itself")
			}
			if _, err := s3blob.ParseURL(cfg.Blobs, func(string) string { return "" }); err != nil {
				t.Error(err)
			}
			check := strings.Join(s.Healthcheck.Test, " ")
			if want := "tributary health --role " + cfg.Roles[0]; !strings.Contains(check, want) {
				t.Errorf("%s does not ask for %s", check, want)
			}
		})
	}
	for _, r := range allRoles {
		if roles[r] == 0 {
			t.Errorf("no node has the role %s", r)
		}
	}
	if roles[roleIntake] != 2 {
		t.Errorf("%d intake nodes", roles[roleIntake])
	}
}

// composeNode is what `serve` makes of a service's environment.
func composeNode(t *testing.T, env map[string]string) nodeConfig {
	t.Helper()
	flagDefaults(t) // nothing of this machine's environment
	for name, value := range env {
		t.Setenv(name, value)
	}
	var c cli
	parser, err := kong.New(&c, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve", "--data", t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	cfg, err := c.Serve.nodeConfig(c.Serve.engineFlags, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
