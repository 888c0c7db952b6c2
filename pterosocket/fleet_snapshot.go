package pterosocket

import "time"

// Snapshot returns what the fleet knows about every server, in the order in which the servers came. It makes no
// requests. It includes servers that have not been tried yet, and servers that have ended for good.
func (f *Fleet) Snapshot() []ServerSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]ServerSnapshot, 0, len(f.members))
	for _, m := range f.members {
		all = append(all, m.snapshot())
	}
	return all
}

// snapshot returns what the fleet knows about one server. The caller holds f.mu.
func (m *member) snapshot() ServerSnapshot {
	s := m.client.snapshot()
	s.Server = m.server
	if m.hasEnded() {
		s.Err, s.NextAttempt = m.client.err, time.Time{}
	}
	return s
}

// Metrics returns the sum of all servers' counters, including servers that have left. PingRTT is that of one of them.
func (f *Fleet) Metrics() Metrics {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := f.past
	for _, m := range f.members {
		sum = sum.plus(m.client.count.snapshot(m.source.Dropped()))
	}
	return sum
}

// FleetBudget says how a fleet uses its budget of requests to the panel.
type FleetBudget struct {
	RequestsPerMinute int    // the most that the fleet sends
	Limit             int    // requests a minute that the panel allows the user; 0: it has not said
	Requests          uint64 // sent so far, for lists, lookups and credentials
	Waiting           int    // requests that wait for their turn
	Surplus           int    // servers that are not connected because the budget cannot renew their tokens
}

// Budget returns how the fleet uses its budget of requests to the panel. It makes no requests.
func (f *Fleet) Budget() FleetBudget {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := FleetBudget{RequestsPerMinute: f.budget.PerMinute(), Limit: f.budget.Limit(), Surplus: f.surplus}
	b.Requests, b.Waiting = f.budget.Use()
	return b
}
