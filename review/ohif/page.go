package ohif

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
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

// Other files have addresses at the root too: where webpack's loader finds the other bundles, fonts, icons.
var (
	loaderBase = regexp.MustCompile(`__webpack_require__\.p = "/"|browserImportFunction\(["']/[^/]`)
	styleBase  = regexp.MustCompile(`url\(["']?/[^/]`)
	iconBase   = regexp.MustCompile(`"(?:src|start_url|scope)"\s?:\s?"/[^/]`) // of the web app manifest
)

// longestBase bounds a match of one of them, bytes.
const longestBase = 32

// rebased reads from a file and puts mount in place of the root, holding one piece at a time.
type rebased struct {
	from  io.Reader
	what  *regexp.Regexp
	mount string

	piece []byte // read and not yet looked at; its first bytes are the rest of the piece before
	ready []byte // to be returned
	err   error  // of from
}

// rebaseFile is from as it is for the mount / and for files that name no addresses.
func rebaseFile(name, mount string, from io.Reader) io.Reader {
	what := map[string]*regexp.Regexp{".js": loaderBase, ".mjs": loaderBase, ".css": styleBase}[strings.ToLower(path.Ext(name))]
	if name == "manifest.json" {
		what = iconBase
	}
	if what == nil || mount == "/" {
		return from
	}
	return &rebased{from: from, what: what, mount: mount}
}

func (r *rebased) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err != nil && len(r.piece) == 0 {
			return 0, r.err
		}
		r.next()
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// next fills ready. A match that begins in the last bytes of a piece may end in the next one, so those stay.
func (r *rebased) next() {
	const size = 64 << 10
	if r.err == nil {
		start := len(r.piece)
		grown := append(r.piece[:start:start], make([]byte, size)...)
		var n int
		n, r.err = io.ReadFull(r.from, grown[start:])
		if r.piece = grown[:start+n]; r.err == io.ErrUnexpectedEOF {
			r.err = io.EOF
		}
	}
	cut := len(r.piece)
	if r.err == nil {
		cut -= longestBase
	}
	r.ready = nil
	done := 0
	for _, m := range r.what.FindAllIndex(r.piece, -1) {
		if m[0] >= cut {
			break
		}
		slash := m[0] + bytes.IndexByte(r.piece[m[0]:m[1]], '/')
		r.ready = append(append(append(r.ready, r.piece[done:slash]...), r.mount...), r.piece[slash+1:m[1]]...)
		done = m[1]
	}
	end := max(cut, done)
	r.ready = append(r.ready, r.piece[done:end]...)
	r.piece = r.piece[end:]
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
