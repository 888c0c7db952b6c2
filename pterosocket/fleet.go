package pterosocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pterosocket/pterosocket-go/internal/breaker"
	"github.com/pterosocket/pterosocket-go/internal/budget"
	"github.com/pterosocket/pterosocket-go/internal/delivery"
	"github.com/pterosocket/pterosocket-go/internal/tokens"
)

// A Fleet is many servers of one panel. All of their events come through one channel. ConnectFleet returns it. All
// methods are safe for concurrent use.
//
// Each server has a client of its own, like one that Connect makes (see member). The Fleet holds what they share: the
// budget of requests to the panel, the breakers of the daemons, the queue, and the list of servers, which one goroutine
// refreshes.
type Fleet struct {
	cfg     FleetConfig // with defaults
	users   Config      // without defaults
	logging *busyHandler
	limit   atomic.Int64 // the user's request limit, as the panel told it; 0: not yet
	budget  *budget.Budget
	breaker breaker.Breaker
	out     *delivery.Mux[FleetEvent]
	own     *delivery.Source[FleetEvent] // events about the fleet itself

	hard     context.Context // from the caller: its end ends everything at once
	cutShort context.CancelCauseFunc
	soft     context.Context // child of hard: its end is graceful if the cause is errClosing
	shut     context.CancelCauseFunc

	group errgroup.Group // a goroutine for each server, and the one that refreshes
	done  chan struct{}  // closed when all have ended, and the channel is closed
	err   error          // why it ended; set before done is closed

	mu       sync.Mutex
	members  []*member                  // in the order of their arrival
	index    map[string]*member         // the same by UUID and ID, in lower case
	listed   []Server                   // the panel's last list, or those of FleetConfig.Servers
	removed  map[string]bool            // UUIDs that the user removed or left out; refreshes skip them
	unknown  map[string]bool            // names that the panel does not know, already reported
	asked    map[string]tokens.Requests // token requests of servers that left or were restarted, by UUID
	ending   bool                       // no more servers are added
	surplus  int                        // how many servers the budget does not keep alive, at the last look
	past     Metrics                    // of clients that no longer exist
	refused  time.Time                  // when the panel first refused the key; zero: the key is good so far
	patience delivery.Patience
	news     sync.Mutex    // guards changed; no other lock is taken while it is held
	changed  chan struct{} // closed and replaced when a server, or patience, has changed
}

const (
	// perRequest is how many servers one request a minute keeps alive. A token lives ten minutes and is used for three
	// quarters of that.
	perRequest = 7.5
	// againAfter is how long refreshes do not touch a server that has ended for good.
	againAfter = time.Minute
	// refusedAgain is how long after refusing the key a panel is asked once more. Only its second refusal is believed.
	refusedAgain = 30 * time.Second
)

// ConnectFleet opens the consoles of many servers of a panel: all that the key's user may open, or those that
// cfg.Servers names. It returns as soon as it knows which servers these are. It does not wait for connections: Ready
// does.
//
// ctx governs the fleet's whole life. When ctx ends, everything ends at once. Close and Shutdown end the fleet
// gracefully.
//
// ConnectFleet fails at once with ErrInvalidConfig, ErrUnauthorized or ErrForbidden, and with ErrRateLimited if the
// panel wants no requests for longer than cfg.ConnectTimeout. After cfg.ConnectTimeout it fails with the panel's last
// error. When it fails, nothing is left behind.
//
// The panel limits how many requests a user may make in a minute. The fleet keeps to that limit, so servers wait for
// their turn. N servers are connected after about N / RequestsPerMinute minutes. Events come from the first server on.
// One request a minute keeps seven and a half servers alive. Servers beyond that are not connected. One Error event
// (with Server "") reports this.
//
// Only the library closes the channel, when every goroutine has ended. A server that ends for good ends alone: its last
// events are a Close with Final set and ServerRemoved. If the panel refuses the key twice, 30 s apart, the fleet ends.
func ConnectFleet(ctx context.Context, cfg FleetConfig) (<-chan FleetEvent, *Fleet, error) {
	users := cfg.Config
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	f := &Fleet{
		cfg:      cfg,
		users:    users,
		logging:  &busyHandler{Handler: cfg.Logger.Handler(), calls: new(sync.Map)},
		budget:   budget.New(cfg.RequestsPerMinute),
		out:      delivery.NewMux[FleetEvent](delivery.Limits{Events: cfg.QueueSize, Bytes: cfg.QueueBytes}),
		done:     make(chan struct{}),
		index:    make(map[string]*member),
		removed:  make(map[string]bool),
		unknown:  make(map[string]bool),
		asked:    make(map[string]tokens.Requests),
		patience: delivery.Patience{Idle: cfg.DrainTimeout},
		changed:  make(chan struct{}),
	}
	f.cfg.Logger = slog.New(f.logging)
	f.own = f.source("", cfg.Config.QueueSize)
	f.hard, f.cutShort = context.WithCancelCause(ctx)
	f.soft, f.shut = context.WithCancelCause(f.hard)
	var found found
	hurried := min(atOnce, f.budget.PerMinute()/4)
	err = persist(f.soft, cfg.Config, func(ctx context.Context) error {
		found, err = f.find(ctx, hurried)
		hurried = 0
		return err
	})
	if err != nil {
		f.cutShort(nil)
		return nil, nil, err
	}
	f.apply(found)
	f.group.Go(f.refresh)
	go f.supervise() // joined by f.done
	return f.out.C(), f, nil
}

