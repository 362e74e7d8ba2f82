package dimse

import (
	"context"
	"errors"
	"io"
)

// StoreRequest is one C-STORE (PS3.7 §9.3.1).
type StoreRequest struct {
	SOPClassUID    string
	SOPInstanceUID string
	// TransferSyntaxUID is that of Data; "" takes the first context accepted for the SOP Class, which is
	// right only when one transfer syntax was proposed.
	TransferSyntaxUID string
	// Data yields the data set without preamble and File Meta Information. It is streamed; an error other
	// than io.EOF aborts the Association, so that nothing half-sent is taken for an object.
	Data     io.Reader
	Priority uint16

	// Set when the C-STORE is a sub-operation of a C-MOVE.
	MoveOriginatorAETitle   string
	MoveOriginatorMessageID uint16
}

// Store sends one object and returns the final status with its Error Comment. ErrNoContext leaves the
// Association as it was; any other error ends it.
func (c *Client) Store(ctx context.Context, rq StoreRequest) (status uint16, comment string, err error) {
	switch {
	case rq.Data == nil:
		return 0, "", errors.New("dimse: StoreRequest without data")
	case !ValidUID(rq.SOPInstanceUID):
		return 0, "", errors.New("dimse: StoreRequest with a malformed SOP Instance UID")
	}
	pc, ok := c.Accepted(rq.SOPClassUID, rq.TransferSyntaxUID)
	if !ok {
		return 0, "", ErrNoContext
	}
	rsp, err := c.Do(ctx, Request{Context: pc, Data: rq.Data, Command: Command{
		Field:                   CStoreRQ,
		AffectedSOPClassUID:     rq.SOPClassUID,
		AffectedSOPInstanceUID:  rq.SOPInstanceUID,
		Priority:                rq.Priority,
		MoveOriginatorAETitle:   rq.MoveOriginatorAETitle,
		MoveOriginatorMessageID: rq.MoveOriginatorMessageID,
	}})
	if err != nil {
		return 0, "", err
	}
	return rsp.Command.Status, rsp.Command.ErrorComment, nil
}
