package ohif

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxPage bounds index.html, bytes; OHIF's has 6 KB.
const maxPage = 1 << 20

var (
	publicURL = regexp.MustCompile(`(window\.PUBLIC_URL\s*=\s*)(?:"/"|'/')`)
	// Attributes with an address at the root. Two slashes begin another host's.
	rooted = regexp.MustCompile(`\s(?:src|href|content)\s*=\s*["']/[^/]`)
	// HTML ends a script at the first </script, whatever stands before it.
	script = regexp.MustCompile(`(?is)<script(\s[^>]*)?>(.*?)</script`)
	hasSrc = regexp.MustCompile(`(?i)\ssrc\s*=`)
)

// rebase makes index.html, which is built for the root of a host, one that lives below mount.
func rebase(html []byte, mount string) ([]byte, error) {
	if !publicURL.Match(html) {
		return nil, errors.New(`it does not set window.PUBLIC_URL to "/", so it is no build of OHIF for the root of a host`)
	}
	// Functions, for a dollar sign in mount would mean something in a template. It has no quotation marks.
	html = publicURL.ReplaceAllFunc(html, func(m []byte) []byte {
		name, _, _ := bytes.Cut(m, []byte("="))
		return fmt.Appendf(nil, "%s=%q", name, mount)
	})
	return rooted.ReplaceAllFunc(html, func(m []byte) []byte {
		at := bytes.IndexAny(m, `"'`) + 1
		return append(append(m[:at:at], mount...), m[at+1:]...)
	}), nil
}

// policy is the Content-Security-Policy of the page: everything comes from this host. OHIF's decoders are WebAssembly
// whose glue makes functions out of text (unsafe-eval), and its styles are set inline. Scripts within the page are
// those that the folder has, by their sums.
func policy(html []byte, dicomweb string) string {
	connect := "'self' blob: data:"
	if scheme, rest, ok := strings.Cut(dicomweb, "://"); ok { // DICOMweb elsewhere
		host, _, _ := strings.Cut(rest, "/")
		connect += " " + scheme + "://" + host
	}
	scripts := "'self' blob: 'unsafe-eval' 'wasm-unsafe-eval'"
	for _, m := range script.FindAllSubmatch(html, maxInline) {
		if len(m[2]) == 0 || hasSrc.Match(m[1]) {
			continue
		}
		sum := sha256.Sum256(m[2])
		scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	media := strings.Replace(connect, "data:", "data: mediastream:", 1)
	return "default-src 'self'; script-src " + scripts + "; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'" +
		"; img-src " + connect + "; font-src 'self' data:; connect-src " + connect + "; media-src " + media +
		"; object-src " + connect + "; frame-src " + connect + "; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
}

// maxInline bounds the inline scripts whose sums are sent, for the header has a limit; OHIF has two.
const maxInline = 32
