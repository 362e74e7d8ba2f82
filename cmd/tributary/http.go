package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tributary-dicom/tributary/dimse"
	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/desk"
	"github.com/tributary-dicom/tributary/ingest/httpbody"
	"github.com/tributary-dicom/tributary/ingest/storescp"
	"github.com/tributary-dicom/tributary/ingest/stowrs"
	"github.com/tributary-dicom/tributary/ingest/upload"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/review/dicomweb"
	"github.com/tributary-dicom/tributary/review/originals"
	"github.com/tributary-dicom/tributary/review/slowreader"
)

// openDoors makes the servers; nothing listens to them yet.
func (n *node) openDoors() (err error) {
	n.tus, err = upload.NewTus(upload.TusConfig{
		Config: n.uploadConfig(), Dir: n.places.tus, TTL: n.cfg.TusExpiry, BasePath: n.tusBase(),
		// The spool shares the blobs' disk, and their reserve.
		Reserve: func(int64) error { return n.blobs.Ready(context.Background()) },
	})
	if err != nil {
		return err
	}
	if err := n.openWatchers(); err != nil {
		return err
	}
	scp := storescp.Config{
		Intake: n.intake, Tenant: ingest.DefaultTenant, AETitle: n.cfg.AET, CheckAETitle: n.cfg.CheckAET,
		Peers: n.cfg.peers, SOPClass: n.cfg.sopClass(),
	}
	n.dicom = &dimse.Server{
		Policy: storescp.Policy(scp), Handler: storescp.Handler(scp), Log: n.cfg.log, Metrics: newDIMSEMetrics(n.metrics),
		Limits: n.cfg.dimseLimits(),
	}
	return nil
}

// pace is how slow an HTTP sender may be.
func (n *node) pace() httpbody.Pace { return httpbody.Pace{Stall: n.cfg.Stall} }

// uploadConfig is what plain and resumable uploads share.
func (n *node) uploadConfig() upload.Config {
	return upload.Config{Admitter: n.intake, Signal: n.intake.Signal, MaxBytes: n.cfg.MaxObject, HoldDir: n.places.state, Pace: n.pace(), Logger: n.cfg.log}
}

// tusPath is where resumable uploads begin.
const tusPath = "/upload/tus/"

// tusBase is where they go on. Beside other nodes the path names this one, so that a proxy brings every
// piece to the node that has those before it.
func (n *node) tusBase() string {
	if !n.places.blobs.shared() {
		return tusPath
	}
	return tusPath + "at/" + n.cfg.Node + "/"
}

// tusDoor takes what comes to either path.
func (n *node) tusDoor() http.Handler {
	base := n.tusBase()
	if base == tusPath {
		return n.tus
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path+"/" == tusPath || r.URL.Path == tusPath {
			there := *r.URL
			there.Path, there.RawPath = base, ""
			r = r.Clone(r.Context())
			r.URL = &there
		}
		n.tus.ServeHTTP(w, r)
	})
}

// httpServer serves every HTTP door and reader.
func (n *node) httpServer() *http.Server {
	mux := http.NewServeMux()
	if n.cfg.has(roleIntake) {
		stow := stowrs.New(stowrs.Config{
			Admitter: n.intake, MaxObjectBytes: n.cfg.MaxObject, Pace: n.pace(), Signal: n.intake.Signal, Logger: n.cfg.log,
		})
		mux.Handle("POST /dicom-web/studies", stow)
		mux.Handle("POST /dicom-web/studies/{study}", stow)
		mux.Handle("/upload", upload.New(n.uploadConfig()))
		mux.Handle(tusPath, n.tusDoor())
	}
	completeness := desk.NewCompleteness(n.completenessDoor())
	mux.Handle("/completeness", completeness)
	mux.Handle("/completeness/", n.fresh(completeness))
	atShutdown := func() {}
	if n.cfg.has(roleReview) {
		readers := n.read(dicomweb.New(dicomweb.Config{Index: n.index, Blobs: n.blobs, Log: n.cfg.log}))
		mux.Handle("/dicom-web/", readers)
		mux.Handle(dicomweb.WADOURI, readers)
		operators := desk.New(desk.Config{Tenant: ingest.DefaultTenant, Lists: n.index, Decisions: n.intake, Blobs: n.blobs, Logger: n.cfg.log})
		for _, path := range []string{"/quarantine", "/quarantine/", "/conflicts", "/conflicts/"} {
			mux.Handle(path, n.read(operators))
		}
		files := originals.New(originals.Config{Index: n.index, Blobs: n.blobs, Log: n.cfg.log})
		for _, path := range []string{"/originals/", "/ecgs"} {
			mux.Handle(path, n.read(files))
		}
		if n.viewer != nil {
			mux.Handle(n.viewer.Mount(), slowreader.Limit(n.viewer, n.cfg.Stall))
		}
		n.mountPages(mux)
		mux.HandleFunc("/reprocess", n.serveReprocess)
		live := desk.NewEvents(n.follower())
		mux.Handle("GET /events", live)
		atShutdown = live.Close
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", n.readyz)
	mux.HandleFunc("GET /readyz/{role}", n.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{}))
	if !n.cfg.has(roleReview) {
		mux.HandleFunc("GET /{$}", n.welcome)
	}
	server := &http.Server{
		Handler:           n.cfg.guard(mux),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(n.cfg.log.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(atShutdown)
	return server
}

// follower is the log as the live view reads it.
func (n *node) follower() desk.Follower {
	if n.local != nil {
		return desk.FollowOne(n.local)
	}
	return desk.FollowMany(n.kafka)
}

// read is fresh for readers, who must not stop reading for long.
func (n *node) read(next http.Handler) http.Handler {
	return n.fresh(slowreader.Limit(next, n.cfg.Stall))
}

// freshTimeout bounds how long a reader waits for the index to catch up with the log.
const freshTimeout = time.Second

// fresh makes readers see everything that a device was told is stored: a request waits until the index
// has applied what the log held when it came. Mostly it has already (docs/decisions/0005). With a shared
// log the index follows within a second, and nobody waits.
func (n *node) fresh(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.local == nil {
			next.ServeHTTP(w, r)
			return
		}
		if head := n.local.Head(event.TopicInstances); head.Offset > 0 && !n.indexer.Seen(head) {
			ctx, cancel := context.WithTimeout(r.Context(), freshTimeout)
			if err := n.indexer.WaitApplied(ctx, head); err != nil {
				n.cfg.log.Warn("a reader is answered from an index that is late", "error", err.Error())
			}
			cancel()
		}
		next.ServeHTTP(w, r)
	})
}

// readyTimeout bounds how long an engine may take to say that it is well.
const readyTimeout = 2 * time.Second

// readyz asks the engines that a role needs, those of all of the node's roles where the request names
// none, and names the ones at fault. A proxy that sends devices to this node asks for intake: while the
// index is away, studies are taken in all the same.
func (n *node) readyz(w http.ResponseWriter, r *http.Request) {
	roles := n.cfg.Roles
	if role := r.PathValue("role"); role != "" {
		if !n.cfg.has(role) {
			writeJSON(w, http.StatusNotFound, map[string]string{"error": "this node does not have the role " + role})
			return
		}
		roles = []string{role}
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	status, said, engines := http.StatusOK, "ready", map[string]string{}
	for name, err := range n.ready(ctx, roles) {
		engines[name] = n.wellness(name)
		if err != nil {
			status, said, engines[name] = http.StatusServiceUnavailable, "not ready", err.Error()
		}
	}
	writeJSON(w, status, map[string]any{"status": said, "engines": engines})
}

func (n *node) welcome(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(n.doors())) // the client may be gone
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
