package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/text/width"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/fixtures"
)

type demoCmd struct {
	Data     string `help:"Folder of the demo node; made when missing (default: ${default})." default:"./tributary-demo" placeholder:"DIR"`
	Patients int    `help:"How many synthetic patients come to the clinic." default:"6"`
	Seed     uint64 `help:"Another seed is another village." default:"1"`
	Exit     bool   `help:"Stop when everything arrived instead of staying up."`
	JSON     bool   `help:"Print what arrived as JSON." name:"json"`
	nodeFlags
}

// demoWays are the doors, in the order in which the kit uses them.
var demoWays = []string{device.ViaDICOM, device.ViaSTOW, device.ViaUpload, device.ViaTus}

// demoStudy is a line of what arrived.
type demoStudy struct {
	Name        string `json:"name"`
	PatientID   string `json:"patient_id"`
	Date        string `json:"date"`
	Modalities  string `json:"modalities"`
	Description string `json:"description"`
	Instances   int    `json:"instances"`
	Doors       string `json:"doors"`
	QIDO        string `json:"qido"`
	WADO        string `json:"wado"`
}

// demoReport is all that `demo` tells.
type demoReport struct {
	Sent       int            `json:"sent"`
	Answers    map[string]int `json:"answers"`
	BitForBit  int            `json:"bit_for_bit"` // retrieved with the SHA-256 of what was sent
	Studies    []demoStudy    `json:"studies"`
	Quarantine int            `json:"quarantined"`
	Conflicts  int            `json:"conflicts"`
}

// Run starts a node, sends a village's studies to it through every door, and shows what readers find.
func (c *demoCmd) Run(ctx context.Context, std streams) error {
	if c.Patients < 1 || c.Patients > 1000 {
		return usagef("--patients is 1 to 1000")
	}
	cfg, err := c.nodeConfig(engineFlags{Data: c.Data}, newLogger(std, "text", "warn"))
	if err != nil {
		return err
	}
	n, err := openNode(ctx, cfg)
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprintln(std.out, n.doors())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error {
		defer stop() // a node that ends early ends the demo
		return n.serve(ctx)
	})
	group.Go(func() error {
		if err := c.play(ctx, std, n); err != nil {
			stop()
			return err
		}
		if c.Exit {
			stop()
		} else if !c.JSON {
			fmt.Fprintln(std.out, "\nThe node stays up. Stop it with Ctrl-C.")
		}
		return nil
	})
	if err := group.Wait(); err != nil && !(errors.Is(err, context.Canceled) && ctx.Err() != nil) {
		return err
	}
	return nil
}

// demoObject is one file of the kit with what the demo remembers of it.
type demoObject struct {
	fixture fixtures.Instance
	object  device.Object
	via     string
	dataset string // hex SHA-256 of the data set, which every door keeps as it is
}

// play is the clinic's day: every study through the next door, then the mishaps of a real day.
func (c *demoCmd) play(ctx context.Context, std streams, n *node) error {
	base := "http://" + n.httpListener.Addr().String()
	kit := kit{base: base, dicom: n.dicomListener.Addr().String(), aet: n.cfg.AET, calling: "VILLAGE_KIT", answers: map[string]int{}}
	if len(n.cfg.tokens) > 0 {
		kit.token = n.cfg.tokens[0]
	}
	if err := kit.waitReady(ctx); err != nil {
		return err
	}
	objects, bytesAll, err := c.village()
	if err != nil {
		return err
	}
	bar := startProgress(std.err, c.JSON, "sent", int64(len(objects)), bytesAll)
	kit.progress = func(n int) { bar.bytes.Add(int64(n)) }
	for _, o := range objects {
		if err := kit.send(ctx, o); err != nil {
			bar.finish()
			return err
		}
		bar.items.Add(1)
	}
	bar.finish()
	if err := kit.mishaps(ctx, objects); err != nil {
		return err
	}
	report, err := kit.look(ctx, objects)
	if err != nil {
		return err
	}
	report.Sent = len(objects)
	if c.JSON {
		return printJSON(std.out, report)
	}
	return report.print(std.out, base)
}

// village makes the day's files.
func (c *demoCmd) village() (objects []demoObject, total int64, err error) {
	study := 0
	for _, p := range fixtures.Village(c.Seed, c.Patients) {
		for _, s := range p.Studies() {
			via := demoWays[study%len(demoWays)]
			study++
			for _, f := range s.Instances() {
				o := demoObject{fixture: f, via: via, object: sendable(f)}
				h := sha256.New()
				if _, err := f.WriteDataset(h); err != nil {
					return nil, 0, err
				}
				o.dataset = hex.EncodeToString(h.Sum(nil))
				objects, total = append(objects, o), total+f.Size
			}
		}
	}
	return objects, total, nil
}