// supervise waits for the fleet's end and then ends everything.
func (f *Fleet) supervise() {
	defer close(f.done)
	defer f.cutShort(nil)
	<-f.soft.Done()
	cause := context.Cause(f.soft)
	f.mu.Lock()
	f.ending = true
	for _, m := range f.members {
		m.client.shut(cause)
	}
	f.mu.Unlock()
	_ = f.group.Wait() // the goroutines return no errors
	dropped := f.out.Close(f.getPatience)
	if cause != errClosing { // not wrapped
		f.err = cause
	} else if dropped > 0 {
		f.err = ErrEventsDropped
	}
	f.cfg.Logger.Info("the fleet has ended", "error", f.err, "dropped", dropped)
}

// source returns a new source for the events of a server.
func (f *Fleet) source(server string, size int) *delivery.Source[FleetEvent] {
	return f.out.Source(delivery.Policy[FleetEvent]{
		Events: size,
		Bytes:  queueBytes,
		Class:  func(ev FleetEvent) delivery.Class { return classOf(ev.Event) },
		Size:   func(ev FleetEvent) int { return sizeOf(ev.Event) + eventBytes },
		Lagged: func(n int) (FleetEvent, bool) { return FleetEvent{server, time.Now(), Lagged{Dropped: n}}, true },
	})
}

// report hands on an event about the fleet itself.
func (f *Fleet) report(ev Event) { f.own.Push(FleetEvent{"", time.Now(), ev}) }

// member returns the server with this ID or UUID, or nil. The caller holds f.mu.
func (f *Fleet) member(name string) *member { return f.index[strings.ToLower(name)] }

// known finds a server like member, for callers that do not hold f.mu. It also returns the server's current client.
func (f *Fleet) known(name string) (*member, *client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.member(name); m != nil {
		return m, m.client, nil
	}
	return nil, nil, fmt.Errorf("%w: the fleet has no server %q", ErrServerNotFound, printable(name, 64))
}

// Commands returns the Commands of a server, by ID or UUID. Before the server's first connection their methods that
// send return ErrNotConnected, and their Ready waits. Their Close and Shutdown do the same as Remove. If the fleet does
// not have the server, errors.Is(err, ErrServerNotFound) holds. When the server has left or was restarted, the Commands
// are closed. Then call Commands again.
func (f *Fleet) Commands(server string) (*Commands, error) {
	_, c, err := f.known(server)
	if err != nil {
		return nil, err
	}
	return &Commands{c}, nil
}

