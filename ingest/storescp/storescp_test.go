package storescp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/dimse"
	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

const (
	ctStorage   = "1.2.840.10008.5.1.4.1.1.2"
	ecgStorage  = "1.2.840.10008.5.1.4.1.1.9.1.1"
	privateSOP  = "1.3.6.1.4.1.99999.1.1"
	modalityFnd = "1.2.840.10008.5.1.4.31" // Modality Worklist, FIND: no storage class
	privateTS   = "1.3.6.1.4.1.99999.2.1"
)

// admitter answers what the test says, and remembers what arrived.
type admitter struct {
	receipt ingest.Receipt
	err     error
	got     ingest.Arrival
	body    []byte
}

func (a *admitter) Admit(_ context.Context, arrival ingest.Arrival) (ingest.Receipt, error) {
	a.got = arrival
	var err error
	if a.body, err = io.ReadAll(arrival.Body); err != nil {
		return ingest.Receipt{}, err
	}
	return a.receipt, a.err
}

// serve runs a door and returns its address.
func serve(t *testing.T, cfg Config) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dimse.Server{Policy: Policy(cfg), Handler: Handler(cfg), Limits: dimse.Limits{MaxObjectBytes: 4096}}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(context.WithoutCancel(t.Context()), ln) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func dial(t *testing.T, addr string, proposals ...dimse.Proposal) *dimse.Client {
	t.Helper()
	c, err := dimse.Dial(t.Context(), addr, dimse.ClientConfig{CallingAE: "KIT01", CalledAE: "NODE", Contexts: proposals})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c
}

func proposal(class string, syntaxes ...string) dimse.Proposal {
	return dimse.Proposal{AbstractSyntax: class, TransferSyntaxes: syntaxes}
}

func TestPolicyAnswersContexts(t *testing.T) {
	addr := serve(t, Config{Intake: &admitter{}})
	c := dial(t, addr,
		proposal(dimse.Verification, dimse.ImplicitVRLittleEndian), proposal(ctStorage, privateTS, dimse.ExplicitVRLittleEndian),
		proposal(privateSOP, dimse.ImplicitVRLittleEndian), proposal(modalityFnd, dimse.ImplicitVRLittleEndian))
	for class, syntax := range map[string]string{
		dimse.Verification: dimse.ImplicitVRLittleEndian,
		ctStorage:          privateTS, // the first proposed, whatever it is
		privateSOP:         dimse.ImplicitVRLittleEndian,
	} {
		if _, ok := c.Accepted(class, syntax); !ok {
			t.Errorf("%s in %s is not accepted", class, syntax)
		}
	}
	if _, ok := c.Accepted(modalityFnd, dimse.ImplicitVRLittleEndian); ok {
		t.Error("a class that is no storage class is accepted")
	}
	if status, err := c.Echo(t.Context()); err != nil || status != dimse.StatusSuccess {
		t.Errorf("C-ECHO: %04X, %v", status, err)
	}

	only := serve(t, Config{Intake: &admitter{}, SOPClass: func(uid string) bool { return uid == ecgStorage }})
	c = dial(t, only, proposal(ctStorage, dimse.ImplicitVRLittleEndian), proposal(ecgStorage, dimse.ImplicitVRLittleEndian))
	if _, ok := c.Accepted(ctStorage, dimse.ImplicitVRLittleEndian); ok {
		t.Error("a class outside of the restriction is accepted")
	}
	if _, ok := c.Accepted(ecgStorage, dimse.ImplicitVRLittleEndian); !ok {
		t.Error("the class of the restriction is refused")
	}
}