// sendable is a fixture as a device has it.
func sendable(f fixtures.Instance) device.Object {
	return device.Object{
		Name: f.Name, Size: f.Size, Open: func() (io.ReadCloser, error) { return f.Open(), nil },
		SOPClassUID: f.SOPClassUID, SOPInstanceUID: f.SOPInstanceUID,
		TransferSyntaxUID: f.TransferSyntaxUID, DatasetOffset: f.DatasetOffset,
	}
}

// kit is the village's device.
type kit struct {
	base, dicom, aet, calling, token string
	progress                         func(int)
	answers                          map[string]int // by door and status
}

func (k *kit) waitReady(ctx context.Context) error {
	for {
		resp, err := k.get(ctx, "/readyz", "")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (k *kit) target(via string) device.Target {
	t := device.Target{Via: via, Address: k.base, CalledAE: k.aet, CallingAE: k.calling, Token: k.token, Progress: k.progress}
	if via == device.ViaDICOM {
		t.Address = k.dicom
	}
	return t
}

func (k *kit) send(ctx context.Context, o demoObject) error {
	out, err := k.deliver(ctx, o.via, o.object)
	if err == nil && !out.Kept() {
		err = fmt.Errorf("refused: %s %s", out.Code, out.Detail)
	}
	if err != nil {
		return fmt.Errorf("send %s by %s: %w", o.object.Name, o.via, err)
	}
	return nil
}

func (k *kit) deliver(ctx context.Context, via string, o device.Object) (device.Outcome, error) {
	s := k.target(via).Open([]device.Object{o})
	out, err := s.Send(ctx, o)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		k.answers[via+" "+out.Status]++
	}
	return out, err
}

// mishaps are what goes wrong on a real day: a file sent twice by another way, one cut off by its sender,
// and another picture under a UID that is taken.
func (k *kit) mishaps(ctx context.Context, objects []demoObject) error {
	k.progress = nil
	first := objects[0]
	if _, err := k.deliver(ctx, device.ViaUpload, first.object); err != nil {
		return err
	}
	var whole bytes.Buffer
	if _, err := first.fixture.WriteTo(&whole); err != nil {
		return err
	}
	cut, err := device.Bytes("cut-off.dcm", whole.Bytes()[:whole.Len()*2/3])
	if err != nil {
		return err
	}
	if _, err := k.deliver(ctx, device.ViaUpload, cut); err != nil {
		return err
	}
	changed := bytes.Clone(whole.Bytes())
	changed[len(changed)-1] ^= 1 // one bit of the last sample
	other, err := device.Bytes("same-uid.dcm", changed)
	if err != nil {
		return err
	}
	_, err = k.deliver(ctx, device.ViaUpload, other)
	return err
}

func (k *kit) get(ctx context.Context, path, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.base+path, nil)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if k.token != "" {
		req.Header.Set("Authorization", "Bearer "+k.token)
	}
	return http.DefaultClient.Do(req)
}

