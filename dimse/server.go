package dimse

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
)

// Server accepts Associations. Set its fields before Serve and leave them alone afterwards.
type Server struct {
	Policy  Policy      // required
	Handler Handler     // required
	Limits  Limits      // zero fields are defaults
	TLS     *tls.Config // nil serves plain TCP
	Log     *slog.Logger
	Metrics Metrics

	// ImplementationClassUID and ImplementationVersionName are told to peers; "" are the defaults.
	ImplementationClassUID    string
	ImplementationVersionName string
}

// Serve accepts connections of ln until Shutdown or until ctx ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error { return ErrServerClosed }

// Shutdown stops accepting.
func (s *Server) Shutdown(ctx context.Context) error { return nil }
