package kafkalog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
)

// Bounds of what a URL may ask for.
const (
	maxBrokers    = 64
	maxPartitions = 10_000
	maxPrefix     = 200 // a topic has 249 characters at most
	minRecord     = 1 << 20
	maxRecord     = 64 << 20
)

// config is what a URL says, checked.
type config struct {
	brokers     []string // host:port
	prefix      string
	partitions  int // of topics that are made
	replication int
	minInsync   int
	maxRecord   int  // bytes of one event, key and value and headers
	bounded     bool // topics with limited retention are taken
	create      bool // missing topics are made
	timeout     time.Duration
	mechanism   string // of SASL: plain, scram-sha-256, scram-sha-512, or ""
	tls         *tls.Config
}

// parameter is one that a URL may have.
type parameter struct {
	name, values string
	set          func(c *config, value string) error
}

func parameters() []parameter {
	number := func(into func(*config) *int, low, high int) func(*config, string) error {
		return func(c *config, value string) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < low || n > high {
				return fmt.Errorf("is a number from %d to %d", low, high)
			}
			*into(c) = n
			return nil
		}
	}
	choice := func(set func(c *config, value string), values ...string) func(*config, string) error {
		return func(c *config, value string) error {
			if !slices.Contains(values, value) {
				return fmt.Errorf("is one of %s", strings.Join(values, ", "))
			}
			set(c, value)
			return nil
		}
	}
	return []parameter{
		{"partitions", "1 to 10000 (12)", number(func(c *config) *int { return &c.partitions }, 1, maxPartitions)},
		{"replication", "1 to 9 (3)", number(func(c *config) *int { return &c.replication }, 1, 9)},
		{"min-insync", "1 to 9 (one less than replication)", number(func(c *config) *int { return &c.minInsync }, 1, 9)},
		{"max-record", "bytes (4194304)", number(func(c *config) *int { return &c.maxRecord }, minRecord, maxRecord)},
		{"retention", "unlimited, bounded (unlimited)", choice(func(c *config, v string) { c.bounded = v == "bounded" }, "unlimited", "bounded")},
		{"create", "true, false (true)", choice(func(c *config, v string) { c.create = v == "true" }, "true", "false")},
		{"timeout", "500ms to 1m (3s)", func(c *config, value string) error {
			d, err := time.ParseDuration(value)
			if err != nil || d < 500*time.Millisecond || d > time.Minute {
				return errors.New("is a time from 500ms to 1m")
			}
			c.timeout = d
			return nil
		}},
		{"sasl", "plain, scram-sha-256, scram-sha-512", choice(func(c *config, v string) { c.mechanism = v }, "plain", "scram-sha-256", "scram-sha-512")},
		{"tls", "true, false (false)", choice(func(c *config, v string) {
			if v == "true" {
				c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
			}
		}, "true", "false")},
		{"ca", "FILE of certificates (PEM) that verify the brokers", nil},      // below: it needs tls
		{"cert", "FILE of our certificate (PEM), for brokers that ask", nil},   // below
		{"key", "FILE of its key (PEM)", nil},                                  // below
		{"server-name", "name in the brokers' certificates, if not HOST", nil}, // below
	}
}

