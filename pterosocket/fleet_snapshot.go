package pterosocket

import "time"

// ServerSnapshot is what is known of a fleet's server at a moment.
type ServerSnapshot struct {
	Server       Server
	Connected    bool      // the connection stands and is authenticated
	Since        time.Time // when the current connection, or the last one, was first authenticated; zero: there was none
	State        State     // "" while not connected, and until the daemon has told it
	Stats        Stats     // the last of this connection; zero before the first
	Metrics      Metrics   // since the server was added, or restarted
	QueuedEvents int       // that wait for the consumer
	QueuedBytes  int       // the size of these
	Err          error     // why the last connection, or attempt to make one, has ended, until the next one stands
	NextAttempt  time.Time // when that is made at the earliest; zero: it stands, or has ended for good, or waits for its turn
	TokenExpires time.Time // when the token in use ends; zero: there is none
}

// Snapshot returns what is known of every server, in the order in which the fleet has got them, without asking anybody.
// Servers that have not been tried yet are among them, and those that have ended for good.
func (f *Fleet) Snapshot() []ServerSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]ServerSnapshot, 0, len(f.members))
	for _, m := range f.members {
		s := m.client.snapshot()
		s.Server = m.server
		queued := m.source.Queued()
		s.QueuedEvents, s.QueuedBytes = queued.Events, queued.Bytes
		if m.hasEnded() {
			s.Err, s.NextAttempt = m.client.err, time.Time{}
		}
		all = append(all, s)
	}
	return all
}

// snapshot returns what a client knows.
func (c *client) snapshot() ServerSnapshot {
	_, notNow := c.standing()
	s := ServerSnapshot{Connected: notNow == nil, Metrics: c.count.snapshot(c.out.Dropped())}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Since, s.Err = c.since, c.failure
	if s.Err != nil && c.retryAt.After(time.Now()) {
		s.NextAttempt = c.retryAt
	}
	if s.Connected {
		s.State = c.state
	}
	if c.hasStats {
		s.Stats = c.stats
	}
	if c.session != nil {
		s.TokenExpires = c.session.look().token.Expires
	}
	return s
}

// Metrics returns the sum of all servers' counters, those of servers that have left included. PingRTT is that of one of
// them.
func (f *Fleet) Metrics() Metrics {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := f.past
	for _, m := range f.members {
		sum = sum.plus(m.client.count.snapshot(m.source.Dropped()))
	}
	return sum
}
