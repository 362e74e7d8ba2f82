package upload

import (
	"context"
	"log/slog"

	xslog "golang.org/x/exp/slog"
)

// tusdLog passes on what an operator should hear of tusd's log, which is little: its lines carry URLs
// and bodies, and file names of patients must not come near a log. Only the constant message, the status
// and the upload's id survive. Broken connections are what tus is for: debug.
type tusdLog struct {
	to    *slog.Logger
	attrs []slog.Attr
}

// Enabled implements slog.Handler of x/exp.
func (l tusdLog) Enabled(_ context.Context, level xslog.Level) bool { return level >= xslog.LevelWarn }

// Handle implements slog.Handler of x/exp.
func (l tusdLog) Handle(ctx context.Context, r xslog.Record) error {
	level := slog.LevelDebug
	if r.Level >= xslog.LevelError && r.Message != "BodyReadError" {
		level = slog.LevelWarn
	}
	attrs := append([]slog.Attr{slog.String("door", "tus"), slog.String("event", r.Message)}, l.attrs...)
	r.Attrs(func(a xslog.Attr) bool {
		attrs = appendSafe(attrs, a)
		return true
	})
	l.to.LogAttrs(ctx, level, "tus handler", attrs...)
	return nil
}

// WithAttrs implements slog.Handler of x/exp.
func (l tusdLog) WithAttrs(attrs []xslog.Attr) xslog.Handler {
	kept := append([]slog.Attr{}, l.attrs...)
	for _, a := range attrs {
		kept = appendSafe(kept, a)
	}
	return tusdLog{l.to, kept}
}

// WithGroup implements slog.Handler of x/exp.
func (l tusdLog) WithGroup(string) xslog.Handler { return l }

func appendSafe(attrs []slog.Attr, a xslog.Attr) []slog.Attr {
	switch a.Key {
	case "id":
		if id := a.Value.String(); validID(id) {
			return append(attrs, slog.String("upload", id))
		}
	case "status":
		return append(attrs, slog.String("status", a.Value.String()))
	}
	return attrs
}
