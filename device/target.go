package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
)

// Sender sends objects one after the other. Not safe for concurrent use: each worker has its own.
type Sender interface {
	// Send sends one object and returns the node's answer. An error means that there was none; after a
	// TemporaryError the object may be sent again with the same Sender.
	Send(ctx context.Context, o Object) (Outcome, error)
	Close() error
}

// Ways to send.
const (
	ViaDICOM  = "dicom"
	ViaSTOW   = "stow"
	ViaUpload = "upload"
	ViaTus    = "tus"
)

// Target is where to send and how.
type Target struct {
	Via       string // one of the Via… constants
	Address   string // host:port for DICOM, base URL of the node for HTTP
	CalledAE  string
	CallingAE string
	Token     string // bearer token for HTTP

	// Progress, when set, hears of bytes as they go out.
	Progress func(n int)
}

// ParseTarget reads "dicom://AET@host:port" (default port 104, AE title TRIBUTARY) or an HTTP URL: ".../dicom-web[/studies]" is STOW-RS,
// ".../upload" plain upload, ".../upload/tus" tus; via overrides, and a bare "http://host:port" is STOW-RS.
func ParseTarget(to, via string) (Target, error) {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" {
		return Target{}, errors.New("the target is no address: write dicom://AET@host:port or http://host:port")
	}
	to = u.Redacted() // a password is nothing for messages
	switch u.Scheme {
	case "dicom":
		if via != "" && via != ViaDICOM {
			return Target{}, fmt.Errorf("target %q is a DICOM address; %s needs http://host:port", to, via)
		}
		t := Target{Via: ViaDICOM, Address: u.Host, CalledAE: u.User.Username()}
		if u.Port() == "" {
			t.Address = net.JoinHostPort(u.Hostname(), "104")
		}
		if t.CalledAE == "" {
			t.CalledAE = "TRIBUTARY"
		}
		return t, nil
	case "http", "https":
	default:
		return Target{}, fmt.Errorf("target %q: write dicom://AET@host:port or http://host:port", to)
	}
	path := strings.TrimSuffix(u.Path, "/")
	guess, base := ViaSTOW, path
	for suffix, what := range map[string]string{"/dicom-web/studies": ViaSTOW, "/dicom-web": ViaSTOW, "/upload/tus": ViaTus, "/upload": ViaUpload} {
		if b, ok := strings.CutSuffix(path, suffix); ok && len(b) < len(base) {
			guess, base = what, b
		}
	}
	if via == "" {
		via = guess
	}
	switch via {
	case ViaSTOW, ViaUpload, ViaTus:
	default:
		return Target{}, fmt.Errorf("cannot send by %q to %q: an HTTP address takes stow, upload or tus", via, to)
	}
	t := Target{Via: via, Address: u.Scheme + "://" + u.Host + base}
	if password, ok := u.User.Password(); ok {
		t.Token = password
	}
	return t, nil
}

// Open returns a Sender of the target. objects are those that it will be given, as far as known: a
// C-STORE association proposes what they need.
func (t Target) Open(objects []Object) Sender {
	switch t.Via {
	case ViaDICOM:
		return newStorer(t, objects)
	case ViaUpload:
		return &uploader{t}
	case ViaTus:
		return &tusSender{Target: t, pause: tusPause}
	default:
		return &stower{t}
	}
}

// body opens an object from an offset on, counting what is read.
func (t Target) body(o Object, from int64) (io.ReadCloser, error) {
	r, err := o.Open()
	if err != nil {
		return nil, err
	}
	if from > 0 {
		if s, ok := r.(io.Seeker); ok {
			_, err = s.Seek(from, io.SeekStart)
		} else {
			_, err = io.CopyN(io.Discard, r, from)
		}
		if err != nil {
			_ = r.Close() // only read from
			return nil, err
		}
	}
	if t.Progress == nil {
		return r, nil
	}
	return &counted{r, t.Progress}, nil
}

type counted struct {
	io.ReadCloser
	count func(int)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.count(n)
	return n, err
}
