package kafkalog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseURL(t *testing.T) {
	c, err := parseURL("kafka://b1,b2:9093,[::1]:9094/county/?partitions=24&replication=5&min-insync=3&max-record=1048576&retention=bounded&create=false&timeout=10s&sasl=scram-sha-256&tls=true&server-name=kafka.example")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.brokers, []string{"b1:9092", "b2:9093", "[::1]:9094"}) || c.prefix != "county" || c.partitions != 24 || c.replication != 5 ||
		c.minInsync != 3 || c.maxRecord != 1<<20 || !c.bounded || c.create || c.timeout != 10*time.Second ||
		c.mechanism != "scram-sha-256" || c.tls == nil || c.tls.ServerName != "kafka.example" || c.tls.InsecureSkipVerify {
		t.Errorf("%+v", c)
	}
	c, err = parseURL("kafka://b/p")
	if err != nil || c.partitions != 12 || c.replication != 3 || c.minInsync != 2 || c.maxRecord != 4<<20 || c.bounded || !c.create ||
		c.timeout != 3*time.Second || c.mechanism != "" || c.tls != nil {
		t.Errorf("defaults %+v, %v", c, err)
	}
	if c, err = parseURL("kafka://b/p?replication=1"); err != nil || c.minInsync != 1 {
		t.Errorf("one replica: %+v, %v", c, err)
	}
}

func TestBadURLs(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.pem")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"http://b/p":                                  "kafka://",
		"kafka://user:secret@b/p":                     "TRIBUTARY_KAFKA_PASSWORD_FILE",
		"kafka://b":                                   "prefix",
		"kafka:///p":                                  "brokers",
		"kafka://b:0/p":                               "brokers",
		"kafka://b:99999/p":                           "brokers",
		"kafka://b b/p":                               "brokers",
		"kafka://b/a/b":                               "prefix",
		"kafka://b/" + strings.Repeat("x", 201):       "prefix",
		"kafka://b/p?partition=3":                     "partitions=1 to 10000",
		"kafka://b/p?partitions=0":                    "number from 1",
		"kafka://b/p?partitions=1&partitions=2":       "2 times",
		"kafka://b/p?replication=2&min-insync=3":      "min-insync",
		"kafka://b/p?max-record=100":                  "number from",
		"kafka://b/p?timeout=1h":                      "time from",
		"kafka://b/p?retention=1":                     "unlimited, bounded",
		"kafka://b/p?sasl=gssapi":                     "scram-sha-512",
		"kafka://b/p?sasl=plain":                      "tls=true",
		"kafka://b/p?acks=1":                          "unknown",
		"kafka://b/p?ca=x":                            "tls=true",
		"kafka://b/p?tls=true&ca=" + missing:          "ca:",
		"kafka://b/p?tls=true&ca=" + empty:            "no certificate",
		"kafka://b/p?tls=true&cert=x":                 "go together",
		"kafka://b/p?%zz":                             "cannot be read",
		"kafka://" + strings.Repeat("b,", 80) + "b/p": "brokers",
	} {
		_, err := parseURL(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		mechanism string
		env       map[string]string
		ok        bool
	}{
		"none":            {"", nil, true},
		"from a file":     {"scram-sha-512", map[string]string{"TRIBUTARY_KAFKA_USER": "u", "TRIBUTARY_KAFKA_PASSWORD_FILE": file}, true},
		"from the env":    {"plain", map[string]string{"TRIBUTARY_KAFKA_USER": "u", "TRIBUTARY_KAFKA_PASSWORD": "p"}, true},
		"both":            {"plain", map[string]string{"TRIBUTARY_KAFKA_USER": "u", "TRIBUTARY_KAFKA_PASSWORD": "p", "TRIBUTARY_KAFKA_PASSWORD_FILE": file}, false},
		"no user":         {"plain", map[string]string{"TRIBUTARY_KAFKA_PASSWORD": "p"}, false},
		"no password":     {"plain", map[string]string{"TRIBUTARY_KAFKA_USER": "u"}, false},
		"no such file":    {"plain", map[string]string{"TRIBUTARY_KAFKA_USER": "u", "TRIBUTARY_KAFKA_PASSWORD_FILE": file + "x"}, false},
		"nothing, though": {"scram-sha-256", nil, false},
	} {
		c := config{mechanism: test.mechanism}
		m, err := c.credentials(func(k string) string { return test.env[k] })
		if (err == nil) != test.ok || test.ok && (m == nil) != (test.mechanism == "") {
			t.Errorf("%s: %v, %v", name, m, err)
		}
		if m != nil && strings.ToLower(m.Name()) != test.mechanism {
			t.Errorf("%s: mechanism %s", name, m.Name())
		}
	}
}

