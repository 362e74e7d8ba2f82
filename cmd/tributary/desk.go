package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/tributary-dicom/tributary/storage/index"
)

// remote is a running node, whose desk the quarantine and conflict commands use.
type remote struct {
	Server string `help:"Address of the running node (default: ${default})." default:"http://127.0.0.1:8080" env:"TRIBUTARY_SERVER" placeholder:"URL"`
	Token  string `help:"Access token of the node." env:"TRIBUTARY_TOKEN" placeholder:"TOKEN"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// do asks the node and returns its body, which the caller closes. No time is set for the answer: a retry
// reads the whole object, and a file takes what the line takes. Ctrl-C ends either.
func (r remote) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(r.Server, "/")+path, nil)
	if err != nil {
		return nil, usagef("--server %s: %w", r.Server, err)
	}
	if r.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no answer from %s (is the node running? name it with --server): %w", r.Server, errors.Unwrap(err))
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		var said struct{ Error string }
		if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said); err != nil || said.Error == "" {
			said.Error = resp.Status
		}
		if resp.StatusCode == http.StatusUnauthorized {
			said.Error = "the node asks for its token: give --token, or set TRIBUTARY_TOKEN"
		}
		return nil, errors.New(said.Error)
	}
	return resp.Body, nil
}

// ask decodes the node's JSON into v.
func (r remote) ask(ctx context.Context, method, path string, v any) error {
	body, err := r.do(ctx, method, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("the node's answer is no JSON: %w", err)
	}
	return nil
}

// all walks a paged list. Entries that come or go meanwhile may be missed or told twice.
func all[T any](ctx context.Context, r remote, path string) ([]T, error) {
	const page = 500
	list := []T{}
	for {
		var some []T
		if err := r.ask(ctx, http.MethodGet, fmt.Sprintf("%s?limit=%d&offset=%d", path, page, len(list)), &some); err != nil {
			return nil, err
		}
		list = append(list, some...)
		if len(some) < page {
			return list, nil
		}
	}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

type quarantineCmd struct {
	Ls    quarantineLs    `cmd:"" help:"List what is in quarantine, newest first."`
	Show  quarantineShow  `cmd:"" help:"Show one entry; with --file, write its bytes."`
	Retry quarantineRetry `cmd:"" help:"Admit entries again; what can be indexed now leaves the quarantine."`
	Rm    quarantineRm    `cmd:"" help:"Forget entries and their bytes."`
}

type quarantineLs struct {
	remote
}

func (c quarantineLs) Run(ctx context.Context, std streams) error {
	list, err := all[index.Quarantined](ctx, c.remote, "/quarantine")
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(std.out, "The quarantine is empty.")
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tREASON\tFORMAT\tBYTES\tDOOR\tFROM\tRECEIVED")
	for _, q := range list {
		from := q.CallingAE
		if from == "" {
			from = q.Remote
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", q.ObjectID, q.Reason, q.Format, q.Bytes, q.Door, from, q.ReceivedAt)
	}
	return t.Flush()
}

type quarantineShow struct {
	remote
	ID   string `arg:"" help:"Entry, as ls prints it."`
	File bool   `help:"Write the quarantined bytes to standard output instead."`
}

func (c quarantineShow) Run(ctx context.Context, std streams) error {
	path := "/quarantine/" + url.PathEscape(c.ID)
	if c.File {
		body, err := c.do(ctx, http.MethodGet, path+"/file")
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(std.out, body)
		return err
	}
	var q index.Quarantined
	if err := c.ask(ctx, http.MethodGet, path, &q); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, q)
	}
	t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", q.ObjectID},
		{"reason", q.Reason},
		{"detail", q.Detail},
		{"at byte", fmt.Sprint(q.Offset)},
		{"format", q.Format},
		{"bytes", fmt.Sprint(q.Bytes)},
		{"sha256", q.SHA256},
		{"door", q.Door},
		{"calling AE", q.CallingAE},
		{"from", q.Remote},
		{"file name", q.Filename},
		{"received", q.ReceivedAt},
		{"study", q.StudyInstanceUID},
		{"series", q.SeriesInstanceUID},
		{"instance", q.SOPInstanceUID},
		{"blob", q.BlobKey},
	} {
		if row[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
		}
	}
	return t.Flush()
}

type quarantineRetry struct {
	remote
	IDs []string `arg:"" optional:"" name:"id" help:"Entries, as ls prints them."`
	All bool     `help:"Every entry."`
}

func (c quarantineRetry) Run(ctx context.Context, std streams) error {
	return c.each(ctx, std, c.IDs, c.All, func(id string) (string, error) {
		var rec struct{ ID, Status string }
		err := c.ask(ctx, http.MethodPost, "/quarantine/"+url.PathEscape(id)+"/retry", &rec)
		return rec.Status + " as " + rec.ID, err
	})
}

type quarantineRm struct {
	remote
	IDs []string `arg:"" optional:"" name:"id" help:"Entries, as ls prints them."`
	All bool     `help:"Every entry."`
}

func (c quarantineRm) Run(ctx context.Context, std streams) error {
	return c.each(ctx, std, c.IDs, c.All, func(id string) (string, error) {
		var done struct{ Status string }
		err := c.ask(ctx, http.MethodDelete, "/quarantine/"+url.PathEscape(id), &done)
		return done.Status, err
	})
}

// each does one thing to every named entry and fails when one of them failed.
func (r remote) each(ctx context.Context, std streams, ids []string, every bool, do func(id string) (string, error)) error {
	if every {
		list, err := all[index.Quarantined](ctx, r, "/quarantine")
		if err != nil {
			return err
		}
		ids = nil
		for _, q := range list {
			ids = append(ids, q.ObjectID)
		}
	} else if len(ids) == 0 {
		return usagef("name entries, or --all")
	}
	type outcome struct {
		ID    string `json:"id"`
		Said  string `json:"result,omitempty"`
		Error string `json:"error,omitempty"`
	}
	list, failed := []outcome{}, 0
	for _, id := range ids {
		o := outcome{ID: id}
		said, err := do(id)
		if err != nil {
			o.Error = err.Error()
			failed++
		} else {
			o.Said = said
		}
		list = append(list, o)
		if !r.JSON {
			fmt.Fprintf(std.out, "%s  %s%s\n", id, o.Said, o.Error)
		}
	}
	if r.JSON {
		if err := printJSON(std.out, list); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d entries stay in quarantine", failed, len(ids))
	}
	return nil
}

type conflictCmd struct {
	Ls      conflictLs      `cmd:"" help:"List instances with more than one data set, and studies of more than one patient."`
	Promote conflictPromote `cmd:"" help:"Make another version the one that readers see."`
	Keep    conflictKeep    `cmd:"" help:"Confirm the version that readers see now."`
}

type conflictLs struct {
	remote
	Patients bool `help:"List the studies of more than one patient only. With --json, these instead of instances."`
}

func (c conflictLs) Run(ctx context.Context, std streams) error {
	var list []index.Conflict
	var mixed []index.PatientConflict
	var err error
	if !c.Patients {
		if list, err = all[index.Conflict](ctx, c.remote, "/conflicts"); err != nil {
			return err
		}
	}
	if c.Patients || !c.JSON {
		if mixed, err = all[index.PatientConflict](ctx, c.remote, "/conflicts/patients"); err != nil {
			return err
		}
	}
	switch {
	case c.JSON && c.Patients:
		return printJSON(std.out, mixed)
	case c.JSON:
		return printJSON(std.out, list)
	case len(list)+len(mixed) == 0:
		_, err := fmt.Fprintln(std.out, "There are no conflicts.")
		return err
	}
	if len(list) > 0 {
		if err := printConflicts(std.out, list); err != nil {
			return err
		}
	}
	if len(list) > 0 && len(mixed) > 0 {
		fmt.Fprintln(std.out)
	}
	if len(mixed) > 0 {
		return printMixed(std.out, mixed)
	}
	return nil
}

// printMixed lists studies of more than one patient. Sending one of them again under a study of its own settles it.
func printMixed(w io.Writer, list []index.PatientConflict) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STUDY OF SEVERAL PATIENTS\tPATIENT\tNAME\tBORN\tINSTANCES\tRECEIVED")
	for _, x := range list {
		for _, p := range x.Patients {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", x.StudyInstanceUID, visible(p.PatientID), visible(p.PatientName), visible(p.PatientBirthDate), p.Instances, p.ReceivedAt)
		}
	}
	return t.Flush()
}

// visible is a device's text without what a terminal would act on.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

func printConflicts(w io.Writer, list []index.Conflict) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INSTANCE\tVERSION\tCURRENT\tBYTES\tDOOR\tRECEIVED")
	for _, x := range list {
		for _, v := range x.Versions {
			current := ""
			if v.ObjectID == x.Current {
				current = "yes"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", x.SOPInstanceUID, v.ObjectID, current, v.Bytes, v.Door, v.ReceivedAt)
		}
	}
	return t.Flush()
}

// decision names a version of an instance.
type decision struct {
	remote
	Instance string `arg:"" help:"SOP Instance UID."`
	Version  string `arg:"" help:"Version, as ls prints it."`
}

func (d decision) settle(ctx context.Context, std streams, action string) error {
	var done struct{ ID, Status string }
	path := "/conflicts/" + url.PathEscape(d.Instance) + "/" + action + "/" + url.PathEscape(d.Version)
	if err := d.ask(ctx, http.MethodPost, path, &done); err != nil {
		return err
	}
	if d.JSON {
		return printJSON(std.out, done)
	}
	_, err := fmt.Fprintf(std.out, "%s %s\n", done.ID, done.Status)
	return err
}

type conflictPromote struct {
	decision
}

func (c conflictPromote) Run(ctx context.Context, std streams) error {
	return c.settle(ctx, std, "promote")
}

type conflictKeep struct {
	decision
}

func (c conflictKeep) Run(ctx context.Context, std streams) error { return c.settle(ctx, std, "keep") }

// printLine writes v as one line of JSON.
func printLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
