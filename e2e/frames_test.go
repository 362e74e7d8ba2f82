package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// framesOf is what pydicom reads of one file.
type framesOf struct {
	File   string
	Frames []string // SHA-256 of each
	Joined string   // SHA-256 of all
	Why    string   // there are none
}

// pydicomFrames reads files with pydicom. It skips the test, or fails it in CI, where that is missing.
func pydicomFrames(t *testing.T, files []string) map[string]framesOf {
	t.Helper()
	const python = "/usr/bin/python3" // where Debian's packages are
	if err := exec.CommandContext(t.Context(), python, "-c", "import pydicom, numpy").Run(); err != nil {
		testengine.Missing(t, "pydicom is not installed (scripts/test-deps.sh does): %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), toolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append([]string{filepath.Join("clients", "frames.py")}, files...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("frames.py: %v\n%s", err, &stderr)
	}
	all := map[string]framesOf{}
	for line := range strings.Lines(string(out)) {
		var f framesOf
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		all[f.File] = f
	}
	return all
}

var rawFile = regexp.MustCompile(`=(\S.*\.raw) +#`)

// dcmtkPixels is the pixel data of a file as dcmdump reads it: the value in little endian order, or all fragments.
func dcmtkPixels(t *testing.T, file string) (value []byte, encapsulated bool) {
	t.Helper()
	out, err := tool(t, "dcmdump", "-q", "+L", "+W", t.TempDir(), file)
	if err != nil {
		return nil, false // broken behind what matters, or before
	}
	within, item := false, 0
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "(7fe0,0008)"), strings.HasPrefix(line, "(7fe0,0009)"), strings.HasPrefix(line, "(7fe0,0010)"):
			within, encapsulated = true, strings.Contains(line, "PixelSequence")
		case strings.HasPrefix(line, "("):
			within = false
		}
		m := rawFile.FindStringSubmatch(line)
		if !within || m == nil {
			continue
		}
		if item++; encapsulated && item == 1 {
			continue // the Basic Offset Table
		}
		b, err := os.ReadFile(m[1])
		if err != nil {
			t.Fatal(err)
		}
		value = append(value, b...)
	}
	return value, encapsulated
}

// rounds are the files of the corpus, each SOP Instance UID once a round.
func rounds(names []string, files map[string]truth) (all [][]string) {
	seen := map[string]int{}
	for _, name := range names {
		f := files[name]
		if f.Expected.Verdict == "reject" || f.SOPInstanceUID == "" {
			continue
		}
		k := seen[f.SOPInstanceUID]
		seen[f.SOPInstanceUID]++
		if k == len(all) {
			all = append(all, nil)
		}
		all[k] = append(all[k], name)
	}
	return all
}

// frameless are files of which pydicom or DCMTK read frames and the node serves none, and why.
var frameless = map[string]string{
	"edge/orthanc-tests__2026-05-26-oob-monochrome-46341.dcm": "Rows × Columns are 2 GB, the value has 9 KB",
	"edge/orthanc-tests__2026-05-26-oob-monochrome-65535.dcm": "Rows × Columns are 4 GB, the value has 256 bytes",
}

// TestFramesOfTheCorpus retrieves every frame of every file that has pixels, together and alone, and compares
// each with what pydicom reads there, and all with what DCMTK does.
func TestFramesOfTheCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes twenty seconds; not with -short")
	}
	dir, names, files := corpus(t)
	testnode.Tool(t, "dcmdump")
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = filepath.Join(dir, filepath.FromSlash(name))
	}
	pydicom := pydicomFrames(t, paths)
	var frames, withFrames, byDCMTK int
	for i, round := range rounds(names, files) {
		n := testnode.Start(t, filepath.Join(t.TempDir(), fmt.Sprint(i)))
		s := sender(n, device.ViaSTOW)
		for _, name := range round {
			path := filepath.Join(dir, filepath.FromSlash(name))
			o, err := device.File(path)
			if err != nil {
				t.Fatal(err)
			}
			sh, err := ship(t.Context(), s, device.ViaSTOW, o)
			if err != nil {
				t.Fatal(err)
			}
			if sh.letter() != "S" {
				continue
			}
			want := pydicom[path]
			if want.File == "" {
				t.Fatalf("pydicom said nothing of %s", name)
			}
			_, at, ok := instanceOf(t, n, files[name].SOPInstanceUID)
			if !ok {
				continue
			}
			value, encapsulated := dcmtkPixels(t, path)
			if want.Why != "" && value == nil {
				continue
			}
			got := servedFrames(t, n, at, max(len(want.Frames), 1))
			if got == nil {
				if frameless[name] == "" {
					t.Errorf("%s: no frames are served; pydicom reads %d (%s), DCMTK %d bytes", name, len(want.Frames), want.Why, len(value))
				}
				continue
			}
			if why := frameless[name]; why != "" {
				t.Errorf("%s: frames are served, although %s", name, why)
			}
			withFrames++
			frames += len(got)
			if want.Why == "" {
				compareFrames(t, n, name, at, got, want)
			}
			joined := bytes.Join(got, nil)
			if value == nil || !encapsulated && len(joined) > len(value) && want.Why == "" { // frames of bits, each from a byte boundary on
				continue
			}
			byDCMTK++
			if encapsulated && !bytes.Equal(joined, value) || !encapsulated && !bytes.HasPrefix(value, joined) {
				t.Errorf("%s: the frames are %d bytes that differ from the %d that DCMTK reads", name, len(joined), len(value))
			}
		}
		_ = s.Close()
		n.Kill()
	}
	t.Logf("%d frames of %d files; %d of them also compared with DCMTK", frames, withFrames, byDCMTK)
	if withFrames < 150 || byDCMTK < 150 {
		t.Error("too few files were compared")
	}
}

// servedFrames are the frames 1 to count of an instance in one answer, or nil.
func servedFrames(t *testing.T, n *testnode.Node, at string, count int) [][]byte {
	t.Helper()
	if status, body := n.Get(t, at+"/frames/1"); status != http.StatusOK {
		t.Logf("%s: %d %s", at, status, bytes.TrimSpace(body))
		return nil
	}
	list := make([]string, count)
	for i := range list {
		list[i] = fmt.Sprint(i + 1)
	}
	return frameParts(t, n, at+"/frames/"+strings.Join(list, ","))
}

func compareFrames(t *testing.T, n *testnode.Node, name, at string, got [][]byte, want framesOf) {
	t.Helper()
	if len(got) != len(want.Frames) {
		t.Errorf("%s: %d frames, pydicom reads %d", name, len(got), len(want.Frames))
		return
	}
	wrong := 0
	for i := range got {
		if sumOf(got[i]) != want.Frames[i] {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%s: %d of %d frames differ from what pydicom reads", name, wrong, len(got))
	}
	status, _ := n.Get(t, fmt.Sprintf("%s/frames/%d", at, len(got)+1))
	if status != http.StatusNotFound {
		t.Errorf("%s: frame %d of %d: status %d", name, len(got)+1, len(got), status)
	}
	for _, number := range []int{1, (len(got) + 1) / 2, len(got)} { // alone, as one body
		if sum := bodySum(t, n, fmt.Sprintf("%s/frames/%d", at, number)); sum != want.Frames[number-1] && wrong == 0 {
			t.Errorf("%s: frame %d alone differs", name, number)
		}
	}
}

// bodySum is the SHA-256 of an answer of one body.
func bodySum(t *testing.T, n *testnode.Node, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/octet-stream; transfer-syntax=*")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: status %d, %v", path, resp.StatusCode, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
