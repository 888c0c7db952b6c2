package pterosocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
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
	byHand bool          // Add wants it, whatever a list says
	added  time.Time     // when it came
	shown  bool          // its ServerAdded has been handed on, and not its ServerRemoved
	gone   bool          // it leaves the fleet when its client has ended
	again  bool          // it is to be started again when its client has ended
	ended  time.Time     // when its client ended for good; zero: it has not
}

// A hold is a reason not to ask for a server's first token.
type hold uint8

const (
	isSurplus     hold = 1 << iota // the budget does not keep it alive
	isUnavailable                  // the panel lists it as suspended, or being installed or transferred
)

// isEnding reports whether no servers are started any more. f.mu is held. The end of hard reaches soft and the clients in
// any order.
func (f *Fleet) isEnding() bool { return f.ending || f.soft.Err() != nil || f.hard.Err() != nil }

// add adds a server, if the fleet is not ending. f.mu is held.
func (f *Fleet) add(s Server, byHand bool) {
	if f.isEnding() {
		return
	}
	m := &member{fleet: f, id: s.ID, byHand: byHand, added: time.Now(), source: f.source(s.ID, f.cfg.Config.QueueSize), server: s, free: make(chan struct{})}
	close(m.free)
	f.members = append(f.members, m)
	f.index[strings.ToLower(s.UUID)] = m
	if id := strings.ToLower(s.ID); f.index[id] == nil {
		f.index[id] = m
	}
	f.start(m)
}

// start gives a member a client, and starts it. f.mu is held.
func (f *Fleet) start(m *member) {
	if m.client != nil {
		f.retire(m)
	}
	cfg := f.cfg.Config
	cfg.Server = m.id
	c := newClient(f.hard, cfg, m)
	c.member = m
	m.client, m.ended, m.gone, m.again = c, time.Time{}, false, false
	m.setHold(isUnavailable, !m.server.isAvailable() && f.cfg.Refresh > 0) // nobody would find out that it is over
	f.group.Go(func() error {
		m.live(c)
		return nil
	})
}

// retire keeps what a client leaves behind: its counters, and when it asked for tokens, which the panel counts on.
func (f *Fleet) retire(m *member) {
	f.past = f.past.plus(m.client.count.snapshot(0))
	for uuid, asked := range f.asked {
		if time.Since(asked[len(asked)-1]) > 2*time.Minute {
			delete(f.asked, uuid)
		}
	}
	f.asked[m.server.UUID] = m.client.tokens.Requests()
}

// forget takes a member out whose client has ended. f.mu is held.
func (f *Fleet) forget(m *member) {
	f.retire(m)
	f.past.Dropped += m.source.Dropped()
	f.members = slices.DeleteFunc(f.members, func(other *member) bool { return other == m })
	maps.DeleteFunc(f.index, func(_ string, other *member) bool { return other == m })
}

// live is the member's goroutine.
func (m *member) live(c *client) {
	aside(func() { m.begin(c) })
	<-c.done
	isSkipped := errors.Is(c.err, ErrSkipServer)
	f := m.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	m.ended, m.shown = time.Now(), false
	if !isSkipped && !f.isEnding() {
		m.push(ServerRemoved{m.server, c.err})
	}
	switch {
	case m.again && !f.isEnding():
		f.start(m)
	case m.gone || isSkipped:
		f.forget(m)
	}
	if isSkipped {
		f.removed[m.server.UUID] = true
	}
	f.admitLocked()
	f.announce()
}

// begin lets the client begin, if Each wants it to.
func (m *member) begin(c *client) {
	f := m.fleet
	f.mu.Lock()
	server := m.server
	asked := f.asked[server.UUID]
	f.mu.Unlock()
	cfg, err := f.configFor(c.soft, server)
	if errors.Is(err, ErrSkipServer) {
		c.abandon(err)
		return
	}
	f.mu.Lock()
	m.shown = true
	m.push(ServerAdded{m.server})
	f.mu.Unlock()
	m.source.Limit(cfg.QueueSize)
	c.configure(cfg)
	c.tokens.Follow(asked)
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

// leave ends the member, which leaves the fleet then: because of err, or, if that is nil, since the user wants it. A
// client that is no longer the member's, or a member that has left, does nothing.
func (m *member) leave(c *client, err error) {
	f := m.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.client != c || !slices.Contains(f.members, m) {
		return
	}
	m.gone, m.again = true, false
	if err == nil {
		err = errClosing
		f.removed[m.server.UUID] = true
	}
	if m.hasEnded() {
		f.forget(m)
		return
	}
	c.shut(err)
	time.AfterFunc(networkEnd, func() { c.cutShort(err) })
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
	if was != m.holds {
		m.fleet.announce()
	}
}

// isHeld reports whether the member may not ask for a token.
func (m *member) isHeld() bool {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	return m.holds != 0
}

// turn waits until the client may ask the panel for a token.
func (m *member) turn(ctx context.Context, c *client) error {
	f := m.fleet
	if s, _ := c.current(); s != nil {
		f.mu.Lock()
		isSurplus := m.holds&isSurplus != 0
		f.mu.Unlock()
		if isSurplus {
			return errSurplus
		}
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

// learner returns what takes the limits that the answers for this server tell.
func (m *member) learner() func(panel.Limit) {
	if m == nil {
		return nil
	}
	return m.fleet.learnMore
}

// judged looks at the outcome of a client's request for credentials, and returns what the client is to make of it. What
// another key is told, or another source tells, concerns that server alone.
func (m *member) judged(c *client, err error) error {
	if m == nil {
		return err
	}
	f := m.fleet
	if c.cfg.Credentials == nil && c.cfg.APIKey == f.cfg.APIKey && c.cfg.Origin == f.cfg.Origin {
		err = f.judged(err)
	}
	var refused *PanelError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusConflict {
		if s, _ := c.current(); s == nil { // it is asked again when the list is
			later := *refused
			later.RetryAfter = max(later.RetryAfter, f.refreshEvery())
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
	return m.fleet.breaker.Await(ctx, host, m)
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

// Queued is the sink's.
func (m *member) Queued() delivery.Limits { return m.source.Queued() }

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
		if 0 < refused.limit && refused.limit <= serverLimit { // the server's, which others have used
			return err
		}
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

// learn takes what the answer of a list or a lookup tells of the user's limit.
func (f *Fleet) learn(l panel.Limit) {
	f.limit.Store(int64(l.Requests))
	f.budget.Learn(l.Requests, l.Remaining, l.Every)
	f.admit()
}

// learnMore takes what an answer for credentials tells, if it is of the user's limit: it tells the smaller of that and
// the server's own.
func (f *Fleet) learnMore(l panel.Limit) {
	if l.Requests > serverLimit && int64(l.Requests) == f.limit.Load() {
		f.budget.Learn(l.Requests, l.Remaining, l.Every)
	}
}

// admit decides which servers the budget keeps alive: the first ones. Those that cannot be connected do not count.
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
		if !m.hasEnded() && m.holds&isUnavailable == 0 {
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