// parseURL reads kafka://HOST:PORT,…/PREFIX?…. Its errors never quote what could be a password.
func parseURL(raw string) (c config, err error) {
	rest, ok := strings.CutPrefix(raw, "kafka://")
	if !ok {
		return c, errors.New("a Kafka address begins with kafka://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, prefix, _ := strings.Cut(rest, "/")
	if strings.Contains(hosts, "@") {
		return c, errors.New("the address must not hold a user or password: use TRIBUTARY_KAFKA_USER and TRIBUTARY_KAFKA_PASSWORD_FILE")
	}
	if c.brokers, err = parseBrokers(hosts); err != nil {
		return c, err
	}
	c.prefix = strings.TrimSuffix(prefix, "/")
	if !validPrefix(c.prefix) {
		return c, fmt.Errorf("write a topic prefix behind the brokers, kafka://HOST:PORT/PREFIX: 1 to %d letters, digits, dots, dashes or underscores", maxPrefix)
	}
	c.partitions, c.replication, c.maxRecord, c.create, c.timeout = 12, 3, 4<<20, true, 3*time.Second
	values, err := url.ParseQuery(query)
	if err != nil {
		return c, errors.New("the part of the address behind ? cannot be read")
	}
	if err := c.setAll(values); err != nil {
		return c, err
	}
	if c.minInsync == 0 {
		c.minInsync = max(c.replication-1, 1)
	}
	if c.minInsync > c.replication {
		return c, fmt.Errorf("min-insync=%d: more than replication=%d", c.minInsync, c.replication)
	}
	if c.mechanism == "plain" && c.tls == nil {
		return c, errors.New("sasl=plain sends the password as it is: add tls=true, or use sasl=scram-sha-512")
	}
	return c, c.loadTLS(values)
}

func (c *config) setAll(values url.Values) error {
	var unknown []string
	known := map[string]parameter{}
	var allowed []string
	for _, p := range parameters() {
		known[p.name] = p
		allowed = append(allowed, p.name+"="+p.values)
	}
	for name, all := range values {
		p, ok := known[name]
		switch {
		case !ok:
			unknown = append(unknown, fmt.Sprintf("%.30q", name))
		case len(all) != 1:
			return fmt.Errorf("%s is given %d times", name, len(all))
		case p.set != nil:
			if err := p.set(c, all[0]); err != nil {
				return fmt.Errorf("%s=%.30q: it %w", name, all[0], err)
			}
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("unknown %s; known are: %s", strings.Join(unknown, ", "), strings.Join(allowed, "; "))
	}
	return nil
}

// loadTLS reads the files that a URL names.
func (c *config) loadTLS(values url.Values) error {
	ca, cert, key, name := values.Get("ca"), values.Get("cert"), values.Get("key"), values.Get("server-name")
	if c.tls == nil {
		if ca+cert+key+name != "" {
			return errors.New("ca, cert, key and server-name need tls=true")
		}
		return nil
	}
	c.tls.ServerName = name
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		c.tls.RootCAs = x509.NewCertPool()
		if !c.tls.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("ca: %s holds no certificate (PEM)", ca)
		}
	}
	if (cert == "") != (key == "") {
		return errors.New("cert and key go together")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("cert, key: %w", err)
		}
		c.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

func parseBrokers(hosts string) ([]string, error) {
	var all []string
	for text := range strings.SplitSeq(hosts, ",") {
		if len(all) == maxBrokers {
			return nil, fmt.Errorf("more than %d brokers: some of them are enough", maxBrokers)
		}
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			host, port = strings.Trim(text, "[]"), "9092"
		}
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > math.MaxUint16 || host == "" || strings.ContainsFunc(host, notInHost) {
			return nil, errors.New("name the brokers: kafka://HOST:PORT,HOST:PORT/PREFIX")
		}
		all = append(all, net.JoinHostPort(host, port))
	}
	return all, nil
}

func notInHost(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`@/?#[]"'\`, r)
}

// validPrefix holds names to Kafka's characters.
func validPrefix(s string) bool {
	return s != "" && len(s) <= maxPrefix && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}

// credentials returns the mechanism by which brokers know us, nil for none. Secrets come from the
// environment, or from a file that it names, so that no address in a process list holds one.
func (c *config) credentials(getenv func(string) string) (sasl.Mechanism, error) {
	if c.mechanism == "" {
		return nil, nil
	}
	user, password := getenv("TRIBUTARY_KAFKA_USER"), getenv("TRIBUTARY_KAFKA_PASSWORD")
	if file := getenv("TRIBUTARY_KAFKA_PASSWORD_FILE"); file != "" {
		if password != "" {
			return nil, errors.New("TRIBUTARY_KAFKA_PASSWORD and TRIBUTARY_KAFKA_PASSWORD_FILE are both set")
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("TRIBUTARY_KAFKA_PASSWORD_FILE: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if user == "" || password == "" {
		return nil, fmt.Errorf("sasl=%s needs TRIBUTARY_KAFKA_USER and TRIBUTARY_KAFKA_PASSWORD_FILE (or TRIBUTARY_KAFKA_PASSWORD)", c.mechanism)
	}
	if c.mechanism == "plain" {
		return plain.Mechanism{Username: user, Password: password}, nil
	}
	return newScram(c.mechanism, user, password), nil
}
