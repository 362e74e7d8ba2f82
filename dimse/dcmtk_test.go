package dimse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tool finds a DCMTK program. CI must have it; a laptop may do without.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s of DCMTK is not installed", name)
	default:
		t.Skipf("%s of DCMTK is not installed", name)
	}
	return path
}

func runTool(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(t, name), args...)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1") // else Nagle and delayed acknowledgement cost 40 ms each
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// element encodes one element of a file; order is of the data set, explicit says whether it has VRs.
func element(order binary.AppendByteOrder, explicit bool, group, number uint16, vr string, value []byte) []byte {
	b := order.AppendUint16(nil, group)
	b = order.AppendUint16(b, number)
	long := vr == "OB" || vr == "OW"
	switch {
	case explicit && long:
		b = append(b, vr[0], vr[1], 0, 0)
		b = order.AppendUint32(b, uint32(len(value)))
	case explicit:
		b = append(b, vr...)
		b = order.AppendUint16(b, uint16(len(value)))
	default:
		b = order.AppendUint32(b, uint32(len(value)))
	}
	return append(b, value...)
}

func even(s string, pad byte) []byte {
	if len(s)%2 == 1 {
		return append([]byte(s), pad)
	}
	return []byte(s)
}

// sample makes a Secondary Capture data set and the file around it.
func sample(t *testing.T, syntax, instance string, pixels int) (path string, data []byte) {
	t.Helper()
	var order binary.AppendByteOrder = binary.LittleEndian
	if syntax == ExplicitVRBigEndian {
		order = binary.BigEndian
	}
	explicit := syntax != ImplicitVRLittleEndian
	add := func(group, number uint16, vr string, value []byte) {
		data = append(data, element(order, explicit, group, number, vr, value)...)
	}
	us := func(v uint16) []byte { return order.AppendUint16(nil, v) }
	add(0x0008, 0x0016, "UI", even(scStorage, 0))
	add(0x0008, 0x0018, "UI", even(instance, 0))
	add(0x0008, 0x0060, "CS", []byte("OT"))
	add(0x0010, 0x0010, "PN", []byte("SYNTHETIC^A "))
	add(0x0010, 0x0020, "LO", []byte("1 "))
	add(0x0020, 0x000D, "UI", even("1.2.3.1", 0))
	add(0x0020, 0x000E, "UI", even("1.2.3.1.1", 0))
	add(0x0028, 0x0002, "US", us(1))
	add(0x0028, 0x0004, "CS", []byte("MONOCHROME2 "))
	add(0x0028, 0x0010, "US", us(uint16(pixels)))
	add(0x0028, 0x0011, "US", us(uint16(pixels)))
	add(0x0028, 0x0100, "US", us(8))
	add(0x0028, 0x0101, "US", us(8))
	add(0x0028, 0x0102, "US", us(7))
	add(0x0028, 0x0103, "US", us(0))
	image := bytes.Repeat([]byte{1, 2, 3, 4}, pixels*pixels/4)
	if syntax == jpegBase { // DCMTK does not look into the fragments
		data = append(data, 0xE0, 0x7F, 0x10, 0, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF)
		data = append(data, 0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0)
		data = append(data, 0xFE, 0xFF, 0, 0xE0)
		data = append(binary.LittleEndian.AppendUint32(data, uint32(len(image))), image...)
		data = append(data, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0)
	} else {
		add(0x7FE0, 0x0010, "OW", image)
	}

	var meta []byte
	addMeta := func(number uint16, vr string, value []byte) {
		meta = append(meta, element(binary.LittleEndian, true, 2, number, vr, value)...)
	}
	addMeta(1, "OB", []byte{0, 1})
	addMeta(2, "UI", even(scStorage, 0))
	addMeta(3, "UI", even(instance, 0))
	addMeta(0x10, "UI", even(syntax, 0))
	addMeta(0x12, "UI", even("1.2.3", 0))
	file := append(make([]byte, 128), "DICM"...)
	file = append(file, element(binary.LittleEndian, true, 2, 0, "UL", binary.LittleEndian.AppendUint32(nil, uint32(len(meta))))...)
	file = append(append(file, meta...), data...)
	path = filepath.Join(t.TempDir(), "sample.dcm")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

const scStorage = "1.2.840.10008.5.1.4.1.1.7"

// samples are the transfer syntaxes and the options with which storescu and dcmsend propose them.
var samples = []struct{ name, syntax, storescu string }{
	{"implicit", ImplicitVRLittleEndian, "-xi"},
	{"explicit little", ExplicitVRLittleEndian, "-xe"},
	{"explicit big", ExplicitVRBigEndian, "-xb"},
	{"JPEG baseline", jpegBase, "-xy"},
}

func TestDCMTKSends(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			path, data := sample(t, s.syntax, "1.2.3.4.5", 512)
			rec := &recorder{}
			addr := start(t, &Server{Handler: rec})
			host, port, _ := net.SplitHostPort(addr)
			runTool(t, "storescu", s.storescu, "--repeat", "3", host, port, path)
			runTool(t, "storescu", s.storescu, "--max-send-pdu", "4096", host, port, path)
			want := 4
			if s.syntax == ExplicitVRLittleEndian || s.syntax == jpegBase { // it encodes the others anew
				runTool(t, "dcmsend", "--decompress-never", host, port, path)
				want++
			}
			all := rec.all()
			for i, got := range all {
				if got.sum != sha256.Sum256(data) || got.ctx.TransferSyntax != s.syntax || got.cmd.AffectedSOPInstanceUID != "1.2.3.4.5" {
					t.Errorf("object %d: %+v, want %d bytes in %s", i, got, len(data), s.syntax)
				}
			}
			if len(all) != want {
				t.Errorf("%d objects arrived, want %d", len(all), want)
			}
		})
	}
}

