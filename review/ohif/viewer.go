package ohif

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"time"
)

// Viewer serves one folder. It is safe for concurrent use.
type Viewer struct {
	root   *os.Root
	mount  string
	app    AppConfig
	script []byte
	cache  cache
	log    *slog.Logger
}

// Open takes a folder. It fails when there is no build of OHIF in it.
func Open(cfg Config) (*Viewer, error) {
	app := cfg.App
	app.Mount = cfg.Mount
	app, err := app.withDefaults()
	if err != nil {
		return nil, err
	}
	script := cfg.Script
	if script == nil {
		if script, err = app.Script(); err != nil {
			return nil, err
		}
	}
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, err
	}
	v := &Viewer{root: root, mount: app.Mount, app: app, script: script, cache: newCache(cfg.CacheBytes), log: cfg.Log}
	if _, err := v.page(); err != nil {
		err = fmt.Errorf("%s has no index.html of OHIF (give the dist folder of the package @ohif/app): %w", cfg.Dir, err)
		return nil, errors.Join(err, root.Close())
	}
	return v, nil
}

// Close gives the folder back. Requests that come later are answered with 404.
func (v *Viewer) Close() error { return v.root.Close() }

// Mount is the path below which the viewer lives, with slashes at both ends.
func (v *Viewer) Mount() string { return v.mount }

// page is index.html as it is sent.
func (v *Viewer) page() ([]byte, error) {
	f, err := v.root.Open("index.html")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	html, err := io.ReadAll(io.LimitReader(f, maxPage+1))
	if err != nil {
		return nil, err
	}
	if len(html) > maxPage {
		return nil, fmt.Errorf("index.html is larger than %d bytes", maxPage)
	}
	return rebase(html, v.mount)
}

// mediaTypes are those of a web build. What the system's tables say of them differs, and a wrong one stops
// WebAssembly and modules.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".wasm": "application/wasm", ".json": "application/json", ".jsonc": "application/json",
	".map": "application/json", ".webmanifest": "application/manifest+json", ".webapp": "application/json",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".ico": "image/x-icon", ".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf",
	".xml": "application/xml", ".txt": "text/plain; charset=utf-8", ".onnx": "application/octet-stream",
}

// hashed names carry a sum of what is in the file: app.bundle.0f6159c501addfe9.js, 0ddf166f7a343eda.wasm.
var hashed = regexp.MustCompile(`(?:^|\.)[0-9a-f]{16,64}\.[a-z0-9]+$`)

// ServeHTTP serves GET and HEAD below the mount.
func (v *Viewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // addresses of the viewer name studies
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "use GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	name, below := strings.CutPrefix(r.URL.Path, v.mount)
	switch {
	case !below || !clean(name):
		http.NotFound(w, r)
	case name == "app-config.js":
		v.made(w, r, v.script, mediaTypes[".js"])
	case name == "" || name == "index.html":
		v.index(w, r)
	default:
		v.file(w, r, name)
	}
}

// clean reports whether name can be one of a file of a build. Others are not looked for: files whose name begins with
// a dot or an underscore are for tools and hosts.
func clean(name string) bool {
	if name == "" {
		return true
	}
	if len(name) > 512 || strings.ContainsAny(name, "\\\x00:") {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "/"), "/") {
		if part == "" || part[0] == '.' || part[0] == '_' {
			return false
		}
	}
	return true
}

// index sends the page, for the mount itself and for the viewer's own addresses.
func (v *Viewer) index(w http.ResponseWriter, r *http.Request) {
	html, err := v.page()
	if err != nil {
		v.log.ErrorContext(r.Context(), "the viewer's index.html cannot be read", "error", err.Error())
		http.Error(w, "the viewer's files cannot be read; the reason was logged", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", policy(html, v.app.DICOMWeb))
	v.made(w, r, html, mediaTypes[".html"])
}

// made sends what was made in memory.
func (v *Viewer) made(w http.ResponseWriter, r *http.Request, body []byte, contentType string) {
	sum := sha256.Sum256(body)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// file sends a file of the folder. A name without one is an address of the viewer, unless its ending is that of
// a file: a page in place of a missing script would be a riddle.
func (v *Viewer) file(w http.ResponseWriter, r *http.Request, name string) {
	contentType, known := mediaTypes[strings.ToLower(path.Ext(name))]
	info, err := v.root.Stat(strings.TrimSuffix(name, "/")) // before it is opened: a named pipe would never open
	if err != nil || !info.Mode().IsRegular() {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			v.log.WarnContext(r.Context(), "a file of the viewer cannot be read", "error", err.Error())
		}
		if known {
			http.NotFound(w, r)
			return
		}
		v.index(w, r)
		return
	}
	if strings.HasSuffix(name, "/") {
		http.NotFound(w, r)
		return
	}
	f, err := v.root.Open(name)
	if err != nil {
		v.log.WarnContext(r.Context(), "a file of the viewer cannot be read", "error", err.Error())
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	if !known {
		contentType = "application/octet-stream"
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	if hashed.MatchString(name) {
		// Not public: with tokens, a shared cache keeps nothing that it did not show one for.
		h.Set("Cache-Control", "max-age=31536000, immutable")
	}
	stamp := fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size())
	if compressible(name, info.Size()) {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			body, err := v.cache.gzip(r.Context(), name, stamp, rebaseFile(name, v.mount, f))
			if err != nil {
				v.log.WarnContext(r.Context(), "a file of the viewer is sent as it is", "error", err.Error())
			}
			if body != nil {
				h.Set("Content-Encoding", "gzip")
				h.Set("Etag", `"`+stamp+`-gzip"`)
				http.ServeContent(w, r, "", info.ModTime(), bytes.NewReader(body))
				return
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				http.Error(w, "the file cannot be read", http.StatusInternalServerError)
				return
			}
		}
	}
	h.Set("Etag", `"`+stamp+`"`)
	text := rebaseFile(name, v.mount, f)
	if text == io.Reader(f) {
		http.ServeContent(w, r, "", info.ModTime(), f)
		return
	}
	// Its length is not known before its end, so no ranges either.
	if r.Header.Get("If-None-Match") == h.Get("Etag") {
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
	} else if r.Method != http.MethodHead {
		if _, err := io.Copy(w, text); err != nil {
			panic(http.ErrAbortHandler) // the client is gone, or must not take a part for the whole
		}
	}
}
