package s3blob

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	minPartBytes     = 5 << 20 // S3 refuses smaller parts, except for the last
	defaultPartBytes = 8 << 20
	maxPartBytes     = 64 << 20 // a part is memory, for as long as the budget lets it

	// maxPrefixBytes leaves room for our part of a key in the 1,024 bytes that S3 allows.
	maxPrefixBytes = 512
	maxURLBytes    = 8 << 10
)

// Config is what a URL says. Credentials are never part of it.
type Config struct {
	Bucket     string
	Prefix     string // ends in "/" unless empty
	Endpoint   string // host, or host:port
	Secure     bool   // TLS
	Region     string
	PathStyle  bool
	SSE        string // "", "AES256", "aws:kms"
	KMSKey     string // "" means the bucket's or the account's default key
	PartBytes  int64  // of the first parts of a large blob
	CAFile     string // PEM; "" means the system's authorities
	SkipVerify bool   // any certificate will do
	Profile    string // of the shared credentials file
	Checksum   string // "crc32c", "sha256"
}

// parameters are all that a URL may have, with what each says to people.
var parameters = []struct {
	name, help string
	set        func(*Config, string) error
}{
	{"endpoint", "https://HOST[:PORT], default AWS", (*Config).setEndpoint},
	{"region", "default AWS_REGION, or us-east-1 with an endpoint", func(c *Config, v string) error { return setName(&c.Region, v) }},
	{"path-style", "true or false, default true with an endpoint", func(c *Config, v string) error { return setBool(&c.PathStyle, v) }},
	{"sse", "AES256, aws:kms or aws:kms:KEYID, default the bucket's", (*Config).setSSE},
	{"part-size", "5MiB to 64MiB, default 8MiB", (*Config).setPartSize},
	{"checksum", "crc32c or sha256, default crc32c", (*Config).setChecksum},
	{"ca", "a PEM file of the authorities to trust, default the system's", func(c *Config, v string) error { return setText(&c.CAFile, v) }},
	{"insecure", "true: any certificate, or none at all, will do", func(c *Config, v string) error { return setBool(&c.SkipVerify, v) }},
	{"profile", "of the shared credentials file, default AWS_PROFILE", func(c *Config, v string) error { return setText(&c.Profile, v) }},
}

// ParseURL reads s3://BUCKET[/PREFIX][?PARAMETERS]. getenv is asked for AWS_REGION and AWS_DEFAULT_REGION where
// the URL names no region. An error never quotes what may be a secret.
func ParseURL(raw string, getenv func(string) string) (Config, error) {
	c, err := parseURL(raw, getenv)
	if err != nil {
		return Config{}, fmt.Errorf("blob store URL: %w", err)
	}
	return c, nil
}

func parseURL(raw string, getenv func(string) string) (Config, error) {
	if len(raw) > maxURLBytes {
		return Config{}, fmt.Errorf("is longer than %d bytes", maxURLBytes)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return Config{}, errors.New("cannot be parsed; write s3://BUCKET/PREFIX?endpoint=https://HOST")
	case u.Scheme != "s3" || u.Opaque != "":
		return Config{}, errors.New("must begin with s3://")
	case u.User != nil:
		return Config{}, errCredentials
	case u.Fragment != "":
		return Config{}, errors.New("must have no #fragment")
	case !isBucket(u.Host):
		return Config{}, errors.New("names no valid bucket; write s3://BUCKET/PREFIX")
	}
	c := Config{Bucket: u.Host, Checksum: checksumCRC32C, PartBytes: defaultPartBytes}
	if c.Prefix, err = prefixOf(u.Path); err != nil {
		return Config{}, err
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, errors.New("has parameters that cannot be parsed")
	}
	c.PathStyle = query.Has("endpoint")
	for _, p := range parameters { // in this order, so that errors are the same every time
		values := query[p.name]
		delete(query, p.name)
		switch {
		case len(values) > 1:
			return Config{}, fmt.Errorf("%s stands %d times", p.name, len(values))
		case len(values) == 0:
		default:
			if err := p.set(&c, values[0]); err != nil {
				return Config{}, fmt.Errorf("%s: %w (%s)", p.name, err, p.help)
			}
		}
	}
	if len(query) > 0 {
		return Config{}, unknownParameters(query)
	}
	return c, c.complete(getenv)
}