func TestPolicyRefusesStrangers(t *testing.T) {
	elsewhere, err := ParsePeer("KIT01@192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		want dimse.AssociateRJ // zero: accepted
	}{
		"another AE title, unchecked": {Config{AETitle: "OTHER"}, dimse.AssociateRJ{}},
		"another AE title, checked":   {Config{AETitle: "OTHER", CheckAETitle: true}, dimse.RejectCalledAE},
		"our AE title, checked":       {Config{AETitle: "NODE", CheckAETitle: true}, dimse.AssociateRJ{}},
		"known":                       {Config{Peers: []Peer{{AETitle: "KIT01"}}}, dimse.AssociateRJ{}},
		"unknown":                     {Config{Peers: []Peer{{AETitle: "KIT02"}}}, dimse.RejectCallingAE},
		"known from elsewhere":        {Config{Peers: []Peer{elsewhere}}, dimse.RejectCallingAE},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Intake = &admitter{}
			client, err := dimse.Dial(t.Context(), serve(t, c.cfg), dimse.ClientConfig{
				CallingAE: "KIT01", CalledAE: "NODE", Contexts: []dimse.Proposal{proposal(dimse.Verification, dimse.ImplicitVRLittleEndian)},
			})
			var rj *dimse.AssociateRJ
			switch {
			case c.want == dimse.AssociateRJ{}:
				if err != nil {
					t.Fatal(err)
				}
				if err := client.Release(t.Context()); err != nil {
					t.Error(err)
				}
			case !errors.As(err, &rj) || *rj != c.want:
				t.Errorf("%v, want %+v", err, c.want)
			}
		})
	}
}

func TestStoreHandsOnWhatTheProtocolSaid(t *testing.T) {
	in := &admitter{receipt: ingest.Receipt{Status: ingest.Stored}}
	c := dial(t, serve(t, Config{Intake: in, Tenant: "clinic"}), proposal(ctStorage, dimse.ExplicitVRLittleEndian))
	data := bytes.Repeat([]byte("data set"), 100)
	status, comment, err := c.Store(t.Context(), dimse.StoreRequest{
		SOPClassUID: ctStorage, SOPInstanceUID: "1.2.3", TransferSyntaxUID: dimse.ExplicitVRLittleEndian, Data: bytes.NewReader(data),
	})
	if err != nil || status != dimse.StatusSuccess || comment != "" {
		t.Fatalf("%04X %q, %v", status, comment, err)
	}
	want := part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: ctStorage, MediaStorageSOPInstanceUID: "1.2.3",
		TransferSyntaxUID: dimse.ExplicitVRLittleEndian, SourceAETitle: "KIT01",
	})
	if want = append(want, data...); !bytes.Equal(in.body, want) {
		t.Errorf("%d bytes arrived, want %d: File Meta and the data set as it came", len(in.body), len(want))
	}
	a := in.got
	if a.Tenant != "clinic" || a.SOPClassUID != ctStorage || a.SOPInstanceUID != "1.2.3" || a.MaxBytes <= 4096 {
		t.Errorf("arrival %+v", a)
	}
	if o := a.Origin; o.Door != Door || o.CallingAE != "KIT01" || o.CalledAE != "NODE" || !strings.HasPrefix(o.Remote, "127.0.0.1:") {
		t.Errorf("origin %+v", o)
	}
}

func TestStoreStatuses(t *testing.T) {
	in := &admitter{}
	addr := serve(t, Config{Intake: in})
	refuse := func(code reject.Code) error { return reject.New(code, "test", "on purpose") }
	for name, c := range map[string]struct {
		receipt ingest.Receipt
		err     error
		status  uint16
		comment string
	}{
		"stored":          {receipt: ingest.Receipt{Status: ingest.Stored}, status: 0x0000},
		"duplicate":       {receipt: ingest.Receipt{Status: ingest.Duplicate}, status: 0x0000},
		"conflict":        {receipt: ingest.Receipt{Status: ingest.Conflict}, status: 0x0000},
		"quarantined":     {receipt: ingest.Receipt{Status: ingest.Quarantined, Reason: string(reject.Truncated)}, status: 0xB007, comment: "kept in quarantine: truncated"},
		"class mismatch":  {err: refuse(reject.ClassMismatch), status: 0xA900, comment: "class-mismatch"},
		"out of space":    {err: refuse(reject.OutOfResources), status: 0xA700, comment: "out-of-resources"},
		"no DICOM":        {err: refuse(reject.UnsupportedFormat), status: 0xC000, comment: "unsupported-format"},
		"nobody knows it": {err: errors.New("secret text"), status: 0x0110, comment: "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			in.receipt, in.err = c.receipt, c.err
			client := dial(t, addr, proposal(ctStorage, dimse.ImplicitVRLittleEndian))
			status, comment, err := client.Store(t.Context(), dimse.StoreRequest{
				SOPClassUID: ctStorage, SOPInstanceUID: "1.2.3", TransferSyntaxUID: dimse.ImplicitVRLittleEndian, Data: strings.NewReader("bytes"),
			})
			if err != nil || status != c.status || comment != c.comment {
				t.Errorf("%04X %q, %v; want %04X %q", status, comment, err, c.status, c.comment)
			}
		})
	}
}

