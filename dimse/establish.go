package dimse

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"time"
)

// establish takes the connection from its first byte to the A-ASSOCIATE-AC. device is a place that was
// taken in the admission, also when err is not nil.
func (ss *session) establish(deadline time.Time) (device string, err error) {
	if t, ok := ss.conn.(*tls.Conn); ok {
		if err := t.SetDeadline(deadline); err != nil {
			return "", err
		}
		if err := t.HandshakeContext(ss.ctx); err != nil {
			return "", err
		}
		state := t.ConnectionState()
		ss.peer.TLS = &state
		ss.resume() // the deadline is not the one that link knows
	}
	ss.until = deadline
	rq, err := ss.readRequest()
	if err != nil {
		return "", err
	}
	switch {
	case rq.ProtocolVersion&1 == 0:
		return "", &RejectProtocolVersion
	case rq.ApplicationContext != ApplicationContext:
		return "", &RejectApplicationContext
	}
	if err := ss.setPeerMax(rq.User.MaxLength); err != nil {
		return "", err
	}
	d, err := ss.decide(rq)
	if err != nil {
		return "", err
	}
	if d.Reject != nil {
		return "", d.Reject
	}
	perDevice := ss.server.limits.MaxPerDevice
	orOverride(&perDevice, d.MaxPerDevice)
	if !ss.server.admission.enterDevice(d.Device, perDevice) {
		return "", &RejectBusy
	}
	if ss.buffered() > 0 {
		// Sta3: nothing may come before our answer but an A-ABORT.
		return d.Device, ss.early()
	}
	ac := ss.accept(rq, d)
	if err := ss.enter(phaseIdle); err != nil {
		return d.Device, &RejectCongestion
	}
	return d.Device, ss.write(ac.AppendTo(nil))
}

// early is the error for what came before its time (Sta2, Sta3); an A-ABORT may come at any time.
func (ss *session) early() error {
	switch kind := ss.buf[ss.r]; {
	case kind == pduAbort:
		if _, err := ss.nextPDU(); err != nil {
			return err
		}
		return io.ErrUnexpectedEOF // cannot be: nextPDU reports an A-ABORT as error
	case kind == 0 || kind > pduAbort:
		return violation(abortUnrecognized, "PDU type %02XH", kind)
	default:
		return violation(abortUnexpected, "PDU of type %d before the association", kind)
	}
}

// readRequest reads the A-ASSOCIATE-RQ (Sta2).
func (ss *session) readRequest() (*AssociateRQ, error) {
	if err := ss.fill(pduHeader); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(ss.buf[ss.r+2:]))
	switch {
	case ss.buf[ss.r] != pduAssociateRQ:
		return nil, ss.early()
	case n > int64(ss.server.limits.MaxAssociateBytes) || n < associateFixed:
		return nil, violation(abortBadParam, "A-ASSOCIATE-RQ of %d bytes", n)
	}
	ss.take(pduHeader)
	body, err := ss.readRest(int(n))
	if err != nil {
		return nil, err
	}
	return decodeAssociateRQ(body, ss.server.limits)
}

// decide asks the Policy, which may panic.
func (ss *session) decide(rq *AssociateRQ) (d Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			ss.panicked(p)
			err = errPanic
		}
	}()
	return ss.server.Policy(ss.ctx, rq, ss.peer), nil
}

func orOverride[T int | int64 | time.Duration](v *T, override T) {
	if override > 0 {
		*v = override
	}
}

