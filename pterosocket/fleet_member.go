package pterosocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/breaker"
	"github.com/pterosocket/pterosocket-go/internal/budget"
	"github.com/pterosocket/pterosocket-go/internal/delivery"
	"github.com/pterosocket/pterosocket-go/internal/panel"
)

// A member is a server of a fleet: a client, and its part in what the fleet shares. Its fields belong to whoever holds
// Fleet.mu, but fleet, id and source, which never change. A nil member is that of a client on its own: it waits for nobody.
type member struct {
	fleet  *Fleet
	id     string // Server.ID
	source *delivery.Source[FleetEvent]

	server Server
	client *client // a new one after Restart
	holds  hold
	free   chan struct{} // closed when nothing holds it any more; replaced when something does
	gone   bool          // it leaves the fleet when its client has ended
	ended  time.Time     // when its client ended for good; zero: it has not
}

// A hold is a reason not to ask for a server's first token.
type hold uint8

const (
	isSurplus     hold = 1 << iota // the budget does not keep it alive
	isUnavailable                  // the panel lists it as suspended, or being installed or transferred
)

// add adds a server, and reports false when the fleet is ending. f.mu is held.
func (f *Fleet) add(s Server) bool {
	if f.ending || f.soft.Err() != nil {
		return false
	}
	if m := f.member(s.UUID); m != nil {
		return true
	}
	m := &member{fleet: f, id: s.ID, source: f.source(s.ID, f.cfg.Config.QueueSize), server: s, free: make(chan struct{})}
	close(m.free)
	f.members = append(f.members, m)
	f.start(m)
	return true
}

// start gives a member a client, and starts it. f.mu is held.
func (f *Fleet) start(m *member) {
	cfg := f.cfg.Config
	cfg.Server = m.id
	c, server := newClient(f.hard, cfg, m), m.server
	c.member = m
	m.client, m.ended = c, time.Time{}
	m.setHold(isUnavailable, !server.isAvailable())
	f.group.Go(func() error {
		m.live(c, server)
		return nil
	})
}

// replace gives a member that has ended a new client. f.mu is held.
func (f *Fleet) replace(m *member) {
	f.past = f.past.plus((&Commands{m.client}).Metrics())
	f.start(m)
}

// live is the member's goroutine.
func (m *member) live(c *client, server Server) {
	aside(func() { m.begin(c, server) })
	<-c.done
	isSkipped := errors.Is(c.err, ErrSkipServer)
	f := m.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	m.ended = time.Now()
	if m.gone || isSkipped {
		f.forget(m)
	}
	if isSkipped {
		f.removed[server.UUID] = true
	} else if !f.ending {
		m.push(ServerRemoved{m.server, c.err})
	}
	f.admitLocked()
	f.announce()
}

// begin lets the client begin, if Each wants it to.
func (m *member) begin(c *client, server Server) {
	cfg, err := m.fleet.configFor(c.soft, server)
	if errors.Is(err, ErrSkipServer) {
		c.abandon(err)
		return
	}
	m.push(ServerAdded{server})
	c.configure(cfg)
	if err != nil {
		c.shut(err)
	}
	c.supervise()
}

// configFor returns a server's Config, as Each wants it, with defaults. With an error it is that of the fleet.
func (f *Fleet) configFor(ctx context.Context, server Server) (Config, error) {
	own := f.users
	own.Server = server.ID
	own.Logger = f.cfg.Logger.With("server", server.ID)
	var err error
	if f.cfg.Each != nil {
		err = f.cfg.Each(ctx, server, &own)
	}
	own.ConnectTimeout = -1 // it waits for as long as the fleet lives
	cfg, invalid := own.withDefaults()
	if err = cmp.Or(err, invalid); err != nil {
		cfg = f.cfg.Config
	}
	return cfg, err
}

// forget takes a member out whose client has ended. f.mu is held.
func (f *Fleet) forget(m *member) {
	f.past = f.past.plus((&Commands{m.client}).Metrics())
	f.members = slices.DeleteFunc(f.members, func(other *member) bool { return other == m })
}

// leave ends the member, which leaves the fleet then: because of err, or, if that is nil, since the user wants it.
func (m *member) leave(err error) {
	f := m.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	m.gone = true
	if err == nil {
		err = errClosing
		f.removed[m.server.UUID] = true
	}
	if m.hasEnded() {
		f.forget(m)
		return
	}
	m.client.shut(err)
	time.AfterFunc(networkEnd, func() { m.client.cutShort(err) })
}

func (m *member) hasEnded() bool { return !m.ended.IsZero() }

// setHold adds or takes away a reason to wait. Fleet.mu is held.
func (m *member) setHold(h hold, on bool) {
	was := m.holds
	if m.holds &^= h; on {
		m.holds |= h
	}
	switch {
	case was == 0 && m.holds != 0:
		m.free = make(chan struct{})
	case was != 0 && m.holds == 0:
		close(m.free)
	}
}