func TestDCMTKEcho(t *testing.T) {
	addr := start(t, &Server{Policy: ForCalledAE(openPolicy, "OURS")})
	host, port, _ := net.SplitHostPort(addr)
	runTool(t, "echoscu", "-aec", "OURS", "-pts", "38", "-ppc", "20", "--repeat", "5", host, port)
	runTool(t, "echoscu", "-aec", "OURS", "--abort", host, port)
	out, err := exec.CommandContext(t.Context(), tool(t, "echoscu"), "-aec", "OTHER", host, port).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Called AE Title Not Recognized") {
		t.Errorf("another called AE title: %v, %s", err, out)
	}
}

// TestDCMTKUserIdentity: the item is no obstacle.
func TestDCMTKUserIdentity(t *testing.T) {
	path, data := sample(t, ExplicitVRLittleEndian, "1.2.3.4.5", 16)
	seen := make(chan *UserIdentity, 1)
	rec := &recorder{}
	addr := start(t, &Server{Handler: rec, Policy: func(ctx context.Context, rq *AssociateRQ, peer Peer) Decision {
		seen <- rq.User.Identity
		d := openPolicy(ctx, rq, peer)
		d.IdentityVerified = true
		return d
	}})
	host, port, _ := net.SplitHostPort(addr)
	runTool(t, "storescu", "-usr", "anna", "-pwd", "secret", "-rsp", host, port, path)
	if id := <-seen; id == nil || id.Kind != IdentityUsernamePasscode || string(id.Primary) != "anna" || string(id.Secondary) != "secret" {
		t.Error("the user identity did not arrive")
	}
	if all := rec.all(); len(all) != 1 || all[0].sum != sha256.Sum256(data) {
		t.Errorf("received %+v", all)
	}
}

// TestDCMTKCorpus sends real files; DCMTK may encode them anew, so only their identity is compared.
func TestDCMTKCorpus(t *testing.T) {
	root := sharedCorpora(t)
	files, err := filepath.Glob(filepath.Join(root, "dicom", "ecg", "*.dcm"))
	if err != nil || len(files) == 0 {
		t.Skipf("no ECG files in the corpora (%v)", err)
	}
	files = files[:min(len(files), 10)]
	rec := &recorder{}
	addr := start(t, &Server{Handler: rec})
	host, port, _ := net.SplitHostPort(addr)
	runTool(t, "dcmsend", append([]string{"--decompress-never", "--no-halt", "--no-uid-checks", host, port}, files...)...)
	all := rec.all()
	if len(all) == 0 {
		t.Error("nothing arrived")
	}
	for _, got := range all {
		if got.err != nil || got.size == 0 || !ValidUID(got.cmd.AffectedSOPInstanceUID) {
			t.Errorf("received %+v", got)
		}
	}
}

// sharedCorpora finds the folder of test files that is not part of the repository.
func sharedCorpora(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("TRIBUTARY_SHARED"); dir != "" {
		return filepath.Join(dir, "corpora")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if corpora := filepath.Join(dir, "shared", "corpora"); isDir(corpora) {
			return corpora
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no shared/corpora above the working directory; set TRIBUTARY_SHARED")
		}
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// startStorescp runs DCMTK's receiver and returns its address and folder.
func startStorescp(t *testing.T, args ...string) (addr, dir string) {
	t.Helper()
	path := tool(t, "storescp")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = ln.Addr().String()
	_ = ln.Close()
	dir = t.TempDir()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(path, append(args, "-od", dir, port)...) // killed by the cleanup
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return addr, dir
}

func TestClientToStorescp(t *testing.T) {
	for _, maxPDU := range []string{"4096", "16384", "131072"} {
		t.Run(maxPDU, func(t *testing.T) {
			addr, dir := startStorescp(t, "+B", "+xa", "-pdu", maxPDU)
			config := ClientConfig{Contexts: []Proposal{{AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLittleEndian}}}}
			for _, s := range samples {
				config.Contexts = append(config.Contexts, Proposal{AbstractSyntax: scStorage, TransferSyntaxes: []string{s.syntax}})
			}
			c, err := Dial(t.Context(), addr, config)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Abort()
			if status, err := c.Echo(t.Context()); status != 0 || err != nil {
				t.Fatalf("C-ECHO: %04X, %v", status, err)
			}
			sums := map[[32]byte]bool{}
			for i, s := range samples {
				uid := fmt.Sprintf("1.2.3.%s.%d", maxPDU, i)
				_, data := sample(t, s.syntax, uid, 512+2*i)
				status, comment, err := c.Store(t.Context(), StoreRequest{
					SOPClassUID: scStorage, SOPInstanceUID: uid, TransferSyntaxUID: s.syntax, Data: bytes.NewReader(data),
				})
				if status != 0 || err != nil {
					t.Fatalf("%s: %04X %q, %v", s.name, status, comment, err)
				}
				sums[sha256.Sum256(data)] = true
			}
			if err := c.Release(t.Context()); err != nil {
				t.Error(err)
			}
			files, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, f := range files {
				delete(sums, dataSetSum(t, f))
			}
			if len(files) != len(samples) || len(sums) != 0 {
				t.Errorf("%d files, %d data sets not among them", len(files), len(sums))
			}
		})
	}
}

// dataSetSum hashes what follows the File Meta Information.
func dataSetSum(t *testing.T, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || len(b) < 144 {
		t.Fatalf("%s: %d bytes, %v", path, len(b), err)
	}
	n := 144 + int64(binary.LittleEndian.Uint32(b[140:]))
	data, err := io.ReadAll(io.NewSectionReader(bytes.NewReader(b), n, int64(len(b))-n))
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}
