package pterosocket

import (
	"cmp"
	"sync/atomic"
	"time"
)

// Metrics are counters of a connection's whole life, including reconnects. Commands.Metrics returns them.
type Metrics struct {
	EventsReceived     uint64        `json:"events_received"`     // frames that the daemon sent
	BytesReceived      uint64        `json:"bytes_received"`      // bytes of those frames, uncompressed
	ConsoleLines       uint64        `json:"console_lines"`       // ConsoleOutput events, including dropped and recovered ones
	Dropped            uint64        `json:"dropped"`             // events given up because the consumer was slow
	Reconnects         uint64        `json:"reconnects"`          // connections after the first that were authenticated
	Renewals           uint64        `json:"renewals"`            // tokens renewed on a live connection
	CredentialRequests uint64        `json:"credential_requests"` // requests for a token
	CommandsSent       uint64        `json:"commands_sent"`       // frames sent through Commands, without the library's own
	FramesSkipped      uint64        `json:"frames_skipped"`      // frames that were too long or could not be read
	FailedAttempts     uint64        `json:"failed_attempts"`     // attempts to connect that failed
	Gaps               uint64        `json:"gaps"`                // Gap events
	LinesReplayed      uint64        `json:"lines_replayed"`      // lines recovered from the daemon's history
	PingRTT            time.Duration `json:"ping_rtt"`            // round trip of the last answered ping; 0 before the first
}

// counters hold the Metrics while they count.
type counters struct {
	eventsReceived, bytesReceived, reconnects, renewals, credentialRequests atomic.Uint64
	commandsSent, framesSkipped, failedAttempts, gaps, linesReplayed, lines atomic.Uint64
	pingRTT, lastFrame                                                      atomic.Int64 // nanoseconds
}

// plus returns the sum of two connections' counters. PingRTT is n's, or m's if n has none.
func (m Metrics) plus(n Metrics) Metrics {
	return Metrics{
		EventsReceived:     m.EventsReceived + n.EventsReceived,
		BytesReceived:      m.BytesReceived + n.BytesReceived,
		ConsoleLines:       m.ConsoleLines + n.ConsoleLines,
		Dropped:            m.Dropped + n.Dropped,
		Reconnects:         m.Reconnects + n.Reconnects,
		Renewals:           m.Renewals + n.Renewals,
		CredentialRequests: m.CredentialRequests + n.CredentialRequests,
		CommandsSent:       m.CommandsSent + n.CommandsSent,
		FramesSkipped:      m.FramesSkipped + n.FramesSkipped,
		FailedAttempts:     m.FailedAttempts + n.FailedAttempts,
		Gaps:               m.Gaps + n.Gaps,
		LinesReplayed:      m.LinesReplayed + n.LinesReplayed,
		PingRTT:            cmp.Or(n.PingRTT, m.PingRTT),
	}
}

func (c *counters) snapshot(dropped uint64) Metrics {
	return Metrics{
		EventsReceived:     c.eventsReceived.Load(),
		BytesReceived:      c.bytesReceived.Load(),
		ConsoleLines:       c.lines.Load(),
		Dropped:            dropped,
		Reconnects:         c.reconnects.Load(),
		Renewals:           c.renewals.Load(),
		CredentialRequests: c.credentialRequests.Load(),
		CommandsSent:       c.commandsSent.Load(),
		FramesSkipped:      c.framesSkipped.Load(),
		FailedAttempts:     c.failedAttempts.Load(),
		Gaps:               c.gaps.Load(),
		LinesReplayed:      c.linesReplayed.Load(),
		PingRTT:            time.Duration(c.pingRTT.Load()),
	}
}
