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

// A Fleet is many servers of one panel, all of whose events come through one channel. ConnectFleet returns it. All
// methods are safe for concurrent use.
//
// Each server has a client of its own, as Connect would make it (member). What they share is here: the budget of
// requests to the panel, the breakers of the daemons, the queue, and the list of servers, which one goroutine refreshes.
type Fleet struct {
	cfg     FleetConfig // with defaults
	users   Config      // without
	logging *busyHandler
	limit   atomic.Int64 // of the user, as the panel has told it; 0: it has not
	budget  *budget.Budget
	breaker breaker.Breaker
	out     *delivery.Mux[FleetEvent]
	own     *delivery.Source[FleetEvent] // what concerns the fleet

	hard     context.Context // the caller's: ends everything at once
	cutShort context.CancelCauseFunc
	soft     context.Context // below hard: ends gracefully, with errClosing
	shut     context.CancelCauseFunc

	group errgroup.Group // a goroutine for each server, and the one that refreshes
	done  chan struct{}  // closed when all have ended, and the channel is closed
	err   error          // why it ended; set before done is closed

	mu       sync.Mutex
	members  []*member                  // in the order in which they came
	index    map[string]*member         // the same by UUID and ID, in lower case
	removed  map[string]bool            // UUIDs that the user has removed, or left out: they stay out of refreshes
	unknown  map[string]bool            // names that the panel does not know, which has been told
	asked    map[string]tokens.Requests // for the tokens of servers that have left, or were restarted, by UUID
	ending   bool                       // no servers are added any more
	surplus  int                        // how many servers the budget does not keep alive, as last reported
	past     Metrics                    // of clients that are no more
	refused  time.Time                  // when the panel first refused the key; zero: it has not, or has taken it since
	patience delivery.Patience
	news     sync.Mutex    // guards changed, with no other lock taken
	changed  chan struct{} // closed and replaced when a server, or patience, has changed
}

const (
	// perRequest is how many servers a request a minute keeps alive: a token lives ten minutes, of which it is used for
	// three quarters.
	perRequest = 7.5
	// againAfter is how long a server that has ended for good is left alone by refreshes.
	againAfter = time.Minute
	// refusedAgain is after what time a panel that has refused the key is asked once more, before it is believed.
	refusedAgain = 30 * time.Second
)

// ConnectFleet opens the consoles of many servers of a panel: of all that the key's user may open, or of those that
// cfg.Servers names. It returns when it knows which those are, and waits for no connection; Ready does.
//
// ctx governs the fleet's whole life. When it ends, everything ends at once. Close and Shutdown end it gracefully.
//
// It fails at once with ErrInvalidConfig, ErrUnauthorized or ErrForbidden, and after cfg.ConnectTimeout with what the
// panel said last. When it fails, nothing is left behind.
//
// The panel limits what a user may ask in a minute. The fleet keeps to that limit, so of many servers each waits its
// turn: N servers stand after about N / RequestsPerMinute minutes, and events come from the first on. A request a
// minute keeps seven and a half servers alive. Servers beyond that are not connected, which one Error event (Server "")
// reports.
//
// Only the library closes the channel, when every goroutine has ended. A server that ends for good ends alone: its last
// events are a Close with Final set and ServerRemoved. A key that the panel refuses twice, 30 s apart, ends the fleet.
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

// supervise waits for the end, and ends everything.
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
	if cause != errClosing { // the value itself
		f.err = cause
	} else if dropped > 0 {
		f.err = ErrEventsDropped
	}
	f.cfg.Logger.Info("the fleet has ended", "error", f.err, "dropped", dropped)
}

// source returns where the events of a server come from.
func (f *Fleet) source(server string, size int) *delivery.Source[FleetEvent] {
	return f.out.Source(delivery.Policy[FleetEvent]{
		Events: size,
		Bytes:  queueBytes,
		Class:  func(ev FleetEvent) delivery.Class { return classOf(ev.Event) },
		Size:   func(ev FleetEvent) int { return sizeOf(ev.Event) + eventBytes },
		Lagged: func(n int) (FleetEvent, bool) { return FleetEvent{server, time.Now(), Lagged{Dropped: n}}, true },
	})
}

// report hands on an event that concerns the fleet.
func (f *Fleet) report(ev Event) { f.own.Push(FleetEvent{"", time.Now(), ev}) }

// member returns the server of this ID or UUID; nil if there is none. f.mu is held.
func (f *Fleet) member(name string) *member { return f.index[strings.ToLower(name)] }

