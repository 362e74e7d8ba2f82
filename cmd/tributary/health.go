package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// healthCmd is for the health check of a container, which has no other program.
type healthCmd struct {
	HTTP    string        `help:"Address of the node's HTTP doors (default: ${default})." default:"127.0.0.1:8080" env:"TRIBUTARY_HTTP" placeholder:"HOST:PORT"`
	Role    string        `help:"Ask for the engines of this role only." placeholder:"ROLE"`
	Timeout time.Duration `help:"How long the node may take to answer." default:"4s"`
	JSON    bool          `help:"Print JSON." name:"json"`
}

// Run succeeds when the node can do its work, and names the engine at fault when it cannot.
func (c healthCmd) Run(ctx context.Context, std streams) error {
	address := strings.TrimSuffix(strings.TrimPrefix(c.HTTP, "http://"), "/")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return usagef("--http: want HOST:PORT: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // a node that listens everywhere listens here
	}
	path := "/readyz"
	if c.Role != "" {
		path += "/" + url.PathEscape(c.Role)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return usagef("--http: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no answer from %s (is the node running?): %w", c.HTTP, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	var said struct {
		Status  string            `json:"status"`
		Error   string            `json:"error,omitempty"`
		Engines map[string]string `json:"engines,omitempty"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said); err != nil {
		return fmt.Errorf("the answer of %s is no JSON: %w", c.HTTP, err)
	}
	if c.JSON {
		if err := printJSON(std.out, said); err != nil {
			return err
		}
	}
	if resp.StatusCode == http.StatusOK {
		if !c.JSON {
			fmt.Fprintln(std.out, said.Status)
		}
		return nil
	}
	if said.Error != "" {
		return errors.New(said.Error)
	}
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(said.Engines)) {
		if said.Engines[name] != "ok" {
			faults = append(faults, name+": "+said.Engines[name])
		}
	}
	return fmt.Errorf("%s: %s", said.Status, strings.Join(faults, "; "))
}