// TestStoreRefusesByTheCommandAlone: these must not reach admission.
func TestStoreRefusesByTheCommandAlone(t *testing.T) {
	in := &admitter{}
	addr := serve(t, Config{Intake: in})
	for name, c := range map[string]struct {
		cmd    dimse.Command
		data   io.Reader
		status uint16
	}{
		"class of no context": {dimse.Command{Field: dimse.CStoreRQ, AffectedSOPClassUID: ecgStorage, AffectedSOPInstanceUID: "1.2.3"}, strings.NewReader("x"), 0x0122},
		"no instance UID":     {dimse.Command{Field: dimse.CStoreRQ, AffectedSOPClassUID: ctStorage}, strings.NewReader("x"), 0x0117},
		"path for a UID":      {dimse.Command{Field: dimse.CStoreRQ, AffectedSOPClassUID: ctStorage, AffectedSOPInstanceUID: "../../etc"}, strings.NewReader("x"), 0x0117},
		"no data set":         {dimse.Command{Field: dimse.CStoreRQ, AffectedSOPClassUID: ctStorage, AffectedSOPInstanceUID: "1.2.3"}, nil, 0xC000},
		"another operation":   {dimse.Command{Field: dimse.CFindRQ, AffectedSOPClassUID: ctStorage}, strings.NewReader("x"), 0x0211},
	} {
		t.Run(name, func(t *testing.T) {
			in.got = ingest.Arrival{}
			client := dial(t, addr, proposal(ctStorage, dimse.ImplicitVRLittleEndian))
			pc, ok := client.Accepted(ctStorage, dimse.ImplicitVRLittleEndian)
			if !ok {
				t.Fatal("not accepted")
			}
			rsp, err := client.Do(t.Context(), dimse.Request{Context: pc, Command: c.cmd, Data: c.data})
			if err != nil || rsp.Command.Status != c.status {
				t.Fatalf("%+v, %v; want %04X", rsp, err, c.status)
			}
			if in.got.Body != nil {
				t.Error("the object reached admission")
			}
		})
	}
}

func TestStoreBeyondTheLimit(t *testing.T) {
	in := &admitter{receipt: ingest.Receipt{Status: ingest.Stored}}
	client := dial(t, serve(t, Config{Intake: in}), proposal(ctStorage, dimse.ImplicitVRLittleEndian))
	status, comment, err := client.Store(t.Context(), dimse.StoreRequest{
		SOPClassUID: ctStorage, SOPInstanceUID: "1.2.3", TransferSyntaxUID: dimse.ImplicitVRLittleEndian, Data: bytes.NewReader(make([]byte, 4097)),
	})
	if err != nil || status != 0xA700 || comment != "too-large" {
		t.Errorf("%04X %q, %v; want A700 too-large", status, comment, err)
	}
}

// TestFileCallsErrorsByTheirCodes: admission answers for the sender's faults by the reader's codes.
func TestFileCallsErrorsByTheirCodes(t *testing.T) {
	for err, want := range map[error]reject.Code{
		io.ErrUnexpectedEOF: reject.Aborted,
		dimse.ErrTooLarge:   reject.TooLarge,
	} {
		f := &file{meta: []byte("meta"), data: io.MultiReader(strings.NewReader("data"), failing{err})}
		got, rerr := io.ReadAll(f)
		if string(got) != "metadata" || reject.CodeOf(rerr) != want || !errors.Is(rerr, err) {
			t.Errorf("%v: %q, %v (%s), want %s", err, got, rerr, reject.CodeOf(rerr), want)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