// The exchange of RFC 7677 §3.
func TestScramOfTheRFC(t *testing.T) {
	m := newScram("scram-sha-256", "user", "pencil")
	m.nonce = func() string { return "rOprNGfwEbeRWgbNEkqO" }
	x, first, err := m.Start(t.Context())
	if err != nil || string(first) != "n,,n=user,r=rOprNGfwEbeRWgbNEkqO" {
		t.Fatalf("%s, %v", first, err)
	}
	done, proof, err := x.Next(t.Context(), []byte("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))
	const want = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	if done || err != nil || string(proof) != want {
		t.Fatalf("%s, %v", proof, err)
	}
	if done, _, err = x.Next(t.Context(), []byte("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")); !done || err != nil {
		t.Fatalf("done %v, %v", done, err)
	}
}

func TestScramRefuses(t *testing.T) {
	good := "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	for name, challenge := range map[string]string{
		"nonce of another": "r=xyzdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "nonce without the server's": "r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"no salt": "r=abcdef,i=4096", "too much work": "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999", "no work": "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
		"an error": "e=unknown-user", "nothing": "",
	} {
		m := newScram("scram-sha-512", "u", "p")
		m.nonce = func() string { return "abc" }
		x, _, _ := m.Start(t.Context())
		if _, _, err := x.Next(t.Context(), []byte(challenge)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	m := newScram("scram-sha-256", "u", "p")
	m.nonce = func() string { return "abc" }
	x, _, _ := m.Start(t.Context())
	if _, _, err := x.Next(t.Context(), []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, last := range []string{"v=", "v=AAAA", "v=%%%", ""} {
		if done, _, err := x.Next(t.Context(), []byte(last)); done || err == nil {
			t.Errorf("a server that does not know the password was believed: %q", last)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("kafka://b1:9092,b2/prefix?partitions=3&replication=1&timeout=1s")
	f.Add("kafka://[::1]:1/p?tls=true&server-name=x&sasl=scram-sha-512")
	f.Add("kafka://u:p@h/x?%41=%zz;")
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Contains(raw, "ca") || strings.Contains(raw, "cert") || strings.Contains(raw, "%") {
			return // would open files
		}
		c, err := parseURL(raw)
		if err != nil {
			return
		}
		if len(c.brokers) == 0 || !validPrefix(c.prefix) || c.partitions < 1 || c.minInsync < 1 || c.minInsync > c.replication || c.timeout <= 0 {
			t.Fatalf("%q: %+v", raw, c)
		}
		again, err := parseURL(fmt.Sprintf("kafka://%s/%s", strings.Join(c.brokers, ","), c.prefix))
		if err != nil || !slices.Equal(again.brokers, c.brokers) {
			t.Fatalf("%q: brokers %v do not come back: %v, %v", raw, c.brokers, again.brokers, err)
		}
	})
}

func FuzzScram(f *testing.F) {
	f.Add("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1", "v=AAAA")
	f.Fuzz(func(t *testing.T, first, last string) {
		if strings.Contains(first, "i=") && len(first)-strings.LastIndex(first, "i=") > 6 {
			return // work, as asked for
		}
		m := newScram("scram-sha-256", "u", "p")
		m.nonce = func() string { return "abc" }
		x, _, _ := m.Start(t.Context())
		if _, _, err := x.Next(t.Context(), []byte(first)); err != nil {
			return
		}
		if done, _, err := x.Next(t.Context(), []byte(last)); done || err == nil {
			t.Fatal("believed")
		}
	})
}
