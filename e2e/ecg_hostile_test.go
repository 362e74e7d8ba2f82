package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
	"golang.org/x/text/encoding/unicode"
)

// goodSCP is a recording that every node takes.
func goodSCP(id string) []byte {
	samples := make([]int16, 500)
	for i := range samples {
		samples[i] = int16(i % 97)
	}
	return (&scptest.Record{
		Default: true, Encoding: 1, Tags: []scptest.Tag{scptest.Text(0, "Zhang"), scptest.Text(2, id), scptest.Date(25, 2026, 3, 4)},
		Leads: []scptest.Lead{{ID: 1, Samples: samples}, {ID: 2, Samples: samples}},
	}).Bytes()
}

// hostileRecordings are rows 52 to 72 of the reliability guide. host is an address at which the test listens:
// nobody may come.
func hostileRecordings(t *testing.T, host string) []hostile.Case {
	t.Helper()
	file := func(number int, name, want string, data []byte) hostile.Case {
		return hostile.Case{Number: number, Name: name, Want: want, Data: func() io.Reader { return bytes.NewReader(data) }}
	}
	aecg := func(prolog, inside string) []byte {
		return []byte(prolog + `<AnnotatedECG xmlns="urn:hl7-org:v3"><id root="1.2.3"/>` + inside + `</AnnotatedECG>`)
	}
	const series = `<component><series><code code="RHYTHM"/><component><sequenceSet>` +
		`<component><sequence><code code="TIME_ABSOLUTE"/><value><head value="20260304050607"/><increment value="0.002" unit="s"/></value></sequence></component>` +
		`<component><sequence><code code="MDC_ECG_LEAD_I"/><value><origin value="0" unit="uV"/><scale value="5" unit="uV"/><digits>1 2 3 4 5 6 7 8 9 10</digits></value></sequence></component>` +
		`</sequenceSet></component></series></component>`
	laughs := `<!DOCTYPE x [<!ENTITY a "ha">`
	for c := 'b'; c < 'm'; c++ {
		laughs += fmt.Sprintf(`<!ENTITY %c "%s">`, c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
	}
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes(aecg(`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>`, "&a;"))
	if err != nil {
		t.Fatal(err)
	}
	bomb := zipped(t, entry{"a.scp", 0, bytes.Repeat([]byte("SCPECG"), 20<<20/6)})
	return []hostile.Case{
		file(52, "a bomb in an archive in an archive", "R", zipped(t, entry{"inner.zip", 0, bomb})),
		file(52, "archive of 20 MB of one word", "RQ", bomb),
		file(53, "false sizes", "R", falseSizes(zipped(t, entry{"a.scp", 0, goodSCP("P53")}))),
		file(54, "names that climb", "R", zipped(t, entry{"../../../../tmp/tributary-climbed.scp", 0, goodSCP("P54")})),
		file(54, "names with backslashes", "R", zipped(t, entry{`..\..\tributary-climbed.scp`, 0, goodSCP("P54b")})),
		file(55, "symbolic link", "R", zipped(t, entry{"a.scp", fs.ModeSymlink, []byte("/etc/passwd")})),
		file(55, "device", "R", zipped(t, entry{"a.scp", fs.ModeDevice, nil})),
		file(56, "a million entries", "R", manyEntries(1_000_000)),
		file(57, "sparse, huge and renamed by PAX", "R", tarTricks(t)),
		file(57, "hard link in tar", "R", tarLink(t)),
		file(58, "external entity of a file", "QR", aecg(`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>`, "<text>&a;</text>"+series)),
		file(59, "external entity of a host", "QR", aecg(`<!DOCTYPE x [<!ENTITY a SYSTEM "http://`+host+`/a">]>`, "<text>&a;</text>"+series)),
		file(60, "billion laughs", "QR", aecg(laughs+"]>", "<text>&l;</text>"+series)),
		file(61, "external DTD", "QR", aecg(`<!DOCTYPE x SYSTEM "http://`+host+`/x.dtd">`, series)),
		{Number: 62, Name: "one text of 200 MB", Want: "RQ", Data: func() io.Reader {
			return io.MultiReader(bytes.NewReader(aecg("", "<text>")), &repeated{word: "abcdefgh", n: 200 << 20})
		}},
		file(63, "a million levels", "QR", append(aecg("", "")[:60], strings.Repeat("<a>", 1_000_000)...)),
		file(64, "XInclude and instructions", "S", aecg(`<?xml-stylesheet href="http://`+host+`/x.xsl"?>`,
			`<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="http://`+host+`/i"/><?php x?>`+series)),
		file(65, "entity in UTF-16", "Q", wide),
		file(65, "UTF-7", "QR", aecg(`<?xml version="1.0" encoding="UTF-7"?>`, "+ADw-text+AD4-"+series)),
		file(65, "EBCDIC", "QR", []byte("\x4c\x6f\xa7\x94\x93\x40\xc1\x95\x95\x96\xa3\x81\xa3\x85\x84\xc5\xc3\xc7")),
		// Where the section itself is whole, walking finds it, and a warning says that the pointer is wrong.
		file(66, "section pointer past the end", "SQ", (&scptest.Record{
			Leads: []scptest.Lead{{ID: 1, Samples: make([]int16, 500)}}, Pointers: map[int]uint32{6: 0xFFFFFF00},
		}).Bytes()),
		file(66, "section past the end", "Q", goodSCP("P66")[:600]),
		file(67, "samples of 2^31 a lead", "Q", (&scptest.Record{Leads: manyLeads(85)}).Bytes()),
		file(68, "9999 signals, records of 2^31", "Q", hostileEDF()),
		file(69, "chain of lengths", "Q", append([]byte("@ MFR "+strings.Repeat(" ", 28)), bytes.Repeat([]byte{0x3F, 0x00, 0x84, 0x7F, 0xFF, 0xFF, 0xFF}, 40)...)),
		file(70, "negative sizes", "Q", hostileISHNE()),
		file(71, "header that names a file above", "R", zipped(t, entry{"a.hea", 0, []byte("a 1 500 1000\n../../x.dat 16 200 16 0 0 0 0 I\n")})),
		file(72, "500 MB announced in base64", "Q", []byte(`<RestingECG><Waveform><WaveformType>Rhythm</WaveformType><SampleBase>500</SampleBase><LeadData><LeadByteCountTotal>500000000</LeadByteCountTotal>`+
			`<LeadSampleCountTotal>250000000</LeadSampleCountTotal><LeadID>I</LeadID><WaveFormData>`+base64.StdEncoding.EncodeToString(make([]byte, 30))+`</WaveFormData></LeadData></Waveform></RestingECG>`)),
	}
}

// repeated yields a word over and over, n bytes.
type repeated struct {
	word string
	n, i int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.i >= r.n {
		return 0, io.EOF
	}
	n := min(len(p), r.n-r.i)
	for k := range n {
		p[k] = r.word[(r.i+k)%len(r.word)]
	}
	r.i += n
	return n, nil
}

type entry struct {
	name string
	mode fs.FileMode
	data []byte
}

func zipped(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode | 0o644)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// falseSizes announces one byte for the first file of the directory (APPNOTE 4.3.12).
func falseSizes(z []byte) []byte {
	at := bytes.Index(z, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(z[at+24:], 1)
	return z
}

// manyEntries is an archive whose directory has n empty files.
func manyEntries(n int) []byte {
	var b bytes.Buffer
	b.WriteString("PK\x03\x04")
	b.Write(make([]byte, 26))
	at := b.Len()
	for range n {
		h := make([]byte, 47)
		copy(h, "PK\x01\x02")
		h[28], h[46] = 1, 'a'
		b.Write(h)
	}
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], 0xFFFF)
	binary.LittleEndian.PutUint16(end[10:], 0xFFFF)
	binary.LittleEndian.PutUint32(end[12:], uint32(b.Len()-at))
	binary.LittleEndian.PutUint32(end[16:], uint32(at))
	b.Write(end)
	return b.Bytes()
}

