package dimse

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority issues certificates for tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key, cert, pool}
}

func (a *authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	server := &tls.Config{
		Certificates: []tls.Certificate{ours.issue(t, "server", later)},
		ClientCAs:    ours.pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}
	rec := &recorder{}
	addr := start(t, &Server{Handler: rec, TLS: server, Policy: func(ctx context.Context, rq *AssociateRQ, peer Peer) Decision {
		if peer.TLS == nil || len(peer.TLS.PeerCertificates) == 0 || peer.TLS.PeerCertificates[0].Subject.CommonName != "cart" {
			return Decision{Reject: &RejectNoReason}
		}
		return openPolicy(ctx, rq, peer)
	}})
	for name, tc := range map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"1.3":           {&tls.Config{RootCAs: ours.pool, Certificates: []tls.Certificate{ours.issue(t, "cart", later)}}, true},
		"1.2":           {&tls.Config{RootCAs: ours.pool, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ours.issue(t, "cart", later)}}, true},
		"absent":        {&tls.Config{RootCAs: ours.pool}, false},
		"expired":       {&tls.Config{RootCAs: ours.pool, Certificates: []tls.Certificate{ours.issue(t, "cart", before)}}, false},
		"wrong CA":      {&tls.Config{RootCAs: ours.pool, Certificates: []tls.Certificate{theirs.issue(t, "cart", later)}}, false},
		"other subject": {&tls.Config{RootCAs: ours.pool, Certificates: []tls.Certificate{ours.issue(t, "other", later)}}, false},
		"server's CA":   {&tls.Config{RootCAs: theirs.pool, Certificates: []tls.Certificate{ours.issue(t, "cart", later)}}, false},
		"no TLS":        {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Dial(t.Context(), addr, ClientConfig{TLS: tc.config, Contexts: []Proposal{
				{AbstractSyntax: ctStorage, TransferSyntaxes: []string{ImplicitVRLittleEndian}},
			}})
			if (err == nil) != tc.ok {
				t.Fatalf("Dial: %v", err)
			}
			if !tc.ok {
				return
			}
			data := bytes.Repeat([]byte("data"), 300_000)
			for range 2 {
				status, _, err := c.Store(t.Context(), StoreRequest{SOPClassUID: ctStorage, SOPInstanceUID: "1.2", Data: bytes.NewReader(data)})
				if status != 0 || err != nil {
					t.Fatalf("Store: %04X, %v", status, err)
				}
				if all := rec.all(); all[len(all)-1].sum != sha256.Sum256(data) {
					t.Error("other bytes arrived")
				}
			}
			if err := c.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTLSSilenceAndShutdown(t *testing.T) {
	ours := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "server", time.Now().Add(time.Hour))}}
	addr := start(t, &Server{TLS: config, Limits: Limits{ARTIM: 100 * time.Millisecond}})
	if got := rawDial(t, addr).answer(); got != "closed" {
		t.Errorf("a peer without handshake is answered %s", got)
	}

	s := &Server{TLS: config}
	c := dial(t, start(t, s), func(c *ClientConfig) { c.TLS = &tls.Config{RootCAs: ours.pool} })
	if status, err := c.Echo(t.Context()); status != 0 || err != nil {
		t.Fatalf("C-ECHO: %04X, %v", status, err)
	}
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	eventually(t, func() bool { _, err := c.Echo(t.Context()); return err != nil })
	if err := <-down; err != nil {
		t.Error(err)
	}
}