func (k *kit) json(ctx context.Context, path string, v any) error {
	resp, err := k.get(ctx, path, "application/dicom+json, application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// look reads back as a reader would: each study by QIDO-RS, each instance by WADO-RS.
func (k *kit) look(ctx context.Context, objects []demoObject) (r demoReport, err error) {
	r.Answers = k.answers
	doors := map[string]string{}
	var order []string
	for _, o := range objects {
		f := o.fixture
		if doors[f.StudyInstanceUID] == "" {
			order = append(order, f.StudyInstanceUID)
		}
		doors[f.StudyInstanceUID] = o.via
		sum, err := k.datasetSum(ctx, o)
		if err != nil {
			return r, err
		}
		if sum == o.dataset {
			r.BitForBit++
		}
	}
	for _, study := range order {
		q := "/dicom-web/studies?StudyInstanceUID=" + url.QueryEscape(study) + "&includefield=StudyDescription"
		var rows []dicomJSON
		if err := k.json(ctx, q, &rows); err != nil {
			return r, err
		}
		for _, row := range rows {
			r.Studies = append(r.Studies, demoStudy{
				Name: row.text("00100010"), PatientID: row.text("00100020"), Date: row.text("00080020"),
				Modalities: row.text("00080061"), Description: row.text("00081030"), Instances: row.number("00201208"),
				Doors: doors[study], QIDO: k.base + q, WADO: k.base + "/dicom-web/studies/" + study,
			})
		}
	}
	var kept, conflicts []json.RawMessage
	if err := errors.Join(k.json(ctx, "/quarantine", &kept), k.json(ctx, "/conflicts", &conflicts)); err != nil {
		return r, err
	}
	r.Quarantine, r.Conflicts = len(kept), len(conflicts)
	return r, nil
}

// datasetSum retrieves an instance and returns the hex SHA-256 of its data set.
func (k *kit) datasetSum(ctx context.Context, o demoObject) (string, error) {
	f := o.fixture
	path := "/dicom-web/studies/" + f.StudyInstanceUID + "/series/" + f.SeriesInstanceUID + "/instances/" + f.SOPInstanceUID
	resp, err := k.get(ctx, path, "application/dicom")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	h := sha256.New()
	// The File Meta group differs by door; what follows it has the data set's length.
	if _, err := io.CopyN(io.Discard, resp.Body, resp.ContentLength-f.DatasetSize()); err != nil {
		return "", err
	}
	if _, err := io.Copy(h, resp.Body); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// dicomJSON is one row of a search (PS3.18 Annex F).
type dicomJSON map[string]struct{ Value []json.RawMessage }

func (d dicomJSON) text(tag string) string {
	var parts []string
	for _, raw := range d[tag].Value {
		var s string
		var pn struct{ Alphabetic, Ideographic string }
		if json.Unmarshal(raw, &s) == nil {
			parts = append(parts, s)
		} else if json.Unmarshal(raw, &pn) == nil {
			parts = append(parts, cmp.Or(pn.Ideographic, pn.Alphabetic))
			if pn.Ideographic != "" && pn.Alphabetic != "" {
				parts[len(parts)-1] += " (" + strings.ReplaceAll(pn.Alphabetic, "^", " ") + ")"
			}
		}
	}
	return strings.ReplaceAll(strings.Join(parts, ","), "^", "")
}

func (d dicomJSON) number(tag string) (n int) {
	for _, raw := range d[tag].Value {
		_ = json.Unmarshal(raw, &n) // another type means no number
	}
	return n
}

func (r demoReport) print(w io.Writer, base string) error {
	fmt.Fprintf(w, "\nA village kit sent %d objects; %d of them came back bit for bit.\n\n", r.Sent, r.BitForBit)
	rows := [][]string{{"PATIENT", "ID", "DATE", "MODALITY", "DESCRIPTION", "OBJECTS", "DOOR"}}
	for _, s := range r.Studies {
		rows = append(rows, []string{s.Name, s.PatientID, s.Date, s.Modalities, s.Description, fmt.Sprint(s.Instances), s.Doors})
	}
	printTable(w, rows)
	fmt.Fprintf(w, "\nLook at them in a browser:\n  %s/\nOr ask as viewers do:\n", base)
	for _, s := range r.Studies[:min(len(r.Studies), 2)] {
		fmt.Fprintf(w, "  QIDO-RS  %s\n  WADO-RS  %s\n           %s/metadata\n", s.QIDO, s.WADO, s.WADO)
	}
	if len(r.Studies) > 0 && r.Studies[0].Name != "" {
		fmt.Fprintf(w, "Search by name, in hanzi or pinyin:\n  %s/dicom-web/studies?PatientName=%s\n",
			base, url.QueryEscape("*"+string([]rune(r.Studies[0].Name)[:1])+"*"))
	}
	_, err := fmt.Fprintf(w, "Mishaps of the day, kept for an operator: %d in %s/pages/quarantine, %d in %s/pages/conflicts\n",
		r.Quarantine, base, r.Conflicts, base)
	if err == nil && r.BitForBit != r.Sent {
		return fmt.Errorf("%d objects did not come back as they were sent", r.Sent-r.BitForBit)
	}
	return err
}

// printTable pads columns by what a terminal shows: hanzi take two cells.
func printTable(w io.Writer, rows [][]string) {
	cells := func(s string) (n int) {
		for _, r := range s {
			n++
			if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
				n++
			}
		}
		return n
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			widths[i] = max(widths[i], cells(s))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, s := range row {
			b.WriteString(s + strings.Repeat(" ", widths[i]-cells(s)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}
