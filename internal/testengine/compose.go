package testengine

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"
)

// ComposeService is what a test looks at of a service in a Compose file.
type ComposeService struct {
	Image       string            `json:"image"`
	Command     []string          `json:"command"`
	Environment map[string]string `json:"environment"`
	DependsOn   map[string]struct {
		Condition string `json:"condition"`
	} `json:"depends_on"`
	Healthcheck *struct {
		Test []string `json:"test"`
	} `json:"healthcheck"`
	Deploy struct {
		Resources struct {
			Limits struct {
				Memory string `json:"memory"`
			} `json:"limits"`
		} `json:"resources"`
	} `json:"deploy"`
	Ports []struct {
		HostIP string `json:"host_ip"`
		Target int    `json:"target"`
	} `json:"ports"`
}

// Compose loads a Compose file with the specification's own library, as `docker compose config` does, and
// fails the test where it finds fault. env are the variables that it may use, "NAME=VALUE".
func Compose(t testing.TB, file string, env []string) map[string]ComposeService {
	t.Helper()
	bin, err := build("./compose")
	if err != nil {
		Missing(t, "the Compose library cannot be built: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), bin, file)
	cmd.Env = append([]string{"HOME=" + t.TempDir()}, env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", file, err, &said)
	}
	var project struct {
		Services map[string]ComposeService `json:"services"`
	}
	if err := json.Unmarshal(out, &project); err != nil {
		t.Fatal(err)
	}
	return project.Services
}
