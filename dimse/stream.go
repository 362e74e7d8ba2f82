package dimse

import (
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// stream reads PDUs and PDVs of an established Association off a link and writes messages to it. Each step
// can be interrupted and taken up again: nothing is consumed before it is there as a whole.
type stream struct {
	*link
	maxBody    int  // longest P-DATA-TF that we take
	maxCommand int  // longest command set
	peerMax    int  // longest P-DATA-TF that the peer takes, at most ownSendMax
	pduLeft    int  // bytes left in the P-DATA-TF being read
	pdv        PDV  // header of the PDV being read; Data is unused
	pdvLeft    int  // bytes left in it
	inPDV      bool // pdv is valid and not finished
	fragments  int  // empty fragments in this message

	command   []byte // set being assembled
	commandID byte   // its Presentation Context
	out       []byte // for writes
}

// maxEmptyFragments bounds the PDVs without a byte in one message. They are legal, and without end they
// would keep us busy for ever while no other limit counts them.
const maxEmptyFragments = 1 << 14

// ownSendMax is the longest P-DATA-TF that we send to a peer without a lower limit.
const ownSendMax = 128 << 10

// minPeerMax is the lowest maximum length of a peer that we can work with: a PDV header and some bytes.
const minPeerMax = 16

// event is what came next on an Association; 0 is data.
type event int

const (
	eventCommand event = iota + 1
	eventReleaseRQ
	eventReleaseRP
)

func newStream(l *link, limits Limits) *stream {
	return &stream{link: l, maxBody: int(limits.MaxPDU) + pduSlack, maxCommand: limits.MaxCommandBytes, peerMax: ownSendMax}
}

// setPeerMax takes the maximum length that the peer announced; 0 is no limit.
func (s *stream) setPeerMax(n uint32) error {
	if n == 0 || n > ownSendMax {
		n = ownSendMax
	}
	if n < minPeerMax {
		return violation(abortBadParam, "maximum length of %d bytes", n)
	}
	s.peerMax = int(n)
	return nil
}

// nextPDU reads the header of the next PDU; a P-DATA-TF is then open. ev is 0 for it.
func (s *stream) nextPDU() (ev event, err error) {
	if err := s.fill(pduHeader); err != nil {
		return 0, err
	}
	h := s.buf[s.r : s.r+pduHeader]
	n := int64(binary.BigEndian.Uint32(h[2:]))
	switch h[0] {
	case pduPDataTF:
		if n > int64(s.maxBody) {
			return 0, violation(abortBadParam, "P-DATA-TF of %d bytes, limit %d", n, s.maxBody)
		}
		if n < pdvHeader {
			return 0, violation(abortBadParam, "P-DATA-TF of %d bytes", n)
		}
		s.take(pduHeader)
		s.pduLeft = int(n)
		return 0, nil
	case pduReleaseRQ, pduReleaseRP, pduAbort:
		if n != 4 {
			return 0, violation(abortBadParam, "PDU of type %d with %d bytes", h[0], n)
		}
		if err := s.fill(pduHeader + 4); err != nil {
			return 0, err
		}
		b := s.take(pduHeader + 4)
		switch b[0] {
		case pduReleaseRQ:
			return eventReleaseRQ, nil
		case pduReleaseRP:
			return eventReleaseRP, nil
		}
		return 0, &AbortError{Source: b[8], Reason: b[9], Peer: true}
	case pduAssociateRQ, pduAssociateAC, pduAssociateRJ:
		return 0, violation(abortUnexpected, "PDU of type %d on an association", h[0])
	}
	return 0, violation(abortUnrecognized, "PDU type %02XH", h[0])
}

// nextPDV moves to the next PDV with its header read, or reports the event which came instead of one.
func (s *stream) nextPDV() (ev event, err error) {
	for s.pduLeft == 0 {
		if ev, err := s.nextPDU(); err != nil || ev != 0 {
			return ev, err
		}
	}
	if s.pduLeft < pdvHeader {
		return 0, violation(abortBadParam, "%d bytes where a PDV should start", s.pduLeft)
	}
	if err := s.fill(pdvHeader); err != nil {
		return 0, err
	}
	v, n, err := parsePDVHeader(s.buf[s.r:s.r+pdvHeader], s.pduLeft)
	if err != nil {
		return 0, err
	}
	s.take(pdvHeader)
	s.pduLeft -= pdvHeader
	if n == 0 {
		if s.fragments++; s.fragments > maxEmptyFragments {
			return 0, violation(abortBadParam, "more than %d empty fragments", maxEmptyFragments)
		}
	}
	s.pdv, s.pdvLeft, s.inPDV = v, n, true
	return 0, nil
}

// consumed notes that n bytes of the PDV were read.
func (s *stream) consumed(n int) {
	s.pdvLeft -= n
	s.pduLeft -= n
}

// readCommand reads the next command set as a whole and returns its context; raw is valid until the next
// call. idle is the deadline for the first byte; started runs when that is there.
func (s *stream) readCommand(idle time.Time, started func() error) (ev event, id byte, raw []byte, err error) {
	if len(s.command) == 0 && !s.inPDV && s.pduLeft == 0 {
		s.until = idle
		if err := s.fill(1); err != nil {
			return 0, 0, nil, err
		}
	}
	if started != nil {
		if err := started(); err != nil {
			return 0, 0, nil, err
		}
	}
	s.until = time.Now().Add(s.stall) // for all of it
	for {
		if !s.inPDV {
			ev, err := s.nextPDV()
			if err != nil {
				return 0, 0, nil, err
			}
			if ev != 0 {
				if s.commandID != 0 {
					return 0, 0, nil, violation(abortUnexpected, "release within a command")
				}
				return ev, 0, nil, nil
			}
			switch {
			case !s.pdv.Command:
				return 0, 0, nil, violation(abortBadParam, "data set fragment where a command should be")
			case s.commandID != 0 && s.commandID != s.pdv.ContextID:
				return 0, 0, nil, violation(abortBadParam, "presentation context changes within a command")
			case len(s.command)+s.pdvLeft > s.maxCommand:
				return 0, 0, nil, violation(abortBadParam, "command of more than %d bytes", s.maxCommand)
			}
			if s.commandID = s.pdv.ContextID; s.commandID%2 == 0 {
				return 0, 0, nil, violation(abortBadParam, "presentation context %d", s.commandID)
			}
		}
		for s.pdvLeft > 0 {
			if err := s.fill(1); err != nil {
				return 0, 0, nil, err
			}
			n := min(s.pdvLeft, s.buffered())
			s.command = append(s.command, s.take(n)...)
			s.consumed(n)
		}
		s.inPDV = false
		if s.pdv.Last {
			id, raw = s.commandID, s.command
			s.commandID, s.command, s.fragments = 0, s.command[:0], 0
			return eventCommand, id, raw, nil
		}
	}
}

// writeMessage sends a command and, when it is not nil, its data set. The command and the first PDU of the
// data go out in one write, further PDUs in one write each. It returns the bytes of data that were sent.
func (s *stream) writeMessage(id byte, c *Command, data io.Reader) (int64, error) {
	c.HasData = data != nil
	s.out = s.appendCommand(s.out[:0], id, c)
	if data == nil {
		return 0, s.write(s.out)
	}
	fragment := (s.peerMax - pdvHeader) &^ 1 // fragments have an even length
	b := dataBuffers.Get().(*[]byte)
	defer dataBuffers.Put(b)
	if need := len(s.out) + pduHeader + pdvHeader + fragment + 1; cap(*b) < need {
		*b = make([]byte, need)
	}
	p := (*b)[:cap(*b)]
	start := copy(p, s.out) // where the P-DATA-TF of data begins
	const head = pduHeader + pdvHeader
	var sent int64
	have := 0 // bytes of data in p already
	for {
		// One byte more than fits tells whether this is the last fragment.
		n, last, err := readFull(data, p[start+head+have:start+head+fragment+1])
		if err != nil {
			return sent, &dataError{err}
		}
		n += have
		size := n
		if !last {
			size = fragment
		}
		extra := p[start+head+size]
		appendPDVHeader(beginPDU(p[start:start], pduPDataTF), id, false, last, size) // in place
		endPDU(p[:start+head+size], start)
		if err := s.write(p[:start+head+size]); err != nil {
			return sent, err
		}
		sent += int64(size)
		if last {
			return sent, nil
		}
		start, have = 0, 1
		p[head] = extra
	}
}

// readFull fills p and says whether r ended. Unlike io.ReadFull it tells the end from a reader's own
// io.ErrUnexpectedEOF, which means that an object was cut and must not be sent as if it were whole.
func readFull(r io.Reader, p []byte) (n int, eof bool, err error) {
	for empty := 0; n < len(p); {
		got, err := r.Read(p[n:])
		n += got
		switch {
		case err == io.EOF: // the contract of io.Reader: never wrapped
			return n, true, nil
		case err != nil:
			return n, false, err
		case got > 0:
			empty = 0
		default:
			if empty++; empty == 100 {
				return n, false, io.ErrNoProgress
			}
		}
	}
	return n, false, nil
}

// dataBuffers hold one P-DATA-TF each.
var dataBuffers = sync.Pool{New: func() any { return new([]byte) }}

// appendCommand appends the P-DATA-TF PDUs of c.
func (s *stream) appendCommand(b []byte, id byte, c *Command) []byte {
	const head = pduHeader + pdvHeader
	start := len(b)
	b = append(b, make([]byte, head)...)
	b = c.AppendTo(b)
	size := len(b) - start - head
	fragment := (s.peerMax - pdvHeader) &^ 1
	if size <= fragment {
		appendPDVHeader(beginPDU(b[start:start], pduPDataTF), id, true, true, size)
		endPDU(b, start)
		return b
	}
	set := append([]byte(nil), b[start+head:]...)
	b = b[:start]
	for len(set) > 0 {
		n := min(fragment, len(set))
		at := len(b)
		b = appendPDVHeader(beginPDU(b, pduPDataTF), id, true, n == len(set), n)
		b = endPDU(append(b, set[:n]...), at)
		set = set[n:]
	}
	return b
}

// dataError marks an error of the reader that supplies a data set, not of the connection.
type dataError struct{ err error }

func (e *dataError) Error() string { return "read data set to send: " + e.err.Error() }
func (e *dataError) Unwrap() error { return e.err }