// turn waits until the member may ask the panel for a token.
func (m *member) turn(ctx context.Context) error {
	f := m.fleet
	c := m.client // that of the caller
	if s, _ := c.current(); s != nil {
		return f.budget.Wait(ctx, budget.Renewal, s.look().token.Expires)
	}
	urgency := budget.First
	if !c.connectedSince().IsZero() {
		urgency = budget.Reconnect
	}
	for {
		f.mu.Lock()
		isHeld, free := m.holds != 0, m.free
		f.mu.Unlock()
		if !isHeld {
			return f.budget.Wait(ctx, urgency, time.Time{})
		}
		select {
		case <-free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// learn returns what takes the limits that the panel's answers tell.
func (m *member) learn() func(panel.Limit) {
	if m == nil {
		return nil
	}
	return m.fleet.learn
}

// judged looks at the outcome of a request for credentials, and returns what the client is to make of it.
func (m *member) judged(err error) error {
	if m == nil {
		return err
	}
	err = m.fleet.judged(err)
	var refused *PanelError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusConflict {
		if s, _ := m.client.current(); s == nil { // it is asked again when the list is
			later := *refused
			later.RetryAfter = max(later.RetryAfter, m.fleet.refreshEvery())
			err = &later
		}
	}
	return err
}

// reach waits until a daemon is up, or until this member tries it for all others.
func (m *member) reach(ctx context.Context, host string) (*breaker.Try, error) {
	if m == nil || host == "" {
		return nil, nil
	}
	return m.fleet.breaker.Await(ctx, host)
}

// count counts a handshake with a daemon that waits for nobody.
func (m *member) count(host string) {
	if m != nil {
		m.fleet.breaker.Count(host)
	}
}

func (m *member) announce() {
	if m != nil {
		m.fleet.announce()
	}
}

func (m *member) push(ev Event) { m.source.Push(FleetEvent{m.id, time.Now(), ev}) }

// The methods of a sink.

// Push hands an event of the client on.
func (m *member) Push(ev Event) { m.push(ev) }

// PushAll hands console lines on.
func (m *member) PushAll(evs []Event) {
	now := time.Now()
	events := make([]FleetEvent, len(evs))
	for i, ev := range evs {
		events[i] = FleetEvent{m.id, now, ev}
	}
	m.source.PushAll(events)
}

// Discard does nothing: what was handed on is the consumer's.
func (m *member) Discard() {}

// Finish hands on the client's last event. What is queued goes on being delivered by the fleet.
func (m *member) Finish(_ func() delivery.Patience, last func(int) Event) int {
	m.push(last(0))
	return 0
}

// Dropped returns how many of the server's events were given up.
func (m *member) Dropped() uint64 { return m.source.Dropped() }

// judged looks at the outcome of a request to the panel, for the sake of all, and returns what is to be made of it.
func (f *Fleet) judged(err error) error {
	var refused *PanelError
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.refused = time.Time{}
	case errors.Is(err, ErrUnauthorized):
		now := time.Now()
		if !f.refused.IsZero() && now.Sub(f.refused) >= refusedAgain {
			f.shut(err)
			return err
		}
		if f.refused.IsZero() {
			f.refused = now
			f.budget.Close(refusedAgain)
		}
		return fmt.Errorf("%s; it is asked once more in %v", err, refusedAgain) // errors.Is must not make it final
	case errors.As(err, &refused) && refused.StatusCode == http.StatusTooManyRequests:
		wait := refused.RetryAfter
		if wait == 0 {
			wait = time.Minute
		}
		f.budget.Close(wait)
	}
	return err
}

// serverLimit is how many tokens a panel gives out in a minute for one server. An answer that tells this limit does not
// tell the user's.
const serverLimit = 5

// learn takes what an answer of the panel tells of its limits.
func (f *Fleet) learn(l panel.Limit) {
	if l.Requests > serverLimit {
		f.budget.Learn(l.Requests, l.Remaining, l.Every)
		f.admit()
	}
}

// admit decides which servers the budget keeps alive: the first ones.
func (f *Fleet) admit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.admitLocked()
}

func (f *Fleet) admitLocked() {
	room := int(perRequest * float64(f.budget.PerMinute()))
	surplus := 0
	for _, m := range f.members {
		isOver := false
		if !m.hasEnded() {
			room--
			isOver = room < 0
		}
		if isOver {
			surplus++
		}
		m.setHold(isSurplus, isOver)
	}
	if surplus > f.surplus {
		f.report(Error{Err: f.surplusError(surplus)})
	}
	f.surplus = surplus
}

// panel returns what asks the panel about a server, or, without one, for the list.
func (f *Fleet) panel(server string) panel.Client {
	p := panelOf(f.cfg.Config)
	p.Server, p.Limit = server, f.learn
	return p
}
