package pterosocket

import "time"

// Snapshot returns what is known of every server, in the order in which the fleet has got them, without asking anybody.
// Servers that have not been tried yet are among them, and those that have ended for good.
func (f *Fleet) Snapshot() []ServerSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]ServerSnapshot, 0, len(f.members))
	for _, m := range f.members {
		all = append(all, m.snapshot())
	}
	return all
}

// snapshot returns what is known of one server. f.mu is held.
func (m *member) snapshot() ServerSnapshot {
	s := m.client.snapshot()
	s.Server = m.server
	if m.hasEnded() {
		s.Err, s.NextAttempt = m.client.err, time.Time{}
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

// FleetBudget is what a fleet asks of the panel, and what it may ask.
type FleetBudget struct {
	RequestsPerMinute int    // that the fleet allows itself at most
	Requests          uint64 // sent so far, for lists and credentials
	Waiting           int    // requests that wait for their turn
	Surplus           int    // servers that the budget does not keep alive
}

// Budget returns how the fleet's budget of requests to the panel is used.
func (f *Fleet) Budget() FleetBudget {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := FleetBudget{RequestsPerMinute: f.budget.PerMinute(), Surplus: f.surplus}
	b.Requests, b.Waiting = f.budget.Use()
	return b
}
