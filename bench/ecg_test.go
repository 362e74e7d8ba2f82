package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
)

var ecgs = flag.Bool("ecg", false, "measure the decoders of recordings, beside biosig where it is installed (make bench-ecg)")

// spell is how long one figure is measured.
const spell = time.Second

// TestBenchECG measures every decoder over the recordings of the corpus, samples included, and what a Holter of
// a day takes. It is no test of anything; it is here beside the other figures.
func TestBenchECG(t *testing.T) {
	if !*ecgs {
		t.Skip("measures for a minute; make bench-ecg")
	}
	root := ecgtest.Corpus(t)
	save2gdf, _ := exec.LookPath("save2gdf") // "" where biosig is not installed
	load, _ := os.ReadFile("/proc/loadavg")  // Linux has it
	fmt.Printf("%d processors, load %s, %s\n\n", runtime.NumCPU(), strings.TrimSpace(string(load)), runtime.Version())
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "file\tkB\tfiles/s\tMB/s\tMsamples/s\tcommand ms\tbiosig ms\t")
	for _, name := range []string{
		"aecg/hl7_Example_aECG.xml", "aecg/cn_noname_1.xml", "aecg/mindray_beneheart_r12.xml", "muse/braveheart_example1.xml", "philips/129DYPRG.XML",
		"philips/ad4d3d80-d165_1-04_orig.xml", "cardiosoft/ecgvisualizer_example1.xml", "scp/ecgtoolkit_Example.scp", "scp/contec_0000050.ECG.scp",
		"scp/healforce_62.SCP", "contec/0000050.ECG", "dicom/pydicom_waveform_ecg.dcm", "edf/pyedflib_test_generator.edf", "edf/contec_0000050.ECG.edf",
		"bdf/pyedflib_datarec_2.bdf", "ishne/ECG_P28.01.ecg", "mfer/synthetic_ptb_le.mwf", "wfdb/100.hea", "wfdb/s0010_re.hea",
		"fhir/observation-example-sample-data.json", "pdf/anonymous_ecg_3x4_1.pdf",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		src := ecgtest.Open(t, path)
		size := src.Size
		if strings.HasSuffix(name, ".hea") {
			size += signalBytes(src)
		}
		n, samples := 0, int64(0)
		begin := time.Now()
		for time.Since(begin) < spell {
			got, err := decodeAll(src)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			n, samples = n+1, samples+got
		}
		took := time.Since(begin).Seconds()
		fmt.Fprintf(out, "%s\t%d\t%.0f\t%.0f\t%.1f\t%s\t%s\t\n", name, size/1000, float64(n)/took, float64(n)*float64(size)/took/1e6, float64(samples)/took/1e6,
			commandMillis(t, testnode.Binary(t), "ecg", "show", "--json", path), commandMillis(t, save2gdf, path, filepath.Join(t.TempDir(), "out.gdf")))
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n24 h of twelve leads\n")
	for ending, rate := range map[string]int{".edf": 500, ".ecg": 500} {
		path := filepath.Join(t.TempDir(), "holter"+ending)
		size := writeHolter(t, path, ending, rate)
		for _, c := range []struct {
			what string
			args []string
		}{
			{"show --json, all samples hashed", []string{testnode.Binary(t), "ecg", "show", "--json", path}},
			{"convert to DICOM", []string{testnode.Binary(t), "ecg", "convert", path, "-o", filepath.Join(t.TempDir(), "out.dcm")}},
			{"draw ten seconds", []string{testnode.Binary(t), "ecg", "render", path, "-o", filepath.Join(t.TempDir(), "out.svg"), "--start", "12h"}},
			{"biosig, save2gdf", []string{save2gdf, path, filepath.Join(t.TempDir(), "out.gdf")}},
		} {
			if c.args[0] == "" {
				continue
			}
			took, peak, err := ranFor(c.args...)
			if err != nil {
				fmt.Printf("  %s %s: %v\n", ending, c.what, err)
				continue
			}
			fmt.Printf("  %s %s, %d MB at %d Hz: %.1f s, %.0f MB/s, %d MiB peak\n", ending, c.what, size/1_000_000, rate, took.Seconds(), float64(size)/took.Seconds()/1e6, peak>>20)
		}
	}
}

