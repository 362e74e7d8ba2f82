package ecgtest

import (
	"errors"
	"io"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Survive decodes data as a fuzz target does and reads all samples. It fails the test for an error that is no
// *reject.Error, a refusal as our own bug, and a recording that breaks the model's promises: one that
// Validate refuses is fine, since formats.Decode refuses it too.
func Survive(t testing.TB, decode ecg.Decoder, data []byte) *ecg.Recording {
	t.Helper()
	rec, err := decode(Source("", data), ecg.Limits{Samples: 1 << 20})
	if err != nil {
		var refusal *reject.Error
		if !errors.As(err, &refusal) {
			t.Fatalf("not a refusal: %v", err)
		}
		if refusal.Code == reject.Internal {
			t.Fatalf("our bug: %v", err)
		}
		return nil
	}
	if rec == nil {
		t.Fatal("neither recording nor error")
	}
	if err := rec.Validate(ecg.Limits{}); err != nil {
		if reject.CodeOf(err) == reject.Internal {
			t.Fatal(err)
		}
		return nil
	}
	if err := rec.Complete(); err != nil {
		t.Fatal(err)
	}
	for i, g := range rec.Groups {
		ReadGroup(t, i, g)
	}
	if _, err := rec.Summarize(true); err != nil {
		t.Fatal(err)
	}
	return rec
}

// ReadGroup reads a group to its end and checks what SampleReader promises.
func ReadGroup(t testing.TB, n int, g *ecg.Group) {
	t.Helper()
	r, err := g.Samples()
	if errors.Is(err, ecg.ErrNoSamples) {
		return
	}
	if err != nil {
		t.Fatalf("group %d: %v", n, err)
	}
	var b ecg.Block
	at := int64(0)
	for {
		err := r.Next(&b)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("group %d at %d: %v", n, at, err)
		}
		if b.Len < 1 || b.Len > ecg.BlockSamples || b.Start != at || len(b.Counts) != len(g.Leads) || len(b.Missing) != len(g.Leads) {
			t.Fatalf("group %d: block of %d samples of %d leads at %d, expected at %d of %d leads", n, b.Len, len(b.Counts), b.Start, at, len(g.Leads))
		}
		for i := range b.Counts {
			if len(b.Counts[i]) != b.Len || b.Missing[i] != nil && len(b.Missing[i]) != b.Len {
				t.Fatalf("group %d lead %d: ragged block", n, i)
			}
			for j := range b.Len {
				p := at + int64(j)
				if l := &g.Leads[i]; (p < l.Start || p >= l.Start+l.Length) && !b.IsMissing(i, j) {
					t.Fatalf("group %d lead %d: sample %d is outside the lead and not missing", n, i, p)
				}
			}
		}
		at += int64(b.Len)
	}
	if at != g.Length {
		t.Fatalf("group %d: %d samples, announced %d", n, at, g.Length)
	}
}

// Check feeds a good file to a decoder in bad ways: cut at every length (of a long file, at many), and with
// bytes overwritten throughout. None may panic, hang or break a promise; the whole file must decode.
func Check(t *testing.T, decode ecg.Decoder, good []byte) {
	t.Helper()
	if Survive(t, decode, good) == nil {
		t.Fatal("the good file does not decode")
	}
	step := max(1, len(good)/300)
	for n := 0; n < len(good); n += step {
		Survive(t, decode, good[:n])
	}
	for _, value := range []byte{0x00, 0x7F, 0x80, 0xFF} {
		for i := 0; i < len(good); i += step {
			bad := append([]byte(nil), good...)
			bad[i] = value
			Survive(t, decode, bad)
		}
	}
}
