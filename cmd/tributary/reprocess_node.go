package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
	"github.com/tributary-dicom/tributary/pipeline/reprocess/bind"
	"github.com/tributary-dicom/tributary/storage/index"
)

// reprocessState is where the place of a job is remembered.
func reprocessState(at places) *reprocess.Keeper {
	return &reprocess.Keeper{Path: filepath.Join(at.state, "reprocess.json")}
}

// reprocessConfig wires a job to engines.
func reprocessConfig(at places, db *index.DB, in *ingest.Intake, wait func(context.Context, eventlog.Position) error) reprocess.Config {
	return reprocess.Config{
		Index: bind.Index(db, ingest.DefaultTenant), Intake: bind.Intake(in), OfObject: bind.OfObject, Keep: reprocessState(at),
		Wait: func(ctx context.Context, pos eventlog.Position) error {
			if err := wait(ctx, pos); !errors.Is(err, indexer.ErrUnplaced) {
				return err
			}
			return nil // it waits in the spool while the log is away, and the index with it
		},
	}
}

// openReprocess makes the node's jobs; none runs yet.
func (n *node) openReprocess() {
	cfg := reprocessConfig(n.places, n.index, n.intake, n.view.WaitApplied)
	cfg.Logger = n.cfg.log
	n.reprocess = reprocess.NewJobs(cfg)
	n.metrics.MustRegister(reprocessCollector{n.reprocess})
}

// reprocessing goes on with the job of before, if any, and ends what runs with the node.
func (n *node) reprocessing(ctx context.Context) error {
	if err := n.reprocess.Resume(); err != nil {
		n.cfg.log.Error("the job of before cannot go on", "error", err.Error())
	}
	<-ctx.Done()
	n.reprocess.Close()
	return nil
}

// maxRequest bounds the JSON of a request, bytes.
const maxRequest = 64 << 10

// serveReprocess is /reprocess, for operators: POST begins a job, GET tells how it stands, DELETE stops it.
func (n *node) serveReprocess(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, err error) { writeJSON(w, status, map[string]string{"error": err.Error()}) }
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		writeJSON(w, http.StatusOK, n.reprocess.Status())
	case http.MethodDelete:
		writeJSON(w, http.StatusOK, n.reprocess.Stop())
	case http.MethodPost:
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			refuse(http.StatusUnsupportedMediaType, errors.New("send what to reprocess as application/json; {} is all that older parsers have read"))
			return
		}
		req, err := decodeRequest(http.MaxBytesReader(w, r.Body, maxRequest))
		if err == nil {
			err = req.Validate(n.intake.ParserVersion())
		}
		if err != nil {
			refuse(http.StatusBadRequest, err)
			return
		}
		switch status, err := n.reprocess.Start(req); {
		case errors.Is(err, reprocess.ErrBusy):
			refuse(http.StatusConflict, err)
		case err != nil:
			n.cfg.log.Error("reprocessing cannot begin", "error", err.Error())
			w.Header().Set("Retry-After", "5")
			refuse(http.StatusServiceUnavailable, errors.New("the node cannot begin now; see its log"))
		default:
			writeJSON(w, http.StatusAccepted, status)
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		refuse(http.StatusMethodNotAllowed, errors.New("GET, POST or DELETE"))
	}
}

// decodeRequest reads one JSON object. A member that this release does not know could mean fewer objects, so it is
// an error. What is not said of the speed is that beside live intake.
func decodeRequest(body io.Reader) (req reprocess.Request, err error) {
	req.Speed = besideIntake
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err = d.Decode(&req); err == nil && d.More() {
		err = errors.New("more than one JSON value")
	}
	return req, err
}

// reprocessCollector tells of the job that runs, or of the last one.
type reprocessCollector struct{ jobs *reprocess.Jobs }

var (
	reprocessRunning = prometheus.NewDesc("tributary_reprocess_running", "1 while objects are read again by a job.", nil, nil)
	reprocessObjects = prometheus.NewDesc("tributary_reprocess_objects", "Objects of the job that runs, or of the last one, by what came of them.", []string{"outcome"}, nil)
	reprocessLeft    = prometheus.NewDesc("tributary_reprocess_objects_left", "Objects that the job that runs has still to read, about.", nil, nil)
)

func (c reprocessCollector) Describe(out chan<- *prometheus.Desc) {
	out <- reprocessRunning
	out <- reprocessObjects
	out <- reprocessLeft
}

func (c reprocessCollector) Collect(out chan<- prometheus.Metric) {
	s := c.jobs.Status()
	running, left := 0.0, 0.0
	if s.State == reprocess.StateRunning {
		running, left = 1, float64(max(s.Objects-s.Done, 0))
	}
	out <- prometheus.MustNewConstMetric(reprocessRunning, prometheus.GaugeValue, running)
	out <- prometheus.MustNewConstMetric(reprocessLeft, prometheus.GaugeValue, left)
	for outcome, n := range s.Outcomes {
		out <- prometheus.MustNewConstMetric(reprocessObjects, prometheus.GaugeValue, float64(n), outcome)
	}
}
