package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed assets/*.js assets/*.css
var assetFolder embed.FS

// assetPath is where assets are served.
const assetPath = "/pages/assets/"

// asset is a file under a name that has a hash of its bytes, so that browsers may keep it for ever.
type asset struct {
	name  string // "frame.1a2b3c4d5e6f.css"
	kind  string // media type
	plain []byte
	small []byte // by gzip; nil when it is no smaller
}

// assetFiles are all of them, by plain name ("frame.css") and by the name with the hash.
type assetFiles struct {
	byFile map[string]*asset
	byName map[string]*asset
}

// embedded hashes and compresses the assets, once for all handlers of a process.
var embedded = sync.OnceValue(func() *assetFiles {
	a, err := openAssets(assetFolder, "assets")
	if err != nil {
		panic(err) // it is memory that is read
	}
	return a
})

func openAssets(from fs.FS, dir string) (*assetFiles, error) {
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		return nil, err
	}
	all := &assetFiles{map[string]*asset{}, map[string]*asset{}}
	for _, e := range entries {
		body, err := fs.ReadFile(from, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(e.Name())
		a := &asset{
			name: strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext,
			kind: mime.TypeByExtension(ext), plain: body,
		}
		if ext == ".js" {
			a.kind = "text/javascript; charset=utf-8"
		}
		var small bytes.Buffer
		z, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := z.Write(body); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		if small.Len() < len(body) {
			a.small = small.Bytes()
		}
		all.byFile[e.Name()], all.byName[a.name] = a, a
	}
	return all, nil
}

// path returns the address of an asset by its plain name.
func (f *assetFiles) path(file string) (string, error) {
	a, ok := f.byFile[file]
	if !ok {
		return "", fmt.Errorf("no asset %s", file)
	}
	return assetPath + a.name, nil
}

// serve answers GET /pages/assets/{name}.
func (f *assetFiles) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	secure(h)
	a, ok := f.byName[r.PathValue("name")]
	if !ok {
		http.Error(w, http.StatusText(http.StatusNotFound), http.StatusNotFound)
		return
	}
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if a.small != nil && takesGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = a.small
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client may be gone
}

// takesGzip reports whether a client takes gzip (RFC 9110 §12.5.3).
func takesGzip(values []string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			coding, params, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				weight, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
				q, err := strconv.ParseFloat(weight, 64)
				return !ok || err == nil && q > 0
			}
		}
	}
	return false
}
