package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// ClientConfig says how a Client asks for an Association. Zero durations and sizes mean their defaults.
type ClientConfig struct {
	CallingAE string // default "TRIBUTARY"
	CalledAE  string // default "ANY-SCP"
	Contexts  []Proposal
	Identity  *UserIdentity // nil sends none
	TLS       *tls.Config   // nil dials plain TCP; an empty ServerName becomes the host of the address

	MaxPDU         uint32        // that we announce, in bytes; default 131072
	ConnectTimeout time.Duration // for TCP, TLS and the A-ASSOCIATE-AC each; default 10 s
	Timeout        time.Duration // for one write, and for an answer; default 60 s

	// Dial replaces net.Dialer.DialContext when not nil.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// ImplementationClassUID and ImplementationVersionName are told to peers; "" are the defaults.
	ImplementationClassUID    string
	ImplementationVersionName string
}

// Proposal is one Presentation Context to propose; its id follows from its place in the list.
type Proposal struct {
	AbstractSyntax   string
	TransferSyntaxes []string

	// SCP proposes that this side acts as SCP of the SOP Class (C-GET, N-EVENT-REPORT); SCU then says
	// whether it stays SCU as well. Without SCP no role is negotiated and this side is SCU.
	SCP, SCU bool
}

func (c ClientConfig) withDefaults() ClientConfig {
	orDefault(&c.CallingAE, "TRIBUTARY")
	orDefault(&c.CalledAE, "ANY-SCP")
	orDefault(&c.MaxPDU, 128<<10)
	orDefault(&c.ConnectTimeout, 10*time.Second)
	orDefault(&c.Timeout, 60*time.Second)
	orDefault(&c.ImplementationClassUID, DefaultImplementationClassUID)
	orDefault(&c.ImplementationVersionName, DefaultImplementationVersionName)
	return c
}

// Validate reports everything that cannot be sent, together.
func (c ClientConfig) Validate() error {
	c = c.withDefaults()
	var errs []error
	for _, ae := range []string{c.CallingAE, c.CalledAE} {
		if !validAE(ae) {
			errs = append(errs, errors.New("dimse: an AE title has 1 to 16 printable ASCII characters and no backslash"))
		}
	}
	if n := len(c.Contexts); n == 0 || n > 128 {
		errs = append(errs, fmt.Errorf("dimse: %d presentation contexts, want 1 to 128", n))
	}
	for i, p := range c.Contexts {
		if !ValidUID(p.AbstractSyntax) {
			errs = append(errs, fmt.Errorf("dimse: proposal %d has no valid abstract syntax", i))
		}
		if len(p.TransferSyntaxes) == 0 {
			errs = append(errs, fmt.Errorf("dimse: proposal %d has no transfer syntax", i))
		}
		for _, ts := range p.TransferSyntaxes {
			if !ValidUID(ts) {
				errs = append(errs, fmt.Errorf("dimse: proposal %d has a malformed transfer syntax", i))
			}
		}
	}
	if c.MaxPDU < 4<<10 || c.MaxPDU > 16<<20 {
		errs = append(errs, fmt.Errorf("dimse: maximum PDU of %d bytes, want 4 KiB to 16 MiB", c.MaxPDU))
	}
	if id := c.Identity; id != nil && len(id.Primary)+len(id.Secondary) > 60000 {
		errs = append(errs, errors.New("dimse: user identity is longer than its item can hold"))
	}
	return errors.Join(errs...)
}

func validAE(s string) bool {
	if len(s) == 0 || len(s) > 16 || s != aeString([]byte(s)) {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}
