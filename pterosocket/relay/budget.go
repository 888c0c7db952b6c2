package relay

import (
	"context"
	"time"
)

const (
	// leastRequests is what a relay without servers may ask the panel in a minute, to read the list of servers.
	leastRequests = 6
	// untold is what all relays together ask in a minute while the panel has not told its limit. The fleet's default.
	untold = 180
)

// keepBudget keeps the relay's part of the panel's budget up to date.
func (r *Relay) keepBudget(ctx context.Context) {
	r.spend()
	every(ctx, time.Second, r.spend)
}

// spend gives the fleet its part of the budget.
func (r *Relay) spend() {
	b := r.fleet.Budget()
	if n := requestsFor(r.partitions(), r.cfg.Partitions, r.cfg.RequestsPerMinute, b.Limit); n != b.RequestsPerMinute {
		r.fleet.SetRequestsPerMinute(n)
	}
}

// requestsFor returns how often a relay may ask the panel in a minute: its part of what the user wants, or of three
// quarters of the panel's limit.
func requestsFor(owned, partitions, wanted, limit int) int {
	total := wanted
	if total == 0 && limit > 0 {
		total = limit * 3 / 4
	}
	if total == 0 {
		total = untold
	}
	return max(total*owned/partitions, min(leastRequests, total))
}
