package s3blob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second

	// idleConns is kept open to one server: opening one costs two round trips and a handshake.
	idleConns = 64

	// wireBytes is read from and written to a connection at once.
	wireBytes = 64 << 10

	// metadataTimeout is for the service that tells an instance its role.
	metadataTimeout = 5 * time.Second
)

// client is one bucket of one server.
type client struct {
	core      *minio.Core
	transport *http.Transport
	bucket    string
	prefix    string
	algorithm algorithm
	sse       encrypt.ServerSide // nil for the bucket's default
}

func newClient(ctx context.Context, cfg Config, opt Options) (*client, error) {
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	var wire http.RoundTripper = transport
	if opt.Wrap != nil {
		wire = opt.Wrap(wire)
	}
	creds, err := findCredentials(ctx, cfg)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupDNS
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(cfg.Endpoint, &minio.Options{
		Creds: creds, Secure: cfg.Secure, Transport: wire, Region: cfg.Region, BucketLookup: lookup,
		MaxRetries: 1, // do tries again, and knows what may be
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	core.SetS3EnableDualstack(false) // private links to AWS may know the plain names only
	name, version, _ := strings.Cut(opt.UserAgent, "/")
	if version == "" {
		version = "0"
	}
	core.SetAppInfo(name, version)
	c := &client{
		core: core, transport: transport, bucket: cfg.Bucket, prefix: cfg.Prefix,
		algorithm: algorithm{name: cfg.Checksum, sign: cfg.Checksum == checksumSHA256 || !cfg.Secure},
	}
	switch cfg.SSE {
	case "AES256":
		c.sse = encrypt.NewSSE()
	case "aws:kms":
		if c.sse, err = encrypt.NewSSEKMS(cfg.KMSKey, nil); err != nil {
			return nil, fmt.Errorf("sse: %w", err)
		}
	}
	return c, nil
}

func newTransport(cfg Config) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: handshakeTimeout,
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     idleTimeout,
		WriteBufferSize:     wireBytes,
		ReadBufferSize:      wireBytes,
		DisableCompression:  true, // what was stored is what is read
	}
	if !cfg.Secure {
		return t, nil
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: cfg.SkipVerify} //nolint:gosec // insecure=true says so
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("ca: %s holds no certificate in PEM", cfg.CAFile)
		}
	}
	return t, nil
}

// findCredentials looks where the tools of AWS and MinIO look: the environment, the shared files, the
// instance's role. They are asked again when they expire.
func findCredentials(ctx context.Context, cfg Config) (*credentials.Credentials, error) {
	web := &http.Client{Timeout: metadataTimeout}
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{}}
	if os.Getenv("AWS_EC2_METADATA_DISABLED") != "true" {
		providers = append(providers, &credentials.IAM{Client: web, Region: cfg.Region})
	}
	creds := credentials.NewChainCredentials(providers)
	if cfg.Profile != "" {
		creds = credentials.NewFileAWSCredentials("", cfg.Profile)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	value, err := creds.GetWithContext(&credentials.CredContext{Client: web})
	if err != nil && cfg.Profile != "" {
		return nil, fmt.Errorf("credentials of profile %s: %w", cfg.Profile, err)
	}
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if value.AccessKeyID == "" || value.SecretAccessKey == "" {
		return nil, errors.New("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or write ~/.aws/credentials, or give the instance a role")
	}
	return creds, nil
}

// name is an object's.
func (c *client) name(key string) string { return c.prefix + key }

// putOptions are those of a new object. record is that of a bare blob, "" for none.
func (c *client) putOptions(record string) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{
		ServerSideEncryption: c.sse,
		DisableContentSha256: true, // we hash ourselves, where it is needed
		UserMetadata:         map[string]string{},
	}
	if record != "" {
		opts.UserMetadata[headerName] = record
	}
	return opts
}

// put sends an object with one request. It must not exist when fresh is set.
func (c *client) put(ctx context.Context, w *watch, key string, p *part, record string, fresh bool) error {
	opts := c.putOptions(record)
	sum := c.algorithm.sumHeader(c.algorithm.raw(&p.sum))
	for name := range sum {
		opts.UserMetadata[name] = sum.Get(name)
	}
	if fresh {
		opts.SetMatchETagExcept("*")
	}
	b := &body{part: p, touch: w.touch}
	defer b.stop()
	info, err := c.core.PutObject(ctx, c.bucket, c.name(key), b, p.size, "", c.algorithm.signed(&p.sum), opts)
	if err != nil {
		return err
	}
	return c.algorithm.same(info.ChecksumCRC32C, info.ChecksumSHA256, sum)
}

// same compares what the server says that it computed, where it says so.
func (a algorithm) same(crc, sha string, sum http.Header) error {
	theirs := crc
	if a.name == checksumSHA256 {
		theirs = sha
	}
	if !answered(theirs, sum.Get(a.header())) {
		return errMismatch
	}
	return nil
}
