package dimse

import (
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// responseWriter is the ResponseWriter of one message.
type responseWriter struct {
	ss    *session
	m     *Message
	data  *dataReader // nil when the message has no data set
	began time.Time

	answered bool
	fatal    error // why the Association cannot go on

	canceled  chan struct{}
	cancelled sync.Once
	watching  chan struct{} // closed when the watcher is done; nil without one
	watchErr  error         // what ended the watcher; read when watching is closed
}

// Status implements ResponseWriter.
func (w *responseWriter) Status(code uint16, comment string, rel ...Element) error {
	return w.Final(code, comment, nil, rel...)
}

// Final implements ResponseWriter.
func (w *responseWriter) Final(code uint16, comment string, data io.Reader, rel ...Element) error {
	if w.answered {
		return ErrAnswered
	}
	w.stopWatching()
	if err := w.over(); err != nil {
		return err
	}
	if w.data != nil && !w.data.over {
		limits := &w.ss.server.limits
		if err := w.data.drain(limits.DrainBytes, time.Now().Add(limits.DrainTime)); err != nil {
			w.fatal = err
			return err
		}
	}
	w.answered = true
	c := w.response(code, rel)
	if code != StatusSuccess {
		c.ErrorComment = errorComment(comment)
	}
	if err := w.send(c, data); err != nil {
		return err
	}
	var got int64
	if w.data != nil {
		got = w.data.got
	}
	w.ss.server.metrics.MessageServed(w.m.Cmd.Field, code, got, time.Since(w.began))
	return nil
}

// Pending implements ResponseWriter.
func (w *responseWriter) Pending(code uint16, data io.Reader, rel ...Element) error {
	switch {
	case w.answered:
		return ErrAnswered
	case w.fatal != nil:
		return w.fatal
	case w.data != nil && !w.data.over:
		return ErrUnreadData
	}
	return w.send(w.response(code, rel), data)
}

// response fills in what every response repeats of its request (PS3.7 §9.3, §10.3).
func (w *responseWriter) response(code uint16, rel []Element) *Command {
	rq := &w.m.Cmd
	c := &Command{
		Field:                     rq.Field | 0x8000,
		MessageIDBeingRespondedTo: rq.MessageID,
		AffectedSOPClassUID:       rq.AffectedSOPClassUID,
		AffectedSOPInstanceUID:    rq.AffectedSOPInstanceUID,
		EventTypeID:               rq.EventTypeID,
		ActionTypeID:              rq.ActionTypeID,
		Status:                    code,
	}
	if c.AffectedSOPClassUID == "" {
		c.AffectedSOPClassUID, c.AffectedSOPInstanceUID = rq.RequestedSOPClassUID, rq.RequestedSOPInstanceUID
	}
	if len(rel) > 0 {
		c.Elements = slices.SortedStableFunc(slices.Values(rel), func(a, b Element) int { return int(a.Tag) - int(b.Tag) })
	}
	return c
}

func (w *responseWriter) send(c *Command, data io.Reader) error {
	_, err := w.ss.writeMessage(w.m.Context.ID, c, data)
	if err != nil {
		// After part of a message nothing else can be sent, whoever is to blame.
		w.fatal = peerGone(err)
		var own *dataError
		if errors.As(err, &own) {
			w.fatal = ErrAbort
		}
	}
	return err
}

// over says why the Association cannot go on after this message, nil when it can.
func (w *responseWriter) over() error {
	if w.fatal != nil {
		return w.fatal
	}
	if w.data != nil && w.data.err != nil && w.data.err != io.EOF && !errors.Is(w.data.err, ErrTooLarge) { // ours
		return w.data.err
	}
	return nil
}

// Canceled implements ResponseWriter.
func (w *responseWriter) Canceled() <-chan struct{} {
	if w.canceled != nil {
		return w.canceled
	}
	w.canceled = make(chan struct{})
	if w.answered || w.fatal != nil || w.data != nil && !w.data.over {
		return w.canceled
	}
	w.watching = make(chan struct{})
	go func() {
		defer close(w.watching)
		w.watch()
	}()
	return w.canceled
}

// watch reads while the Handler works, to notice C-CANCEL, A-ABORT or the end of the connection. What else
// it reads is served after this message.
func (w *responseWriter) watch() {
	ss := w.ss
	for {
		// No deadline: a peer that waits for our responses has nothing to say.
		ev, id, raw, err := ss.readCommand(time.Now().Add(maxSilence), nil)
		if errors.Is(err, errInterrupted) {
			return
		}
		if err == nil && ev == eventCommand {
			c, err := DecodeCommand(raw)
			if err == nil && c.Field == CCancelRQ && !c.HasData {
				if c.MessageIDBeingRespondedTo == w.m.Cmd.MessageID {
					w.cancelled.Do(func() { close(w.canceled) })
				}
				continue
			}
			ss.queued = &queuedCommand{ev, id, slices.Clone(raw)}
			return
		}
		switch {
		case err != nil:
			w.watchErr = peerGone(err)
		default:
			w.watchErr = violation(abortUnexpected, "release while a response is due")
		}
		w.cancelled.Do(func() { close(w.canceled) })
		return
	}
}

// maxSilence stands for no deadline.
const maxSilence = 365 * 24 * time.Hour

// stopWatching ends the watcher, if any, and takes over what it found.
func (w *responseWriter) stopWatching() {
	if w.watching == nil {
		return
	}
	w.ss.interrupt()
	<-w.watching
	w.watching = nil
	w.ss.resume()
	if w.fatal == nil {
		w.fatal = w.watchErr
	}
}
