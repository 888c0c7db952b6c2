package relay

import "github.com/pterosocket/pterosocket-go/pterosocket"

// Status is what a relay says about itself.
type Status struct {
	Name       string
	Partitions int    // owned
	Relays     int    // that live, with this one
	Unsure     int    // partitions whose lease has ended by this machine's clock, since NATS does not answer
	Held       int    // events that wait to be published, besides those in the fleet's queue
	Published  uint64 // events
	Fenced     uint64 // how often another relay had written for a server
	Failures   uint64 // tries to publish that failed
	Connected  bool   // to NATS
}

// Status returns what the relay knows now. It asks nobody.
func (r *Relay) Status() Status {
	_, unsure := r.leases.count()
	return Status{
		Name: r.cfg.Name, Partitions: r.partitions(), Relays: r.leases.relays(), Unsure: unsure,
		Held: r.publisher.holds(), Published: r.publisher.published.Load(), Fenced: r.publisher.fences.Load(),
		Failures: r.publisher.failures.Load(), Connected: r.nc.IsConnected(),
	}
}

// Fleet returns the relay's fleet: its part of the servers. It belongs to the relay, so do not close it.
func (r *Relay) Fleet() *pterosocket.Fleet { return r.fleet }
