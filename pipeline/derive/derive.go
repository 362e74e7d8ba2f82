package derive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/tributary-dicom/tributary/ecgout/dicomecg"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/stage"
)

// Derived is a DICOM object on its way to admission.
type Derived struct {
	Body   io.Reader // the file
	Source *event.Instance
}

// Config of the stage. Log, Open and Admit are required.
type Config struct {
	Log   stage.Log
	Group string // default "derive"

	// Open gives random access to a blob of size bytes.
	Open func(ctx context.Context, key string, size int64) (io.ReaderAt, error)

	// Admit keeps a derived object; that it is there already is success. A *reject.Error whose reason passes
	// (reject.OutOfResources, reject.Aborted) is tried again, any other is the object's fault.
	Admit func(ctx context.Context, d Derived) error

	// Gone reports whether an error of reading a blob says that its bytes are lost, so that no repetition will
	// find them; nil: none does.
	Gone func(error) bool

	Charset dicomecg.Charset // of texts; default UTF-8

	Head    func() eventlog.Position // newest record of the topic, for the lag; nil: unknown
	Source  string                   // of dead letters, the node
	Version string
	Metrics stage.Metrics
	Logger  *slog.Logger
}

// commitEvery is how often the stage's place is committed. What comes again after a crash makes the same
// object, which is there.
const commitEvery = time.Second

// Run derives until ctx ends, and then returns nil. Run it once.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Log == nil || cfg.Open == nil || cfg.Admit == nil {
		return errors.New("derive without Log, Open or Admit")
	}
	if cfg.Group == "" {
		cfg.Group = "derive"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Gone == nil {
		cfg.Gone = func(error) bool { return false }
	}
	d := deriver{cfg}
	return stage.Run(ctx, stage.Config{
		Log: cfg.Log, Group: cfg.Group, Topic: event.TopicInstances, Handle: d.handle, CommitEvery: commitEvery,
		Head: cfg.Head, Source: cfg.Source, Version: cfg.Version, Metrics: cfg.Metrics, Logger: cfg.Logger,
	})
}

type deriver struct{ Config }

// handle makes the objects of records, one after the other: a recording is small, or long and streamed.
func (d deriver) handle(ctx context.Context, records []eventlog.Record) error {
	for i := range records {
		if err := d.one(ctx, records[i].Event); err != nil {
			return err
		}
	}
	return nil
}

// isDICOM stands in the body of every event of an object that is DICOM already: most of them, and decoding
// costs more than looking.
var isDICOM = []byte(`"format":"dicom"`)

func (d deriver) one(ctx context.Context, env event.Envelope) error {
	if env.Type != event.TypeInstanceStored || bytes.Contains(env.Data, isDICOM) {
		return nil
	}
	body, err := event.DecodeRecord(env)
	if err != nil {
		return stage.Permanent(err)
	}
	in, ok := body.(*event.Instance)
	if !ok || in.Blob.Format == string(sniff.DICOM) {
		return nil
	}
	return d.derive(ctx, in)
}

// derive makes the object of one original.
func (d deriver) derive(ctx context.Context, in *event.Instance) error {
	at, err := d.Open(ctx, in.Blob.Key, in.Blob.Bytes)
	if err != nil {
		return d.fault("open", in, err)
	}
	name := path.Base(strings.ReplaceAll(in.Origin.Filename, `\`, "/"))
	file := ecg.File{Name: name, At: at, Size: in.Blob.Bytes}
	rec, err := formats.Decode(ecg.Source{File: file}, ecg.Limits{})
	if err != nil {
		return d.fault("decode", in, err)
	}
	opt := dicomecg.Options{
		Tenant: in.Tenant, SourceSHA256: in.Blob.SHA256, SourceID: in.IDs.SOPInstanceUID,
		Charset: d.Charset, Received: in.Origin.ReceivedAt,
	}
	var write func(w io.Writer) error
	if rec.Format == sniff.PDF {
		plan, err := dicomecg.NewPDF(file.Size, "", rec, opt)
		if err != nil {
			return d.fault("convert", in, err)
		}
		write = func(w io.Writer) error { return plan.WriteTo(w, file.Reader()) }
	} else {
		plan, err := dicomecg.NewPlan(rec, opt)
		if reject.CodeOf(err) == reject.UnsupportedFormat { // an EEG in EDF, say: nothing went wrong
			d.Logger.Info("no DICOM object is made of a recording", "original", in.ObjectID, "error", err)
			return nil
		}
		if err != nil {
			return d.fault("convert", in, err)
		}
		for _, w := range plan.Warnings {
			d.Logger.Info("a derived object says less than its original", "original", in.ObjectID, "code", string(w.Code), "where", w.Where)
		}
		write = func(w io.Writer) error {
			_, err := plan.WriteTo(w)
			return err
		}
	}
	return d.fault("admit", in, d.admit(ctx, in, write))
}

// admit streams the object from its writer to admission.
func (d deriver) admit(ctx context.Context, in *event.Instance, write func(w io.Writer) error) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		w.CloseWithError(err) // nil is the end
		written <- err
	}()
	err := d.Admit(ctx, Derived{Body: r, Source: in})
	_ = r.CloseWithError(io.ErrClosedPipe) // a writer whose reader is gone ends
	if werr := <-written; err == nil || errors.Is(err, werr) {
		return werr
	}
	return err
}

// fault tells what will not pass from what may.
func (d deriver) fault(doing string, in *event.Instance, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s original %s: %w", doing, in.ObjectID, err)
	if d.Gone(err) {
		return stage.Permanent(err)
	}
	var why *reject.Error
	if errors.As(err, &why) && why.Code != reject.OutOfResources && why.Code != reject.Aborted && why.Code != reject.Internal {
		return stage.Permanent(err)
	}
	return err
}