// complete fills in what follows from the rest, and checks what must fit together.
func (c *Config) complete(getenv func(string) string) error {
	ours := c.Endpoint != ""
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if c.Region == "" {
			if err := setName(&c.Region, getenv(name)); err != nil && getenv(name) != "" {
				return fmt.Errorf("%s in the environment: %w", name, err)
			}
		}
	}
	switch {
	case c.Region == "" && !ours:
		return errors.New("region is missing; write region=NAME or set AWS_REGION")
	case c.Region == "":
		c.Region = "us-east-1" // what servers other than AWS expect, or ignore
	}
	if !ours {
		c.Endpoint, c.Secure = "s3."+c.Region+".amazonaws.com", true
		if strings.HasPrefix(c.Region, "cn-") {
			c.Endpoint += ".cn"
		}
	}
	switch {
	case !c.Secure && c.CAFile != "":
		return errors.New("ca needs an endpoint with https://")
	case c.CAFile != "" && c.SkipVerify:
		return errors.New("ca and insecure=true contradict each other")
	case !c.Secure && !c.SkipVerify && !isLoopback(c.Endpoint):
		return errors.New("endpoint: http:// would send patients' data in clear text; write https://, or insecure=true where the network is yours alone")
	case !c.PathStyle && strings.Contains(c.Bucket, ".") && c.Secure:
		return errors.New("a bucket with dots in its name needs path-style=true: no certificate covers it as a host name")
	}
	return nil
}

var errCredentials = errors.New("must not hold credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile or an instance role")

// unknownParameters says what is not known and what is. Where somebody wrote a secret, only its name is told.
func unknownParameters(query url.Values) error {
	var unknown, known []string
	for name := range query {
		lower := strings.ToLower(name)
		if strings.Contains(lower, "secret") || strings.Contains(lower, "key") || strings.Contains(lower, "token") || strings.Contains(lower, "password") {
			return errCredentials
		}
		unknown = append(unknown, fmt.Sprintf("%.40q", name))
	}
	slices.Sort(unknown)
	for _, p := range parameters {
		known = append(known, p.name+" ("+p.help+")")
	}
	return fmt.Errorf("unknown parameter %s; allowed are %s", strings.Join(unknown[:min(len(unknown), 3)], ", "), strings.Join(known, "; "))
}

func (c *Config) setEndpoint(v string) error {
	u, err := url.Parse(v)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return errors.New("not https://HOST[:PORT]")
	case u.User != nil:
		return errCredentials
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return errors.New("has more than host and port")
	case strings.Trim(u.Hostname(), hostBytes) != "":
		return errors.New("not a host name")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("not a port")
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return errors.New("not a port")
	}
	c.Endpoint, c.Secure = u.Host, u.Scheme == "https"
	return nil
}

const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:" // ":" in an IPv6 address

func (c *Config) setSSE(v string) error {
	kind, key := v, ""
	if rest, ok := strings.CutPrefix(v, "aws:kms:"); ok { // a key may be an ARN, which has colons too
		kind, key = "aws:kms", rest
		if key == "" {
			return errors.New("no key id")
		}
	}
	if kind != "AES256" && kind != "aws:kms" {
		return errors.New("no such encryption")
	}
	c.SSE = kind
	if key == "" {
		return nil
	}
	return setText(&c.KMSKey, key)
}

func (c *Config) setChecksum(v string) error {
	if v != checksumCRC32C && v != checksumSHA256 {
		return errors.New("no such checksum")
	}
	c.Checksum = v
	return nil
}

func (c *Config) setPartSize(v string) error {
	digits, unit := v, int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if d, ok := strings.CutSuffix(v, u.suffix); ok {
			digits, unit = d, u.bytes
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n*unit < minPartBytes || n*unit > maxPartBytes {
		return errors.New("not a size in that range")
	}
	c.PartBytes = n * unit
	return nil
}

func setBool(to *bool, v string) error {
	if v != "true" && v != "false" {
		return errors.New("neither true nor false")
	}
	*to = v == "true"
	return nil
}

// setText takes any printable text.
func setText(to *string, v string) error {
	if v == "" || len(v) > 2048 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7F || r == '\uFFFD' }) {
		return errors.New("empty, too long, or not text")
	}
	*to = v
	return nil
}

func setName(to *string, v string) error {
	if v == "" || len(v) > 64 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return errors.New("not a name of letters, digits and hyphens")
	}
	*to = v
	return nil
}

// isBucket holds to the rules for names of buckets that every server accepts.
func isBucket(s string) bool {
	return len(s) >= 3 && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" &&
		!strings.Contains(s, "..") && strings.Trim(s[:1]+s[len(s)-1:], ".-") == s[:1]+s[len(s)-1:] && net.ParseIP(s) == nil
}

// prefixOf turns a URL's path into what stands before each key.
func prefixOf(path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", nil
	}
	if len(path) > maxPrefixBytes {
		return "", fmt.Errorf("has a prefix of more than %d bytes", maxPrefixBytes)
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!-_.*'()=") != "" {
			return "", errors.New("has a prefix of more than letters, digits and !-_.*'()= between slashes")
		}
	}
	return path + "/", nil
}

func isLoopback(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = strings.Trim(endpoint, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