// known is member for callers from outside. It also returns the client that the server has now.
func (f *Fleet) known(name string) (*member, *client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.member(name); m != nil {
		return m, m.client, nil
	}
	return nil, nil, fmt.Errorf("%w: the fleet has no server %q", ErrServerNotFound, printable(name, 64))
}

// Commands returns what sends to a server, by ID or UUID. Before the server's first connection the methods that send
// return ErrNotConnected, and Ready waits. Its Close and Shutdown are Remove. For a server that the fleet does not have,
// errors.Is(err, ErrServerNotFound) holds. When the server has left, or was restarted, they are closed: ask again.
func (f *Fleet) Commands(server string) (*Commands, error) {
	_, c, err := f.known(server)
	if err != nil {
		return nil, err
	}
	return &Commands{c}, nil
}

// Add adds a server, by identifier or UUID, and keeps it whatever later lists say. It asks the panel for it, and does
// not wait for its connection. It returns nil when the server is there already; one that has ended for good, or is just
// leaving, is started again. It fails with what the panel says, ErrServerNotFound among it, and with ErrClosed once the
// fleet has ended.
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

// Remove ends the connection to a server and lets it stay out of refreshes until Add. It returns at once, so that the
// consumer may call it; the server's last event is ServerRemoved. For a server that the fleet does not have,
// errors.Is(err, ErrServerNotFound) holds.
func (f *Fleet) Remove(server string) error {
	m, c, err := f.known(server)
	if err == nil {
		m.leave(c, nil)
	}
	return err
}

// Restart tries a server again that has ended for good. It does nothing for one that has not. For a server that the
// fleet does not have, errors.Is(err, ErrServerNotFound) holds.
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

// restart starts a member again that has ended, or, when it has, that is leaving. f.mu is held.
func (f *Fleet) restart(m *member) {
	switch {
	case f.isEnding():
	case m.hasEnded():
		f.start(m)
	case m.gone:
		m.gone, m.again = false, true
	}
}

// Ready waits until every server stands or has ended for good. Those that are suspended, being installed or transferred
// are not waited for. A daemon subscribes a client just behind accepting its token, so a line that is printed in that very
// instant may be missed. When only servers are left that the budget does not keep alive, it returns an error for which
// errors.Is(err, ErrRateLimited) holds. It returns ctx's error, or, after the end, Err or ErrClosed.
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

// progress returns how many servers are still to be connected, and how many are not going to be for lack of budget.
func (f *Fleet) progress() (waiting, surplus int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		switch {
		case m.hasEnded(), m.gone, m.holds&isUnavailable != 0, (&Commands{m.client}).Connected():
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

// SetRequestsPerMinute changes FleetConfig.RequestsPerMinute.
func (f *Fleet) SetRequestsPerMinute(n int) {
	f.budget.SetPerMinute(max(0, n))
	f.admit()
}

// Close ends the fleet as Commands.Close ends a connection: the network at once, while what was received goes on being
// delivered until nothing is taken for 100 ms. It returns when every goroutine has ended and the channel is closed. It is
// idempotent and always returns nil. The consumer may call it itself, but takes nothing meanwhile: what does not fit into
// the channel is given up, the last events of many servers among it. To get them, call it from another goroutine.
func (f *Fleet) Close() error {
	f.setPatience(delivery.Patience{Idle: closeIdle})
	f.shut(errClosing)
	f.logging.awaitEnd(f.done, nil, f.cutShort)
	return nil
}

// Shutdown ends the fleet as Close does, but goes on delivering what was received until ctx ends, however slow the
// consumer is. It returns ErrEventsDropped when some of it had to be given up.
func (f *Fleet) Shutdown(ctx context.Context) error {
	f.setPatience(delivery.Patience{Until: ctx.Done()})
	f.shut(errClosing)
	f.logging.awaitEnd(f.done, ctx.Done(), f.cutShort)
	if err := f.Err(); errors.Is(err, ErrEventsDropped) {
		return err
	}
	return nil
}

// Done is closed when the fleet has ended: after the channel, when every goroutine has ended.
func (f *Fleet) Done() <-chan struct{} { return f.done }

// Err returns why the fleet has ended: nil after Close or Shutdown (ErrEventsDropped if what was received could not all
// be delivered), the cause of the context given to ConnectFleet, or what the panel said of the key. Before Done is closed
// it returns nil.
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

// watch returns what is closed when something has changed from now on.
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
