package dimse

import "time"

// Metrics hears what a Server does; its methods are called concurrently and must be quick.
type Metrics interface {
	// AssociationOpened: an A-ASSOCIATE-AC was sent.
	AssociationOpened()
	// AssociationClosed is called once per AssociationOpened; how is one of the End constants.
	AssociationClosed(how End, open time.Duration)
	// AssociationRefused: an A-ASSOCIATE-RJ was sent.
	AssociationRefused(rj AssociateRJ)
	// RequestFailed: a connection ended before there was an Association (silence, garbage, no TLS).
	RequestFailed(how End)
	// MessageServed: a message got its final response. bytes is the length of its data set as far as it
	// was read.
	MessageServed(field CommandField, status uint16, bytes int64, took time.Duration)
	// HandlerPanicked: a Handler or Policy panicked; the Association was aborted.
	HandlerPanicked()
}

// End says how an Association or a connection ended; a closed list, fit for a label.
type End string

// Ends of an Association.
const (
	EndReleased  End = "released"
	EndPeerAbort End = "peer_abort"
	EndPeerGone  End = "peer_gone" // connection lost
	EndTimeout   End = "timeout"   // idle, stalled or too slow
	EndViolation End = "violation" // the peer broke the protocol
	EndTooLarge  End = "too_large" // more data than the limit, and still sending
	EndShutdown  End = "shutdown"
	EndHandler   End = "handler" // a Handler panicked or asked for the abort
)

// noMetrics is the Metrics of a Server without any.
type noMetrics struct{}

func (noMetrics) AssociationOpened()                                       {}
func (noMetrics) AssociationClosed(End, time.Duration)                     {}
func (noMetrics) AssociationRefused(AssociateRJ)                           {}
func (noMetrics) RequestFailed(End)                                        {}
func (noMetrics) MessageServed(CommandField, uint16, int64, time.Duration) {}
func (noMetrics) HandlerPanicked()                                         {}