func tarTricks(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h := &tar.Header{Typeflag: tar.TypeReg, Name: "a.scp", Size: 5, Mode: 0o644, Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": "x"}}
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text := bytes.Replace(b.Bytes(), []byte("comment=x"), []byte("size=9e99"), 1) // of the same length
	return text
}

func tarLink(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeLink, Name: "a.scp", Linkname: "../../etc/passwd", Mode: 0o644},
		{Typeflag: tar.TypeSymlink, Name: "b.scp", Linkname: "/etc/passwd", Mode: 0o777},
		{Typeflag: tar.TypeChar, Name: "c.scp", Devmajor: 1, Devminor: 5, Mode: 0o666},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manyLeads announces n leads of 2^31 samples each and stores ten.
func manyLeads(n int) (leads []scptest.Lead) {
	for i := range n {
		leads = append(leads, scptest.Lead{ID: byte(i + 1), Start: 1, End: 1 << 31, Samples: make([]int16, 10)})
	}
	return leads
}

func hostileEDF() []byte {
	h := fmt.Sprintf("%-8s%-80s%-80s%-8s%-8s%-8d%-44s%-8d%-8d%-4d", "0", "X X X X", "Startdate 01-JAN-2020 X X X", "01.01.20", "00.00.00", 256*10000, "EDF+C", -1, 1, 9999)
	one := fmt.Sprintf("%-256s", "ECG I")
	return []byte(h + one + fmt.Sprintf("%-8d", int64(1)<<31) + strings.Repeat(" ", 10_000))
}

func hostileISHNE() []byte {
	h := make([]byte, 2048)
	copy(h, "ISHNE1.0")
	for _, at := range []int{10, 14, 18, 22, 26} {
		binary.LittleEndian.PutUint32(h[at:], 0x80000001)
	}
	binary.LittleEndian.PutUint16(h[156:], 0xFFFF)
	binary.LittleEndian.PutUint16(h[272:], 0xFF38)
	return h
}

// TestHostileRecordings sends archives and recordings that are made to harm: each is answered as the guide
// has it, a good recording after it is taken, nothing is written beside the data folder, nobody is called,
// and the node stays alive and small.
func TestHostileRecordings(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds; not with -short")
	}
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan string, 1)
	go func() {
		if c, err := trap.Accept(); err == nil {
			called <- c.RemoteAddr().String()
			_ = c.Close() // whoever it was
		}
	}()
	defer trap.Close()
	parent := t.TempDir()
	n := testnode.Start(t, filepath.Join(parent, "data"))
	idle, err := n.PeakRSS()
	if err != nil {
		t.Skipf("no memory figures here: %v", err)
	}
	before := outside(t, parent)
	good := 0
	for _, via := range []string{device.ViaUpload, device.ViaTus} {
		t.Run(via, func(t *testing.T) {
			s := sender(n, via)
			defer s.Close()
			for _, c := range hostileRecordings(t, trap.Addr().String()) {
				t.Run(fmt.Sprintf("%02d %s", c.Number, c.Name), func(t *testing.T) {
					size, err := io.Copy(io.Discard, c.Data())
					if err != nil {
						t.Fatal(err)
					}
					sh, err := ship(t.Context(), s, via, device.Object{
						Name: fmt.Sprintf("hostile-%02d", c.Number), Size: size, Open: func() (io.ReadCloser, error) { return io.NopCloser(c.Data()), nil },
					})
					if err != nil {
						t.Fatal(err)
					}
					t.Logf("%s %s %s %v", sh.letter(), sh.Code, sh.Detail, sh.err)
					if !c.Allows(sh.letter()) || sh.letter() == "R" && sh.Code == "" && (sh.err == nil || !strings.Contains(sh.err.Error(), "checksum-mismatch")) {
						t.Errorf("%s (%+v, %v), want %s", sh.letter(), sh.Outcome, sh.err, c.Want)
					}
					if sh.letter() == "Q" {
						sh.checkQuarantined(t, n, via)
					}
				})
				good++
				if sh := shipBytes(t, n, via, "next.scp", goodSCP(fmt.Sprint("NEXT", good))); sh.Status != device.Stored {
					t.Fatalf("the good recording after %02d %s: %+v, %v", c.Number, c.Name, sh.Outcome, sh.err)
				}
			}
		})
	}
	if after := outside(t, parent); !slices.Equal(before, after) {
		t.Errorf("written outside of the data folder:\nbefore %v\nafter  %v", before, after)
	}
	select {
	case who := <-called:
		t.Errorf("%s came to fetch what a document named", who)
	default:
	}
	if status, _ := n.Get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("ready: %d", status)
	}
	peak, err := n.PeakRSS()
	if err != nil {
		t.Fatalf("the node is gone: %v", err)
	}
	t.Logf("peak memory: %d MiB idle, %d MiB after all", idle>>20, peak>>20)
	if peak-idle > maxGrowth {
		t.Errorf("peak memory grew by %d MiB", (peak-idle)>>20)
	}
}
