package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
// little more at most. It then returns an error if something could not be published.
//
// Run returns at once with an error for which errors.Is(err, ErrNATS) holds if NATS cannot be used as it is, with
// pterosocket.ErrInvalidConfig, and with the error of ConnectFleet. Later it returns an error only if the panel refuses
// the key, or if nc is closed. NATS may be away for any time: the relay stays connected to its servers and keeps what it
// reads within the fleet's bounds.
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
	r.fleet, r.desk = fleet, newDesk(hard, r)
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

// every calls do again and again until ctx ends.
func every(ctx context.Context, pause time.Duration, do func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}
