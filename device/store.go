package device

import (
	"context"
	"errors"
	"fmt"

	"github.com/tributary-dicom/tributary/dimse"
)

// maxContexts is how many Presentation Contexts an Association can propose: odd ids up to 255 (PS3.8
// §9.3.2.2).
const maxContexts = 128

// pair is what a Presentation Context is about.
type pair struct{ abstract, transfer string }

// storer sends by C-STORE over one Association, opened when needed and again after it broke.
type storer struct {
	Target
	pairs  []pair // all that will be needed, in order of first use
	client *dimse.Client
	has    map[pair]bool // proposed on the present Association
}

func newStorer(t Target, objects []Object) *storer {
	s := &storer{Target: t}
	known := map[pair]bool{}
	for _, o := range objects {
		if p := (pair{o.SOPClassUID, o.TransferSyntaxUID}); o.DICOM() && !known[p] && dimse.ValidUID(p.abstract) && dimse.ValidUID(p.transfer) {
			known[p] = true
			s.pairs = append(s.pairs, p)
		}
	}
	return s
}

func (s *storer) Close() error {
	if s.client == nil || s.client.Done() {
		return nil
	}
	return s.client.Release(context.Background())
}

func (s *storer) Send(ctx context.Context, o Object) (Outcome, error) {
	if !o.DICOM() {
		return Outcome{}, fmt.Errorf("%s has no DICOM header; send it with --to http://… --via upload", o.Name)
	}
	if !dimse.ValidUID(o.SOPInstanceUID) || !dimse.ValidUID(o.SOPClassUID) || !dimse.ValidUID(o.TransferSyntaxUID) {
		return Outcome{}, fmt.Errorf("%s has a malformed UID, which no C-STORE can carry; send it with --to http://… --via upload", o.Name)
	}
	p := pair{o.SOPClassUID, o.TransferSyntaxUID}
	if err := s.associate(ctx, p); err != nil {
		return Outcome{}, err
	}
	if _, ok := s.client.Accepted(p.abstract, p.transfer); !ok {
		return Outcome{Status: Refused, Code: "0122", Detail: "no Presentation Context accepted for " + p.abstract + " in " + p.transfer}, nil
	}
	body, err := s.body(o, o.DatasetOffset)
	if err != nil {
		return Outcome{}, err
	}
	defer body.Close()
	status, comment, err := s.client.Store(ctx, dimse.StoreRequest{
		SOPClassUID: o.SOPClassUID, SOPInstanceUID: o.SOPInstanceUID, TransferSyntaxUID: o.TransferSyntaxUID, Data: body,
	})
	if err != nil {
		s.client.Abort()
		s.client = nil
		return Outcome{}, temporary("C-STORE: %w", err)
	}
	out := Outcome{Status: Stored, Detail: comment}
	if status != dimse.StatusSuccess {
		out.Code = fmt.Sprintf("%04X", status)
	}
	switch {
	case status == dimse.StatusSuccess:
	case status&0xFF00 == 0xA700:
		return Outcome{}, temporary("C-STORE: out of resources (%04XH) %s", status, comment)
	case status == dimse.StatusDataSetWarning:
		out.Status = Quarantined
	case !dimse.IsSuccess(status):
		out.Status = Refused
	}
	return out, nil
}

// associate makes sure that an Association is open which proposed p.
func (s *storer) associate(ctx context.Context, p pair) error {
	if s.client != nil && !s.client.Done() && s.has[p] {
		return nil
	}
	if s.client != nil && !s.client.Done() {
		if err := s.client.Release(ctx); err != nil {
			s.client.Abort()
		}
	}
	s.has = map[pair]bool{p: true}
	proposals := []dimse.Proposal{{AbstractSyntax: p.abstract, TransferSyntaxes: []string{p.transfer}}}
	for _, q := range s.pairs {
		if len(proposals) < maxContexts && !s.has[q] {
			s.has[q] = true
			proposals = append(proposals, dimse.Proposal{AbstractSyntax: q.abstract, TransferSyntaxes: []string{q.transfer}})
		}
	}
	var err error
	s.client, err = dimse.Dial(ctx, s.Address, dimse.ClientConfig{CallingAE: s.CallingAE, CalledAE: s.CalledAE, Contexts: proposals})
	if err != nil {
		s.client = nil
		var rj *dimse.AssociateRJ
		if errors.As(err, &rj) && rj.Result == 1 {
			return fmt.Errorf("the node rejects the Association for good: %w", err)
		}
		return temporary("open the Association: %w", err)
	}
	return nil
}