// Add adds a server, by identifier or UUID, and keeps it even if later lists do not hold it. It asks the panel for the
// server but does not wait for its connection. ctx governs only this call. Add returns nil if the server is there
// already. A server that has ended for good, or is just leaving, is started again. Add fails with the panel's error,
// such as ErrServerNotFound, and with ErrClosed once the fleet has ended.
func (f *Fleet) Add(ctx context.Context, server string) error {
	if server == "" || strings.ContainsFunc(server, notIdentifier) {
		return fmt.Errorf("%w: the server must be an identifier or UUID: letters, digits and hyphens", ErrInvalidConfig)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(f.soft, func() { cancel(ErrClosed) })()
	if err := f.budget.Wait(ctx, budget.First, time.Time{}); err != nil {
		return err
	}
	found, err := lookupOnce(ctx, f.panel(server))
	if err = f.judged(err); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isEnding() {
		return ErrClosed
	}
	delete(f.removed, found.UUID)
	m := f.member(found.UUID)
	if m == nil {
		f.add(found, true)
	} else {
		m.byHand = true
		f.update(m, found)
		f.restart(m)
	}
	f.admitLocked()
	return nil
}

// Remove ends the connection to a server. Refreshes do not bring the server back, but Add does. Remove returns at once,
// so the consumer may call it. The server's last event is ServerRemoved. If the fleet does not have the server,
// errors.Is(err, ErrServerNotFound) holds.
func (f *Fleet) Remove(server string) error {
	m, c, err := f.known(server)
	if err == nil {
		m.leave(c, nil)
	}
	return err
}

// Restart connects again to a server that has ended for good. It does nothing for any other server. If the fleet does
// not have the server, errors.Is(err, ErrServerNotFound) holds. Restart returns ErrClosed once the fleet has ended.
func (f *Fleet) Restart(server string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.member(server)
	switch {
	case m == nil:
		return fmt.Errorf("%w: the fleet has no server %q", ErrServerNotFound, printable(server, 64))
	case f.isEnding():
		return ErrClosed
	case m.hasEnded():
		f.restart(m)
		f.admitLocked()
	}
	return nil
}

// restart starts a member that has ended again. A member that is leaving starts again when it has ended. The caller
// holds f.mu.
func (f *Fleet) restart(m *member) {
	switch {
	case f.isEnding():
	case m.hasEnded():
		f.start(m)
	case m.gone:
		m.gone, m.again = false, true
	}
}

// Ready waits until every server is connected, in the sense of Connect, or has ended for good. It does not wait for
// servers that are suspended, being installed or being transferred. If the budget does not keep the remaining servers
// alive, Ready returns an error for which errors.Is(err, ErrRateLimited) holds. If ctx ends first, it returns
// context.Cause(ctx). After the fleet's end it returns Err, or ErrClosed if Err is nil.
func (f *Fleet) Ready(ctx context.Context) error {
	for {
		changed := f.watch()
		waiting, surplus := f.progress()
		switch {
		case f.soft.Err() != nil:
		case waiting == 0 && surplus > 0:
			return f.surplusError(surplus)
		case waiting == 0:
			return nil
		}
		select {
		case <-changed:
		case <-f.done:
			if f.err != nil {
				return f.err
			}
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// progress returns how many servers are still to be connected, and how many will not be connected for lack of budget.
func (f *Fleet) progress() (waiting, surplus int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		switch {
		case m.hasEnded(), m.gone, m.holds&isUnavailable != 0, m.client.isEstablished():
		case m.holds&isSurplus != 0:
			surplus++
		default:
			waiting++
		}
	}
	return waiting, surplus
}

func (f *Fleet) surplusError(n int) error {
	perMinute := f.budget.PerMinute()
	return fmt.Errorf("%w: %d servers are not connected, since %d requests a minute keep about %d alive; "+
		"raise FleetConfig.RequestsPerMinute if the panel allows more, or give another fleet another user's key",
		ErrRateLimited, n, perMinute, int(perRequest*float64(perMinute)))
}

// SetRequestsPerMinute changes FleetConfig.RequestsPerMinute while the fleet runs.
func (f *Fleet) SetRequestsPerMinute(n int) {
	f.budget.SetPerMinute(max(0, n))
	f.admit()
}

// Close ends the fleet as Commands.Close ends a connection. It closes the websockets at once. Events already received
// are delivered until the consumer takes nothing for 100 ms. Close returns when every goroutine has ended and the
// channel is closed. It is idempotent and always returns nil.
//
// The consumer may call Close, but it takes nothing meanwhile. So events that do not fit into the channel are given up,
// including the last events of many servers. To get them, call Close from another goroutine.
func (f *Fleet) Close() error {
	f.setPatience(delivery.Patience{Idle: closeIdle})
	f.shut(errClosing)
	f.logging.awaitEnd(f.done, nil, f.cutShort)
	return nil
}

// Shutdown ends the fleet like Close, but delivers the events already received until ctx ends, however slow the
// consumer is. It returns ErrEventsDropped if some of them had to be given up.
func (f *Fleet) Shutdown(ctx context.Context) error {
	f.setPatience(delivery.Patience{Until: ctx.Done()})
	f.shut(errClosing)
	f.logging.awaitEnd(f.done, ctx.Done(), f.cutShort)
	if err := f.Err(); errors.Is(err, ErrEventsDropped) {
		return err
	}
	return nil
}

// Done returns a channel that is closed when the fleet has ended: after the events channel, when every goroutine has
// ended.
func (f *Fleet) Done() <-chan struct{} { return f.done }

// Err returns why the fleet has ended: nil after Close or Shutdown (ErrEventsDropped if some received events could not
// be delivered), the cause of the context given to ConnectFleet, or the panel's error about the key. It returns nil
// before Done is closed.
func (f *Fleet) Err() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

func (f *Fleet) setPatience(p delivery.Patience) {
	f.mu.Lock()
	f.patience = p
	f.mu.Unlock()
	f.announce()
}

func (f *Fleet) getPatience() delivery.Patience {
	changed := f.watch()
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.patience
	p.Changed = changed
	return p
}

// watch returns a channel that is closed at the next change.
func (f *Fleet) watch() <-chan struct{} {
	f.news.Lock()
	defer f.news.Unlock()
	return f.changed
}

func (f *Fleet) announce() {
	f.news.Lock()
	defer f.news.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}
