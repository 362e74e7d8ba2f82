package dimse

import (
	"errors"
	"fmt"
	"time"
)

// Limits bound what peers may cost. A zero field means its default.
type Limits struct {
	// MaxAssociateBytes is the longest A-ASSOCIATE-RQ, header excluded. 128 contexts with a dozen transfer
	// syntaxes each need about 70 KiB; default 256 KiB. Beyond it A-ABORT(2,6).
	MaxAssociateBytes int
	// MaxContexts is the number of Presentation Contexts in one request; there are 128 odd ids. Default 128.
	MaxContexts int
	// MaxTransferSyntaxes is the number of transfer syntaxes in one context. Default 64.
	MaxTransferSyntaxes int

	// ARTIM is the absolute time for the whole A-ASSOCIATE-RQ (TLS handshake included), and for the peer to
	// close after the end (PS3.8 §9.1.5). Default 10 s.
	ARTIM time.Duration
	// Idle is the time between messages. Default 60 s, then A-ABORT(2,0).
	Idle time.Duration
	// Stall is the longest time without a single byte within a message, the time for a whole command set,
	// and the time that a write may take. Default 30 s, then A-ABORT(2,0).
	Stall time.Duration
	// MinRate is the slowest sender of a data set tolerated, in bytes per second, once MinRateGrace has
	// passed. Only time spent waiting for the peer counts. Default 1024 after 10 s.
	MinRate      int64
	MinRateGrace time.Duration

	// MaxPDU is the maximum length that we announce (PS3.8 §D.1), in bytes. Small ones cost a round of
	// delayed acknowledgements per object with common toolkits, whose own ceiling is 128 KiB.
	// Default 131072. A longer P-DATA-TF is answered A-ABORT(2,6) at its header.
	MaxPDU uint32
	// MaxCommandBytes bounds one command set. Default 16 KiB.
	MaxCommandBytes int
	// MaxIdentifierBytes bounds the data set of every message but C-STORE-RQ. Default 1 MiB.
	MaxIdentifierBytes int64
	// MaxObjectBytes bounds the data set of a C-STORE-RQ. Default 8 GiB.
	MaxObjectBytes int64

	// MaxAssociations, MaxPerIP and MaxPerDevice bound concurrent Associations. Defaults 256, 32, 8. The
	// first two are answered A-ASSOCIATE-RJ(2,3,2) without reading the request.
	MaxAssociations int
	MaxPerIP        int
	MaxPerDevice    int

	// MaxBytesInFlight is the budget for data sets that are being received and not answered yet. A message
	// starts only while their sum is below the budget; it waits up to BudgetWait, then gets A700H. Messages
	// under way are never held up, so the sum may pass the budget. Defaults 32 GiB, 5 s.
	MaxBytesInFlight int64
	BudgetWait       time.Duration

	// DrainBytes and DrainTime bound what is read and thrown away before a status for a data set which the
	// Handler did not read to its end. Defaults 64 MiB, 5 s.
	DrainBytes int64
	DrainTime  time.Duration

	// ShutdownGrace is the time that messages under way get when Serve's context ends. Default 30 s.
	ShutdownGrace time.Duration
}

// pduSlack is added to the announced maximum: some senders count the 6 bytes of the PDU header or a PDV
// header wrongly, and refusing their last bytes helps nobody.
const pduSlack = 64

// DefaultLimits returns the defaults.
func DefaultLimits() Limits {
	return Limits{
		MaxAssociateBytes:   256 << 10,
		MaxContexts:         128,
		MaxTransferSyntaxes: 64,
		ARTIM:               10 * time.Second,
		Idle:                60 * time.Second,
		Stall:               30 * time.Second,
		MinRate:             1 << 10,
		MinRateGrace:        10 * time.Second,
		MaxPDU:              128 << 10,
		MaxCommandBytes:     16 << 10,
		MaxIdentifierBytes:  1 << 20,
		MaxObjectBytes:      8 << 30,
		MaxAssociations:     256,
		MaxPerIP:            32,
		MaxPerDevice:        8,
		MaxBytesInFlight:    32 << 30,
		BudgetWait:          5 * time.Second,
		DrainBytes:          64 << 20,
		DrainTime:           5 * time.Second,
		ShutdownGrace:       30 * time.Second,
	}
}

