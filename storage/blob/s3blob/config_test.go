package s3blob

import (
	"strings"
	"testing"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestParseURL(t *testing.T) {
	local := Config{
		Bucket: "blobs", Endpoint: "s3.clinic.example:9000", Secure: true, Region: "us-east-1", PathStyle: true,
		PartBytes: defaultPartBytes, Checksum: checksumCRC32C,
	}
	with := func(c Config, change func(*Config)) Config {
		change(&c)
		return c
	}
	const base = "s3://blobs?endpoint=https://s3.clinic.example:9000"
	for raw, want := range map[string]Config{
		base:                      local,
		base + "&path-style=true": local,
		"s3://blobs/a/b/?endpoint=https://s3.clinic.example:9000/":   with(local, func(c *Config) { c.Prefix = "a/b/" }),
		base + "&path-style=false&region=eu-west-1":                  with(local, func(c *Config) { c.PathStyle, c.Region = false, "eu-west-1" }),
		base + "&sse=AES256":                                         with(local, func(c *Config) { c.SSE = "AES256" }),
		base + "&sse=aws:kms":                                        with(local, func(c *Config) { c.SSE = "aws:kms" }),
		base + "&sse=aws:kms:arn:aws:kms:eu-west-1:1:key/ab-c":       with(local, func(c *Config) { c.SSE, c.KMSKey = "aws:kms", "arn:aws:kms:eu-west-1:1:key/ab-c" }),
		base + "&part-size=16MiB":                                    with(local, func(c *Config) { c.PartBytes = 16 << 20 }),
		base + "&part-size=5242880":                                  with(local, func(c *Config) { c.PartBytes = 5 << 20 }),
		base + "&checksum=sha256&ca=/etc/ca.pem&profile=p":           with(local, func(c *Config) { c.Checksum, c.CAFile, c.Profile = "sha256", "/etc/ca.pem", "p" }),
		base + "&insecure=true":                                      with(local, func(c *Config) { c.SkipVerify = true }),
		"s3://blobs?endpoint=http://127.0.0.1:9000":                  with(local, func(c *Config) { c.Endpoint, c.Secure = "127.0.0.1:9000", false }),
		"s3://blobs?endpoint=http://[::1]:9000":                      with(local, func(c *Config) { c.Endpoint, c.Secure = "[::1]:9000", false }),
		"s3://blobs?endpoint=http://s3.clinic.example&insecure=true": with(local, func(c *Config) { c.Endpoint, c.Secure, c.SkipVerify = "s3.clinic.example", false, true }),
		"s3://blobs?region=eu-central-1": with(local, func(c *Config) {
			c.Endpoint, c.Region, c.PathStyle = "s3.eu-central-1.amazonaws.com", "eu-central-1", false
		}),
		"s3://blobs?region=cn-north-1": with(local, func(c *Config) {
			c.Endpoint, c.Region, c.PathStyle = "s3.cn-north-1.amazonaws.com.cn", "cn-north-1", false
		}),
		"s3://my.blobs?endpoint=https://s3.clinic.example:9000":        with(local, func(c *Config) { c.Bucket = "my.blobs" }),
		"s3://blobs/%E2%82%AC?endpoint=https://s3.clinic.example:9000": {},
	} {
		got, err := ParseURL(raw, env())
		if (err != nil) != (want == Config{}) || got != want {
			t.Errorf("%s = %+v, %v\nwant %+v", raw, got, err, want)
		}
	}
	got, err := ParseURL("s3://blobs", env("AWS_DEFAULT_REGION", "eu-south-2", "AWS_REGION", "eu-north-1"))
	if err != nil || got.Region != "eu-north-1" || got.Endpoint != "s3.eu-north-1.amazonaws.com" || got.PathStyle {
		t.Errorf("region of the environment: %+v, %v", got, err)
	}
}

func TestParseURLRefuses(t *testing.T) {
	const base = "s3://blobs?endpoint=https://s3.clinic.example"
	for raw, says := range map[string]string{
		"":                                       "s3://",
		"dir:/x":                                 "s3://",
		"https://x":                              "s3://",
		"s3:blobs":                               "s3://",
		"s3://":                                  "bucket",
		"s3://b":                                 "bucket",
		"s3://Blobs?region=x":                    "bucket",
		"s3://1.2.3.4?region=x":                  "bucket",
		"s3://-ab?region=x":                      "bucket",
		"s3://blobs":                             "AWS_REGION",
		"s3://key:hush-hush@blobs":               "credentials",
		"s3://blobs#x":                           "fragment",
		"s3://blobs/a/../b?region=x":             "prefix",
		"s3://blobs/a//b?region=x":               "prefix",
		"s3://blobs/" + strings.Repeat("a", 600): "prefix",
		"s3://blobs/" + strings.Repeat("a", 1<<14):  "longer",
		base + "&colour=red":                        `"colour"; allowed are endpoint`,
		base + "&secret-key=hush-hush":              "credentials",
		base + "&Access_Key=hush-hush":              "credentials",
		base + "&region=a&region=b":                 "2 times",
		base + "&region=":                           "region",
		base + "&region=../x":                       "region",
		base + "&sse=none":                          "AES256",
		base + "&sse=aws:kms:":                      "key id",
		base + "&part-size=4MiB":                    "5MiB",
		base + "&part-size=1GiB":                    "5MiB",
		base + "&part-size=-8":                      "5MiB",
		base + "&part-size=9223372036854775807MiB":  "5MiB",
		base + "&path-style=yes":                    "true",
		base + "&insecure=1":                        "true",
		base + "&checksum=md5":                      "crc32c",
		base + "&ca=":                               "ca",
		base + "&ca=x&insecure=true":                "contradict",
		base + "&ca=a%00b":                          "ca",
		"s3://my.blobs?region=eu-west-1":            "path-style=true",
		"s3://blobs?endpoint=s3.clinic.example":     "endpoint",
		"s3://blobs?endpoint=https://a:b@s3.x":      "credentials",
		"s3://blobs?endpoint=https://s3.x/path":     "host and port",
		"s3://blobs?endpoint=https://s3.x:99999":    "port",
		"s3://blobs?endpoint=https://s3.x:":         "port",
		"s3://blobs?endpoint=ftp://s3.x":            "https://HOST",
		"s3://blobs?endpoint=http://s3.x":           "clear text",
		"s3://blobs?endpoint=http://127.0.0.1&ca=x": "https://",
		"s3://blobs?endpoint=%zz":                   "parameters",
		"s3://blobs?a;b":                            "parameters",
	} {
		_, err := ParseURL(raw, env())
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.80s: %v; want an error with %q", raw, err, says)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, raw := range []string{
		"s3://blobs?region=eu-west-1", "s3://blobs/a/b?endpoint=https://[::1]:9000&sse=aws:kms:arn:x&part-size=8MiB&ca=x&profile=p",
		"s3://my.blobs?endpoint=http://127.0.0.1:1&insecure=true&checksum=sha256", "s3://a:b@c", "s3://blobs?endpoint=%68ttps://x",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := ParseURL(raw, env("AWS_REGION", "eu-west-1"))
		if err != nil {
			if c != (Config{}) {
				t.Errorf("an error and %+v", c)
			}
			return
		}
		switch {
		case !isBucket(c.Bucket), c.Prefix != "" && !strings.HasSuffix(c.Prefix, "/"), strings.HasPrefix(c.Prefix, "/"), strings.Contains(c.Prefix, "../"),
			c.Endpoint == "", strings.ContainsAny(c.Endpoint, "/@?# \r\n"), c.Region == "", c.PartBytes < minPartBytes || c.PartBytes > maxPartBytes,
			!c.Secure && !c.SkipVerify && !isLoopback(c.Endpoint):
			t.Errorf("%q = %+v", raw, c)
		}
	})
}
