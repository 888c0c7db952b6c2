package relay

import (
	"context"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// pick is FleetConfig.Select.
func (r *Relay) pick(s pterosocket.Server) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[s.ID] = time.Now()
	return r.ownsLocked(s.ID)
}

// isLeaving reports whether a server is another relay's now, or is to be claimed again.
func (r *Relay) isLeaving(server string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.ownsLocked(server)
}

// ownsLocked reports whether the relay is to be connected to a server. r.mu is held.
func (r *Relay) ownsLocked(server string) bool {
	return r.owned[partitionOf(server, r.cfg.Partitions)] && !r.apart[server]
}

// isSure reports whether the lease of a server's partition certainly holds.
func (r *Relay) isSure(server string) bool {
	return r.leases.isSure(partitionOf(server, r.cfg.Partitions))
}

// isKnown reports whether the panel has listed a server, in one of its last lists.
func (r *Relay) isKnown(server string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.known[server]
	return ok && (r.cfg.Refresh < 0 || time.Since(at) < 3*max(r.cfg.Refresh, 5*time.Minute))
}

// pace returns how many partitions' servers another relay can connect to in a third of a lease.
func (r *Relay) pace() int {
	servers, owned := len(r.fleet.Snapshot()), r.partitions()
	if servers == 0 || owned == 0 {
		return r.cfg.Partitions
	}
	requests := float64(r.fleet.Budget().RequestsPerMinute) * (r.cfg.Lease / 3).Minutes()
	return int(requests * float64(owned) / float64(servers))
}

func (r *Relay) set(partitions []int, owned bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range partitions {
		r.owned[p] = owned
	}
}

func (r *Relay) partitions() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, owned := range r.owned {
		if owned {
			n++
		}
	}
	return n
}

func (r *Relay) gain(partitions []int) {
	r.set(partitions, true)
	r.spend()
	r.desk.open(partitions)
	r.fleet.Reselect()
}

func (r *Relay) lose(partitions []int) {
	r.set(partitions, false)
	r.mu.Lock()
	for server := range r.apart { // they need not be claimed again
		if !r.owned[partitionOf(server, r.cfg.Partitions)] {
			delete(r.apart, server)
		}
	}
	r.mu.Unlock()
	r.desk.shut(partitions)
	r.fleet.Reselect()
}

// drain waits until the last event of each server of a partition is published.
func (r *Relay) drain(ctx context.Context, partition int) error {
	return r.publisher.await(ctx, func(server string) bool { return partitionOf(server, r.cfg.Partitions) == partition })
}