// decodeAll decodes a recording and reads all its samples; it returns how many those are.
func decodeAll(src ecg.Source) (samples int64, err error) {
	rec, err := formats.Decode(src, ecg.Limits{})
	if err != nil {
		return 0, err
	}
	var b ecg.Block
	for _, g := range rec.Groups {
		r, err := g.Samples()
		if errors.Is(err, ecg.ErrNoSamples) {
			continue
		}
		for err == nil {
			if err = r.Next(&b); err == nil {
				samples += int64(b.Len) * int64(len(b.Counts))
			}
		}
		if err != io.EOF {
			return 0, err
		}
	}
	return samples, nil
}

// signalBytes are those of the signal files that a WFDB header names.
func signalBytes(src ecg.Source) (n int64) {
	head, err := src.Head(64 << 10)
	if err != nil {
		return 0
	}
	for _, p := range src.Parts {
		if bytes.Contains(head, []byte("\n"+p.Name+" ")) {
			n += p.Size
		}
	}
	return n
}

// commandMillis is the shortest of three runs of a command, in ms; "–" where there is none, or it cannot read it.
func commandMillis(t *testing.T, args ...string) string {
	t.Helper()
	if args[0] == "" {
		return "–"
	}
	best := time.Hour
	for range 3 {
		took, _, err := ranFor(args...)
		if err != nil {
			return "–"
		}
		best = min(best, took)
	}
	return fmt.Sprintf("%.0f", float64(best.Microseconds())/1000)
}

// ranFor runs a command and returns how long it took, and its peak of resident memory in bytes.
func ranFor(args ...string) (took time.Duration, peak int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	begin := time.Now()
	text, err := cmd.CombinedOutput()
	took = time.Since(begin)
	if err != nil {
		return took, 0, fmt.Errorf("%w: %.200s", err, text)
	}
	return took, peakOf(cmd.ProcessState), nil
}

// writeHolter writes a day of twelve leads whose samples follow from their place.
func writeHolter(t *testing.T, path, ending string, rate int) int64 {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := ishneHead(rate)
	if ending == ".edf" {
		head = edfHead(rate)
	}
	if _, err := f.Write(head); err != nil {
		t.Fatal(err)
	}
	second := make([]byte, 24*rate)
	for i := range 12 * rate {
		binary.LittleEndian.PutUint16(second[2*i:], uint16(i*i%600))
	}
	for range 24 * 3600 {
		if _, err := f.Write(second); err != nil {
			t.Fatal(err)
		}
	}
	return int64(len(head)) + 24*3600*int64(len(second))
}

func edfHead(rate int) []byte {
	var b strings.Builder
	put := func(width int, values ...any) {
		for _, v := range values {
			fmt.Fprintf(&b, "%-*.*s", width, width, fmt.Sprint(v))
		}
	}
	put(8, 0)
	put(80, "X X X X", "Startdate 01-JAN-2020 X X X")
	put(8, "01.01.20", "00.00.00", 256*13)
	put(44, "")
	put(8, 24*3600, 1)
	put(4, 12)
	for _, lead := range strings.Fields("I II III aVR aVL aVF V1 V2 V3 V4 V5 V6") {
		put(16, "ECG "+lead)
	}
	for _, c := range []struct {
		width int
		value any
	}{{80, ""}, {8, "uV"}, {8, -32768}, {8, 32767}, {8, -32768}, {8, 32767}, {80, ""}, {8, rate}, {32, ""}} {
		for range 12 {
			put(c.width, c.value)
		}
	}
	return []byte(b.String())
}

func ishneHead(rate int) []byte {
	h := make([]byte, 522)
	copy(h, "ISHNE1.0")
	binary.LittleEndian.PutUint32(h[14:], uint32(24*3600*rate))
	binary.LittleEndian.PutUint32(h[18:], 522)
	binary.LittleEndian.PutUint32(h[22:], 522)
	binary.LittleEndian.PutUint16(h[26:], 1)
	binary.LittleEndian.PutUint16(h[156:], 12)
	for i := range 12 {
		binary.LittleEndian.PutUint16(h[158+2*i:], uint16(5+i))
		binary.LittleEndian.PutUint16(h[206+2*i:], 2500)
	}
	binary.LittleEndian.PutUint16(h[272:], uint16(rate))
	return h
}
