package testengine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sys/unix"
)

// s3Package is an S3 server that keeps objects as files: what a test damages on disk, it serves damaged.
const s3Package = "github.com/versity/versitygw/cmd/versitygw"

// S3Region is what the server calls its region.
const S3Region = "us-east-1"

// S3 is a server that speaks S3 over TLS with a certificate of its own authority, on loopback.
type S3 struct {
	process
	folder string
	port   int
	access string
	secret string
	roots  *x509.CertPool
	client *http.Client
}

// S3Option changes how StartS3 starts its server.
type S3Option func(*s3Settings)

type s3Settings struct {
	folder  string
	buckets []string
}

// S3Folder keeps the server's data, certificate and log in dir, made if need be, which outlives the test. The
// default is a folder of the test's own. A server restarted on one folder has its objects still.
func S3Folder(dir string) S3Option { return func(s *s3Settings) { s.folder = dir } }

// S3Buckets names the buckets that are made when the server is up. The default is one named "tributary".
func S3Buckets(names ...string) S3Option { return func(s *s3Settings) { s.buckets = names } }

// StartS3 starts a server, which ends with the test, and makes its buckets. Its port and its random
// credentials stay the same over Stop, Kill and Start. It needs no rights: root and anybody else can run it.
func StartS3(t testing.TB, opts ...S3Option) *S3 {
	t.Helper()
	set := s3Settings{buckets: []string{"tributary"}}
	for _, opt := range opts {
		opt(&set)
	}
	if set.folder == "" {
		set.folder = t.TempDir()
	}
	bin, err := build(s3Package)
	if err != nil {
		Missing(t, "the S3 server for tests cannot be built: %v", err)
	}
	s := &S3{folder: set.folder, port: FreePort(t), access: accessKey, secret: secretKey}
	for _, dir := range []string{s.Data(), s.path("sidecar"), s.path("iam")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.certify(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	s.client = &http.Client{Transport: transport, Timeout: 5 * time.Second}
	s.name, s.log = "versitygw", s.path("log")
	s.command = func() *exec.Cmd { return s.commandLine(bin) }
	s.process.ready = s.healthy
	s.Start(t)
	t.Cleanup(s.Kill)
	for _, bucket := range set.buckets {
		s.MakeBucket(t, bucket)
	}
	return s
}

func (s *S3) path(name string) string { return filepath.Join(s.folder, name) }

// commandLine keeps credentials out of the list of processes.
func (s *S3) commandLine(bin string) *exec.Cmd {
	args := []string{
		"--port", "127.0.0.1:" + strconv.Itoa(s.port), "--cert", s.path("cert.pem"), "--key", s.path("key.pem"),
		"--region", S3Region, "--health", "/health", "--keep-alive", "--quiet", "--iam-dir", s.path("iam"), "posix",
	}
	if !hasAttributes(s.Data()) {
		args = append(args, "--sidecar", s.path("sidecar"))
	}
	cmd := exec.CommandContext(context.Background(), bin, append(args, s.Data())...)
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+s.access, "ROOT_SECRET_ACCESS_KEY="+s.secret)
	return cmd
}

// hasAttributes tells whether files in dir can have extended attributes, where the server keeps metadata.
func hasAttributes(dir string) bool {
	const name = "user.tributary"
	defer unix.Removexattr(dir, name) //nolint:errcheck // it may not be there
	return unix.Setxattr(dir, name, []byte("x"), 0) == nil
}

func (s *S3) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint()+"/health", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Start starts the server again after Stop or Kill, with the same port, credentials and data.
func (s *S3) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop asks the server to end, and waits.
func (s *S3) Stop() { s.signal(syscall.SIGTERM, true) }

// Kill ends the server as a power cut would, and waits. It never syncs, but the system keeps what it wrote.
func (s *S3) Kill() { s.signal(syscall.SIGKILL, true) }

// Pause makes the server hang: connections open, nothing answers.
func (s *S3) Pause() { s.signal(syscall.SIGSTOP, false) }

// Continue lets it go on.
func (s *S3) Continue() { s.signal(syscall.SIGCONT, false) }

// Endpoint is the server's address, "https://127.0.0.1:PORT".
func (s *S3) Endpoint() string { return "https://127.0.0.1:" + strconv.Itoa(s.port) }

// Addr is host and port.
func (s *S3) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// CAFile is the file of the authority that signed the server's certificate, in PEM.
func (s *S3) CAFile() string { return s.path("ca.pem") }

// Data is the folder with a folder for each bucket, in which an object is the file with its key as path.
func (s *S3) Data() string { return s.path("data") }

// URL names a bucket and a prefix as the --blobs flag does. More parameters may be appended with "&".
func (s *S3) URL(bucket, prefix string) string {
	u := url.URL{Scheme: "s3", Host: bucket, Path: "/" + strings.TrimPrefix(prefix, "/")}
	u.RawQuery = url.Values{"endpoint": {s.Endpoint()}, "region": {S3Region}, "path-style": {"true"}, "ca": {s.CAFile()}}.Encode()
	return u.String()
}

// Env is the environment with which a process may use the server, as "NAME=value".
func (s *S3) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.access, "AWS_SECRET_ACCESS_KEY=" + s.secret, "AWS_SESSION_TOKEN="}
}

// All servers of a process have one key, so that tests which run at the same time need one environment.
var accessKey, secretKey = rand.Text(), rand.Text() + rand.Text()

// Setenv sets Env for this process, for good.
func (s *S3) Setenv(t testing.TB) {
	t.Helper()
	for _, pair := range s.Env() {
		name, value, _ := strings.Cut(pair, "=")
		if err := os.Setenv(name, value); err != nil { //nolint:usetesting // t.Setenv is not for tests in parallel
			t.Fatal(err)
		}
	}
}

// Client returns a client of the server with all rights.
func (s *S3) Client(t testing.TB) *minio.Core {
	t.Helper()
	core, err := minio.NewCore(s.Addr(), &minio.Options{
		Creds: credentials.NewStaticV4(s.access, s.secret, ""), Secure: true, Region: S3Region,
		Transport: s.client.Transport, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	return core
}

// MakeBucket makes a bucket that may exist already.
func (s *S3) MakeBucket(t testing.TB, name string) {
	t.Helper()
	err := s.Client(t).MakeBucket(t.Context(), name, minio.MakeBucketOptions{Region: S3Region})
	if err != nil && minio.ToErrorResponse(err).Code != minio.BucketAlreadyOwnedByYou {
		t.Fatalf("make bucket %s: %v", name, err)
	}
}

// certify writes an authority and a certificate of loopback signed by it, unless the folder has them.
func (s *S3) certify() error {
	s.roots = x509.NewCertPool()
	old, err := os.ReadFile(s.CAFile())
	if err == nil {
		s.roots.AppendCertsFromPEM(old)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"localhost", "*.localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &leafKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{
		{"key.pem", "PRIVATE KEY", keyDER},
		{"cert.pem", "CERTIFICATE", leafDER},
		{"ca.pem", "CERTIFICATE", caDER}, // last: it says that the others are there
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})
		if err := os.WriteFile(s.path(f.name), text, 0o600); err != nil {
			return fmt.Errorf("write certificate: %w", err)
		}
		if f.name == "ca.pem" {
			s.roots.AppendCertsFromPEM(text)
		}
	}
	return nil
}
