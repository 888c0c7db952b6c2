package pterosocket

import (
	"encoding/json"
	"fmt"
	"time"
)

// ServerSnapshot is what is known about a server at one moment.
type ServerSnapshot struct {
	Server       Server    // of a single connection only its ID, which is Config.Server
	Connected    bool      // the connection is up and authenticated
	Since        time.Time // when the current or last connection was first authenticated; zero: there was none
	LastFrame    time.Time // when the last frame came; pongs do not count, and a server that is offline sends none
	State        State     // "" while not connected, and until the daemon reports it
	Stats        Stats     // the last ones of this connection; zero before the first
	Metrics      Metrics   // since Connect; in a fleet, since the server was added or restarted, but Dropped since it was added
	QueuedEvents int       // events that wait for the consumer, besides those in the channel
	QueuedBytes  int       // their size
	Err          error     // why it is not connected; nil: it is, or was not tried yet, or Close ended it
	NextAttempt  time.Time // not before this; zero: no attempt is planned, or one is under way
	TokenExpires time.Time // when the token in use ends; zero: there is none
}

type snapshotJSON struct {
	Server       Server     `json:"info"`
	Connected    bool       `json:"connected"`
	Since        time.Time  `json:"since,omitzero"`
	LastFrame    time.Time  `json:"last_frame,omitzero"`
	State        State      `json:"state"`
	Stats        Stats      `json:"stats"`
	Metrics      Metrics    `json:"metrics"`
	QueuedEvents int        `json:"queued_events"`
	QueuedBytes  int        `json:"queued_bytes"`
	Err          *errorJSON `json:"error,omitempty"`
	NextAttempt  time.Time  `json:"next_attempt,omitzero"`
	TokenExpires time.Time  `json:"token_expires,omitzero"`
}

// MarshalJSON returns the snapshot as one object. Its errors become what MarshalEvent makes of them.
func (s ServerSnapshot) MarshalJSON() ([]byte, error) {
	return json.Marshal(snapshotJSON{
		s.Server, s.Connected, s.Since, s.LastFrame, s.State, s.Stats, s.Metrics, s.QueuedEvents, s.QueuedBytes,
		toErrorJSON(s.Err), s.NextAttempt, s.TokenExpires,
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *ServerSnapshot) UnmarshalJSON(data []byte) error {
	var j snapshotJSON
	err := json.Unmarshal(data, &j)
	*s = ServerSnapshot{
		j.Server, j.Connected, j.Since, j.LastFrame, j.State, j.Stats, j.Metrics, j.QueuedEvents, j.QueuedBytes,
		j.Err.toError(), j.NextAttempt, j.TokenExpires,
	}
	return err
}

// errWithheld tells why a connection that is still up does not count as connected.
var errWithheld = fmt.Errorf("%w: the token has ended and no fresh one has been accepted, or the connection is just ending", ErrNotConnected)

// Snapshot returns what is known about the connection now. It makes no requests. It works after the end, too.
func (c *Commands) Snapshot() ServerSnapshot {
	m := c.c.member
	if m == nil {
		s := c.c.snapshot()
		s.Server.ID = c.c.cfg.Server
		select {
		case <-c.c.done:
			s.Err, s.NextAttempt = c.c.err, time.Time{}
		default:
		}
		return s
	}
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	return m.snapshot()
}

// snapshot returns what the client knows.
func (c *client) snapshot() ServerSnapshot {
	_, notNow := c.standing()
	s := ServerSnapshot{Connected: notNow == nil, Metrics: c.count.snapshot(c.out.Dropped())}
	if at := c.count.lastFrame.Load(); at != 0 {
		s.LastFrame = time.Unix(0, at)
	}
	queued := c.out.Queued()
	s.QueuedEvents, s.QueuedBytes = queued.Events, queued.Bytes
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Since, s.Err = c.since, c.failure
	if s.Err != nil && c.retryAt.After(time.Now()) {
		s.NextAttempt = c.retryAt
	}
	if s.Connected {
		s.State = c.state
	} else if s.Err == nil && !c.since.IsZero() {
		s.Err = errWithheld
	}
	if c.hasStats {
		s.Stats = c.stats
	}
	if c.session != nil {
		s.TokenExpires = c.session.look().token.Expires
	}
	return s
}