// withDefaults returns l with every zero field replaced by its default.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	orDefault(&l.MaxAssociateBytes, d.MaxAssociateBytes)
	orDefault(&l.MaxContexts, d.MaxContexts)
	orDefault(&l.MaxTransferSyntaxes, d.MaxTransferSyntaxes)
	orDefault(&l.ARTIM, d.ARTIM)
	orDefault(&l.Idle, d.Idle)
	orDefault(&l.Stall, d.Stall)
	orDefault(&l.MinRate, d.MinRate)
	orDefault(&l.MinRateGrace, d.MinRateGrace)
	orDefault(&l.MaxPDU, d.MaxPDU)
	orDefault(&l.MaxCommandBytes, d.MaxCommandBytes)
	orDefault(&l.MaxIdentifierBytes, d.MaxIdentifierBytes)
	orDefault(&l.MaxObjectBytes, d.MaxObjectBytes)
	orDefault(&l.MaxAssociations, d.MaxAssociations)
	orDefault(&l.MaxPerIP, d.MaxPerIP)
	orDefault(&l.MaxPerDevice, d.MaxPerDevice)
	orDefault(&l.MaxBytesInFlight, d.MaxBytesInFlight)
	orDefault(&l.BudgetWait, d.BudgetWait)
	orDefault(&l.DrainBytes, d.DrainBytes)
	orDefault(&l.DrainTime, d.DrainTime)
	orDefault(&l.ShutdownGrace, d.ShutdownGrace)
	return l
}

func orDefault[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// Validate reports every field that makes no sense, together. Zero fields are fine.
func (l Limits) Validate() error {
	l = l.withDefaults()
	var errs []error
	between := func(name string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("dimse: Limits.%s is %d, want %d to %d", name, v, low, high))
		}
	}
	between("MaxAssociateBytes", int64(l.MaxAssociateBytes), 1<<10, 16<<20)
	between("MaxContexts", int64(l.MaxContexts), 1, 128)
	between("MaxTransferSyntaxes", int64(l.MaxTransferSyntaxes), 1, 1024)
	between("MaxPDU", int64(l.MaxPDU), 4<<10, 16<<20)
	between("MaxCommandBytes", int64(l.MaxCommandBytes), 512, 1<<20)
	const most = 1 << 50
	between("MinRate", l.MinRate, 1, most)
	between("MaxIdentifierBytes", l.MaxIdentifierBytes, 1<<10, most)
	between("MaxObjectBytes", l.MaxObjectBytes, 1<<10, most)
	between("MaxAssociations", int64(l.MaxAssociations), 1, 1<<20)
	between("MaxPerIP", int64(l.MaxPerIP), 1, 1<<20)
	between("MaxPerDevice", int64(l.MaxPerDevice), 1, 1<<20)
	between("MaxBytesInFlight", l.MaxBytesInFlight, 1<<20, most)
	between("DrainBytes", l.DrainBytes, 1, most)
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"ARTIM", l.ARTIM},
		{"Idle", l.Idle},
		{"Stall", l.Stall},
		{"MinRateGrace", l.MinRateGrace},
		{"BudgetWait", l.BudgetWait},
		{"DrainTime", l.DrainTime},
		{"ShutdownGrace", l.ShutdownGrace},
	} {
		if d.v < 0 || d.v > 24*time.Hour {
			errs = append(errs, fmt.Errorf("dimse: Limits.%s is %v, want up to 24h", d.name, d.v))
		}
	}
	return errors.Join(errs...)
}