// accept negotiates what the Decision allows and makes the answer.
func (ss *session) accept(rq *AssociateRQ, d Decision) *AssociateAC {
	s := ss.server
	orOverride(&ss.idle, d.Idle)
	a := &Assoc{
		ID: s.lastID.Add(1), CallingAETitle: rq.CallingAETitle, CalledAETitle: rq.CalledAETitle,
		Peer: ss.peer, Device: d.Device, Value: d.Value, User: rq.User, MaxObject: s.limits.MaxObjectBytes,
	}
	a.User.Identity = nil
	orOverride(&a.MaxObject, d.MaxObject)
	ac := &AssociateAC{
		ProtocolVersion: 1, CalledAETitle: rq.CalledAETitle, CallingAETitle: rq.CallingAETitle,
		ApplicationContext: ApplicationContext,
		User: UserInformation{
			MaxLength:                 s.limits.MaxPDU,
			ImplementationClassUID:    s.ImplementationClassUID,
			ImplementationVersionName: s.ImplementationVersionName,
		},
	}
	orDefault(&ac.User.ImplementationClassUID, DefaultImplementationClassUID)
	orDefault(&ac.User.ImplementationVersionName, DefaultImplementationVersionName)
	if id := rq.User.Identity; id != nil && id.ResponseRequested && d.IdentityVerified {
		ac.User.IdentityAnswer = []byte{}
	}
	roles := map[string]RoleSelection{}
	for _, r := range rq.User.Roles {
		roles[r.SOPClassUID] = r
	}
	for _, pc := range rq.Contexts {
		ts, result := "", ContextUserRejection
		if d.Contexts != nil {
			ts, result = d.Contexts(pc)
		}
		if result == ContextAccepted && !slices.Contains(pc.TransferSyntaxes, ts) {
			result = ContextTransferSyntaxesUnsupported
		}
		if result != ContextAccepted {
			ac.Contexts = append(ac.Contexts, ContextAnswer{ID: pc.ID, Result: result, TransferSyntax: ImplicitVRLittleEndian})
			continue
		}
		accepted := PresentationContext{ID: pc.ID, AbstractSyntax: pc.AbstractSyntax, TransferSyntax: ts, RequestorSCU: true}
		if r, ok := roles[pc.AbstractSyntax]; ok {
			r.SCP = r.SCP && d.SCPRole != nil && d.SCPRole(r.SOPClassUID)
			accepted.RequestorSCU, accepted.RequestorSCP = r.SCU, r.SCP
			if !slices.ContainsFunc(ac.User.Roles, func(x RoleSelection) bool { return x.SOPClassUID == r.SOPClassUID }) {
				ac.User.Roles = append(ac.User.Roles, r)
			}
		}
		a.Contexts = append(a.Contexts, accepted)
		ac.Contexts = append(ac.Contexts, ContextAnswer{ID: pc.ID, Result: result, TransferSyntax: ts})
	}
	ss.assoc = a
	return ac
}

// refused ends a connection that did not become an Association.
func (ss *session) refused(err error) {
	_ = ss.enter(phaseRequest)
	ss.resume()
	deadline := time.Now().Add(ss.server.limits.ARTIM)
	var (
		rj    *AssociateRJ
		abort *AbortError
		how   = EndPeerGone
	)
	switch {
	case errors.As(err, &rj):
		ss.server.metrics.AssociationRefused(*rj)
		ss.server.log.Info("association refused", "peer", ss.peer.IP(),
			"result", rj.Result, "source", rj.Source, "reason", rj.Reason)
		if ss.write(rj.AppendTo(nil)) == nil {
			ss.linger(deadline, lingerDrain)
		}
		return
	case errors.As(err, &abort) && abort.Peer:
		how = EndPeerAbort
	case errors.As(err, &abort):
		how = EndViolation
		if ss.write((&Abort{abort.Source, abort.Reason}).AppendTo(nil)) == nil {
			ss.linger(deadline, lingerDrain)
		}
	case errors.Is(err, errPanic):
		how = EndHandler
		if ss.write((&Abort{Source: sourceUser}).AppendTo(nil)) == nil {
			ss.linger(deadline, lingerDrain)
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		how = EndTimeout // ARTIM expired in Sta2: close, PS3.8 Table 9-10 AA-2
	}
	ss.server.metrics.RequestFailed(how)
	level := ss.server.log.Info
	if how == EndPeerGone && errors.Is(err, io.EOF) {
		level = ss.server.log.Debug // port scans and health checks
	}
	level("connection without association", "peer", ss.peer.IP(), "end", string(how), "error", err)
}
