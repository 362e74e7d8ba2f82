package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/internal/testnode"
)

// sendLine is one line of `send --json`.
type sendLine struct {
	File, Status, Code, Detail, ID, Error string
	Tries                                 int
	Summary                               *struct {
		Objects int
		Bytes   int64
		Status  map[string]int
		Failed  int
	}
}

// sendJSON runs `send --json` and returns its lines, the summary last.
func sendJSON(t *testing.T, want int, args ...string) []sendLine {
	t.Helper()
	code, out, stderr := run(t, append([]string{"send", "--json", "--backoff", "20ms"}, args...)...)
	if code != want {
		t.Errorf("send %v: exit %d, want %d\n%s\n%s", args, code, want, out, stderr)
	}
	var lines []sendLine
	for text := range strings.Lines(out) {
		var l sendLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("no JSON: %s", text)
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 || lines[len(lines)-1].Summary == nil {
		t.Fatalf("no summary:\n%s\n%s", out, stderr)
	}
	return lines
}

// TestSend plays a device with the command line.
func TestSend(t *testing.T) {
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	for i, c := range []struct {
		name string
		args []string
	}{
		{"dicom", []string{"--to", "dicom://" + n.AET + "@" + n.DICOM}},
		{"stow", []string{"--to", n.URL}},
		{"stow by path", []string{"--to", n.URL + "/dicom-web"}},
		{"upload", []string{"--to", n.URL, "--via", "upload"}},
		{"tus", []string{"--to", n.URL, "--via", "tus"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := series(5000+100*i, 7, 20<<10)
			dir := objectFiles(t, objects...)
			lines := sendJSON(t, 0, append(c.args, "-n", "3", dir)...)
			sum := lines[len(lines)-1].Summary
			if len(lines) != 8 || sum.Objects != 7 || sum.Status["stored"] != 7 || sum.Failed != 0 || sum.Bytes != int64(7*len(objects[0].file())) {
				t.Errorf("%d lines, summary %+v", len(lines), sum)
			}
			for _, l := range lines[:len(lines)-1] {
				if l.Status != "stored" || l.Tries != 1 || !strings.HasPrefix(l.File, dir) {
					t.Errorf("%+v", l)
				}
			}
			checkObjects(t, n, objects...)
			code, out, stderr := run(t, append([]string{"send", filepath.Join(dir, "study0", "0"), dir}, c.args...)...) // for people, a second time
			if code != 0 || !regexp.MustCompile(`(?m)^9 objects, .* in .*/s\): `).MatchString(out) || strings.Contains(out, "failed") {
				t.Errorf("exit %d\n%s\n%s", code, out, stderr)
			}
		})
	}
	t.Run("what is no image", func(t *testing.T) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{
			"cut.dcm": object{number: 5900, pixels: 8 << 10}.file()[:5000], "empty": nil, "note.txt": []byte("no study"),
			"good.dcm": object{number: 5901, pixels: 512}.file(),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, via := range [][]string{{}, {"--via", "upload"}, {"--via", "tus"}} {
			lines := sendJSON(t, 1, append([]string{"--to", n.URL, dir}, via...)...)
			status := map[string]string{}
			for _, l := range lines {
				status[filepath.Base(l.File)] = l.Status
			}
			if status["cut.dcm"] != "quarantined" || status["empty"] != "refused" || status["note.txt"] != "refused" || status["good.dcm"] != "stored" && status["good.dcm"] != "duplicate" {
				t.Errorf("%v: %+v", via, lines)
			}
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		dir := objectFiles(t, series(5950, 1, 512)...)
		for _, to := range []string{"dicom://X@" + freeAddress(t), "http://" + freeAddress(t)} {
			lines := sendJSON(t, 1, "--retries", "1", "--to", to, dir)
			if l := lines[0]; l.Error == "" || l.Tries != 2 || lines[1].Summary.Failed != 1 {
				t.Errorf("%s: %+v", to, lines)
			}
		}
	})
	t.Run("rejected for good", func(t *testing.T) {
		strict := testnode.Start(t, filepath.Join(t.TempDir(), "data"), "--check-aet")
		lines := sendJSON(t, 1, "--to", "dicom://OTHER@"+strict.DICOM, objectFiles(t, series(5960, 1, 512)...))
		if l := lines[0]; l.Error == "" || l.Tries != 1 {
			t.Errorf("%+v", l)
		}
	})
}

// TestSendWaits starts sending before the node is there, kills the node in the middle, and starts it
// again: everything must arrive.
func TestSendWaits(t *testing.T) {
	for _, via := range []string{"dicom", "stow", "upload", "tus"} {
		t.Run(via, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			address, args := serveArgs(t, dir)
			n := &testnode.Node{URL: "http://" + address, DICOM: args[len(args)-1], AET: "TRIBUTARY"}
			to := []string{"--to", n.URL, "--via", via}
			if via == "dicom" {
				to = []string{"--to", "dicom://" + n.AET + "@" + n.DICOM}
			}
			objects := series(6000, 40, 200<<10)
			device := begin(t, append([]string{"send", "--json", "--retries", "400", "--backoff", "10ms", objectFiles(t, objects...)}, to...)...)
			node := begin(t, args...)
			node.ready(t, address)
			until(t, "some objects", func() bool {
				_, body := n.Get(t, "/dicom-web/instances?limit=100")
				return strings.Count(string(body), `"00080018"`) >= 5
			})
			if err := node.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-node.done
			node = begin(t, args...)
			node.ready(t, address)
			if code := device.wait(t); code != 0 {
				t.Fatalf("exit %d\n%s\n%s\n%s", code, device.out.String(), device.err.String(), node.err.String())
			}
			checkObjects(t, n, objects...)
			if _, body := n.Get(t, "/conflicts"); strings.TrimSpace(string(body)) != "[]" {
				t.Errorf("conflicts: %s", body)
			}
		})
	}
}

// TestSendFolderPassesOverStrangers sends a study's folder by C-STORE in which lies what is no DICOM: it
// is left out and said so. Named by itself it is a failure.
func TestSendFolderPassesOverStrangers(t *testing.T) {
	n := testnode.Start(t, t.TempDir())
	dir := t.TempDir()
	for name, data := range map[string][]byte{"a.dcm": object{number: 9100, pixels: 512}.file(), "README.txt": []byte("not for the node")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	to := "dicom://" + n.AET + "@" + n.DICOM
	out, err := exec.Command(testnode.Binary(t), "send", dir, "--to", to, "--quiet").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 stored, 1 passed over") {
		t.Errorf("folder: %v\n%s", err, out)
	}
	out, err = exec.Command(testnode.Binary(t), "send", filepath.Join(dir, "README.txt"), "--to", to, "--quiet").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no DICOM") {
		t.Errorf("file by name: %v\n%s", err, out)
	}
}
