package dimse

import (
	"crypto/tls"
	"net"
)

// Peer is what the transport knows of the other side before any DICOM byte was read.
type Peer struct {
	Addr  net.Addr             // remote address
	Local net.Addr             // address that was dialled
	TLS   *tls.ConnectionState // nil without TLS; its handshake is complete
}

// IP returns the textual IP address of the peer without port or zone, the whole address when it is not TCP.
func (p Peer) IP() string {
	if p.Addr == nil {
		return ""
	}
	if t, ok := p.Addr.(*net.TCPAddr); ok {
		return t.IP.String()
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}
