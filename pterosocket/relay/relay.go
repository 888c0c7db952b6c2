package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// handOver is how long the end of a relay may take: what it has read is published, and its partitions are given up.
const handOver = 15 * time.Second

// errEnded is the cause of everything's end in a relay that has done its work.
var errEnded = errors.New("the relay has ended")

// A Relay is one that runs. Config.Started gets it. All methods are safe for concurrent use.
type Relay struct {
	cfg       Config
	nc        *nats.Conn
	log       *slog.Logger
	instance  string
	store     *store
	publisher *publisher
	leases    *leases
	desk      *desk
	vault     *vault
	fleet     *pterosocket.Fleet
	news      chan struct{} // says that refused has grown
	closed    chan struct{} // closed when nc is, which cannot be used again

	mu      sync.Mutex
	owned   []bool               // by partition
	apart   map[string]bool      // servers that are let go of for a moment, to be claimed again
	known   map[string]time.Time // when the panel last listed a server
	refused map[string]bool      // servers to be claimed again
}

// Run is one relay: it takes its share of the partitions, connects to their servers, writes their events into the
// stream, and carries out commands for them. Any number of relays may run on the same NATS, each in a process of its
// own. nc stays the caller's.
//
// When ctx ends, the relay publishes what it has read, gives its partitions to others, and returns nil, after 15 s or a
// little more at most. It then returns an error if something could not be published. It returns at once with an error for which
// errors.Is(err, ErrNATS) holds if NATS cannot be used as it is, with pterosocket.ErrInvalidConfig, and with the error
// of ConnectFleet. Later it returns an error only if the panel refuses the key, or if nc is closed. NATS may be away for any time: the relay
// stays connected to its servers and keeps what it reads within the fleet's bounds.
func Run(ctx context.Context, nc *nats.Conn, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Relay{
		cfg: cfg, nc: nc, instance: newInstance(), news: make(chan struct{}, 1), closed: make(chan struct{}),
		owned: make([]bool, cfg.Partitions), apart: make(map[string]bool), known: make(map[string]time.Time), refused: make(map[string]bool),
	}
	r.log = cfg.Logger.With("relay", cfg.Name)
	if ctx.Err() != nil {
		return nil
	}
	if r.store, err = openStore(ctx, nc, cfg); err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if r.vault, err = newVault(r.store.tokens, cfg.APIKey); err != nil {
		return err
	}
	r.publisher = newPublisher(r.store, r.instance, r.log)
	r.publisher.omitStats, r.publisher.isLeaving, r.publisher.fenced = cfg.Stream.OmitStats, r.isLeaving, r.retake
	r.publisher.isSure = r.isSure
	r.leases = newLeases(r.store.leases, r.instance, cfg)
	r.leases.log = r.log
	r.leases.gained, r.leases.lost, r.leases.drained, r.leases.pace = r.gain, r.lose, r.drain, r.pace
	r.desk = newDesk(r)
	return r.run(ctx)
}

