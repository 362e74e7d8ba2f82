package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/reprocess"
)

// pollEvery is how often a node is asked how its job stands.
const pollEvery = 500 * time.Millisecond

// errAway is what comes of a node that does not answer; it may be starting.
var errAway = errors.New("the node does not answer")

// ask sends a request about jobs to the node and returns their status.
func (c *reprocessCmd) ask(ctx context.Context, method string, body any) (s reprocess.Status, err error) {
	var payload io.Reader
	if body != nil {
		doc, err := json.Marshal(body)
		if err != nil {
			return s, err
		}
		payload = bytes.NewReader(doc)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.Server, "/")+"/reprocess", payload)
	if err != nil {
		return s, usagef("--server %s: %w", c.Server, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, fmt.Errorf("%w at %s: %w", errAway, c.Server, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return s, fmt.Errorf("%w: %w", errAway, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		var said struct{ Error string }
		if json.Unmarshal(doc, &said) != nil || said.Error == "" {
			said.Error = resp.Status
		}
		switch resp.StatusCode {
		case http.StatusServiceUnavailable:
			return s, fmt.Errorf("%w: %s", errAway, said.Error)
		case http.StatusBadRequest:
			return s, usageError{errors.New(said.Error)}
		case http.StatusUnauthorized:
			said.Error = "the node asks for its token: give --token, or set TRIBUTARY_TOKEN"
		case http.StatusNotFound:
			said.Error = "the node cannot reprocess: it is of an earlier release, or does not have the role review"
		}
		return s, errors.New(said.Error)
	}
	if err := json.Unmarshal(doc, &s); err != nil {
		return s, fmt.Errorf("the node's answer is no JSON: %w", err)
	}
	return s, nil
}

// follow lets a node do the work.
func (c *reprocessCmd) follow(ctx context.Context, std streams, req reprocess.Request) error {
	switch {
	case c.Status && c.Stop:
		return usagef("either --status or --stop")
	case c.Status, c.Stop:
		method := http.MethodGet
		if c.Stop {
			method = http.MethodDelete
		}
		s, err := c.ask(ctx, method, nil)
		if err != nil {
			return err
		}
		if s.State == "" && !c.JSON {
			_, err := fmt.Fprintln(std.out, "nothing was reprocessed yet")
			return err
		}
		return c.report(std, s, false)
	}
	// Whoever interrupts this very moment interrupts the job that begins: the answer is waited for.
	beginning, begun := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer begun()
	s, err := c.ask(beginning, http.MethodPost, req)
	if err != nil {
		return err
	}
	if c.Detach {
		if c.JSON {
			return printLine(std.out, s)
		}
		_, err := fmt.Fprintln(std.out, "begun; tributary reprocess --status tells how it stands, --stop stops it")
		return err
	}
	watch := &reprocessWatch{std: std, json: c.JSON, quiet: c.Quiet}
	last, err := c.watch(ctx, s, watch.tell)
	watch.finish()
	if ctx.Err() != nil {
		// Who interrupts this command wants the work to end. The node remembers how far it is.
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if last, err = c.ask(stopping, http.MethodDelete, nil); err != nil {
			return fmt.Errorf("the node was not told to stop: %w", err)
		}
		return errors.Join(c.report(std, last, true), errors.New("stopped; the same command goes on"))
	}
	if err != nil {
		return fmt.Errorf("%w (the node goes on by itself; the same command follows it)", err)
	}
	if err := c.report(std, last, true); err != nil {
		return err
	}
	if last.State != reprocess.StateDone {
		return fmt.Errorf("the job is %s; the same command goes on", last.State)
	}
	return troubled(last)
}

// watch asks until the job has ended. A node that starts again goes on with it by itself.
func (c *reprocessCmd) watch(ctx context.Context, s reprocess.Status, tell func(reprocess.Status)) (reprocess.Status, error) {
	id, answered := s.ID, time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for s.State == reprocess.StateRunning {
		tell(s)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, ctx.Err()
		}
		now, err := c.ask(ctx, http.MethodGet, nil)
		switch {
		case errors.Is(err, errAway) && time.Since(answered) < c.Patience:
			continue
		case err != nil:
			return s, err
		case now.ID != id:
			return s, errors.New("the node works on another job now")
		}
		s, answered = now, time.Now()
	}
	tell(s)
	return s, nil
}

// wordsOf says in a line what is to be said of an example.
func wordsOf(e reprocess.Example) string {
	var all []string
	if e.NewID != "" {
		all = append(all, "as "+e.NewID)
	}
	if len(e.Parts) > 0 {
		all = append(all, strings.Join(e.Parts, ", "))
	}
	if len(e.Keywords) > 0 {
		all = append(all, "("+strings.Join(e.Keywords, ", ")+")")
	}
	if e.Why != "" {
		all = append(all, e.Why)
	}
	return strings.Join(all, "  ")
}