// run runs everything under one context, which outlives ctx, so that the end is graceful.
func (r *Relay) run(ctx context.Context) error {
	hard, cutShort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cutShort(errEnded)
	fleetConfig := r.cfg.FleetConfig
	fleetConfig.Select, fleetConfig.Each = r.pick, r.claim
	hurry := context.AfterFunc(ctx, func() { cutShort(context.Cause(ctx)) })
	events, fleet, err := pterosocket.ConnectFleet(hard, fleetConfig)
	if !hurry() && err == nil { // ctx has ended meanwhile
		<-fleet.Done()
		return nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	r.fleet = fleet
	if r.cfg.Started != nil {
		r.cfg.Started(r)
	}
	group, groupContext := errgroup.WithContext(hard)
	group.Go(func() error { r.publisher.run(groupContext); return nil })
	group.Go(func() error { return r.pump(groupContext, events) })
	group.Go(func() error { r.keepStates(groupContext); return nil })
	group.Go(func() error { r.keepTokens(groupContext); return nil })
	group.Go(func() error { r.keepBudget(groupContext); return nil })
	group.Go(func() error { r.keepClaims(groupContext); return nil })
	group.Go(func() error { r.keepStore(groupContext); return nil })
	var leasing sync.WaitGroup
	leasing.Go(func() { r.leases.run(groupContext) })
	select {
	case <-ctx.Done():
	case <-fleet.Done():
	case <-r.closed: // nothing can be handed over
		cutShort(errEnded)
	}
	err = r.end(hard, &leasing)
	cutShort(errEnded)
	leasing.Wait()
	r.desk.close()
	_ = group.Wait() // its errors only say that the end has come
	if r.nc.IsClosed() {
		return fmt.Errorf("%w: its connection was closed (%v); use nats.MaxReconnects(-1) and nats.IgnoreAuthErrorAbort", ErrNATS, r.nc.LastError())
	}
	return err
}

// pump hands the fleet's events to the publisher. After the end it takes what is left, so that the fleet can end.
func (r *Relay) pump(ctx context.Context, events <-chan pterosocket.FleetEvent) error {
	var err error
	for ev := range events {
		if err == nil {
			err = r.publisher.add(ctx, ev)
		}
	}
	r.publisher.finish()
	return err
}

// end publishes what was read and gives everything up. If the fleet has ended by itself, end returns why.
func (r *Relay) end(ctx context.Context, leasing *sync.WaitGroup) error {
	ctx, cancel := context.WithTimeoutCause(ctx, handOver, errors.New("NATS did not take everything in time"))
	defer cancel()
	select {
	case <-r.fleet.Done(): // the key was refused: there is nothing to hand over, but others may fare better
	default:
		r.log.Info("handing over", "partitions", r.partitions())
	}
	r.leases.leave()
	done := make(chan struct{})
	go func() { // joined by Run, which cuts it short
		leasing.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		if n := r.publisher.holds(); n > 0 {
			err = fmt.Errorf("%d events and what was queued behind them were not published: %w", n, context.Cause(ctx))
		}
	}
	select {
	case <-r.fleet.Done():
		return errors.Join(r.fleet.Err(), err)
	default:
		_ = r.fleet.Close() // always nil
		return err
	}
}

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
	return ok && time.Since(at) < 3*max(r.cfg.Refresh, 5*time.Minute)
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

// claim is FleetConfig.Each: it claims the server in the stream, and then looks up which lines the stream has.
func (r *Relay) claim(ctx context.Context, server pterosocket.Server, cfg *pterosocket.Config) error {
	if r.cfg.Each != nil {
		if err := r.cfg.Each(ctx, server, cfg); err != nil {
			return err
		}
	}
	added := pterosocket.FleetEvent{Server: server.ID, Time: time.Now(), Event: pterosocket.ServerAdded{Server: server}}
	seq, isKnown, err := r.publisher.claim(ctx, added, func() bool { return r.isSure(server.ID) })
	if err != nil {
		return err
	}
	if isKnown || r.store.hasState(ctx, server.ID) {
		cfg.After, err = r.store.tail(ctx, server.ID, seq)
	}
	if cfg.Credentials == nil {
		cfg.Token = r.vault.get(ctx, server.ID)
	}
	r.log.Debug("claimed a server", "server", server.ID, "seq", seq, "lines", len(cfg.After), "has_token", cfg.Token.Token != "")
	return err
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

// retake has a server claimed again that another relay has written for. If its partition was lost meanwhile, nothing
// comes of it.
func (r *Relay) retake(server string) {
	r.log.Debug("another relay has written for a server", "server", server)
	r.mu.Lock()
	r.refused[server] = true
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// keepClaims claims servers again, until ctx ends.
func (r *Relay) keepClaims(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-r.news:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		var servers []string
		for server := range r.refused {
			if !r.apart[server] {
				servers = append(servers, server)
				r.apart[server] = true
			}
		}
		clear(r.refused)
		r.mu.Unlock()
		if len(servers) == 0 {
			continue
		}
		all.Go(func() {
			r.fleet.Reselect()
			_ = r.publisher.await(ctx, func(s string) bool { return slices.Contains(servers, s) }) // its error says that ctx has ended
			select {                                                                               // not at once, since a lease that is lost is lost in every third of its length
			case <-time.After(r.cfg.Lease / 3):
			case <-ctx.Done():
			}
			r.mu.Lock()
			for _, server := range servers {
				delete(r.apart, server)
			}
			r.mu.Unlock()
			r.fleet.Reselect()
		})
	}
}

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

// keepStore looks whether the stream and the buckets are still there, and makes them again if not: somebody may have
// deleted them, or NATS may have come back with an empty folder. It also notices the end of the connection.
func (r *Relay) keepStore(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.Lease)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if r.nc.IsClosed() {
			close(r.closed)
			return
		}
		if !r.nc.IsConnected() {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, publishTimeout)
		isMissing, err := r.store.isMissing(limited)
		if isMissing {
			r.log.Warn("the stream or a bucket is gone from NATS; making it again")
			_, err = openStore(limited, r.nc, r.cfg)
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			r.log.Warn("NATS cannot be used", "error", explain(err))
		}
	}
}
