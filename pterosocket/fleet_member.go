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

// A member is one server of a fleet: a client, and its part in what the fleet shares. Fleet.mu guards its fields except
// fleet, id and source, which never change. A nil member belongs to a client outside a fleet, which waits for nobody.
type member struct {
	fleet  *Fleet
	id     string // Server.ID
	source *delivery.Source[FleetEvent]

	server Server
	client *client // a new one after Restart
	holds  hold
	free   chan struct{} // closed while there are no holds; replaced when one is set
	byHand bool          // Add brought it, so lists do not remove it
	added  time.Time     // when it came
	shown  bool          // its ServerAdded was handed on, and its ServerRemoved was not yet
	gone   bool          // it leaves the fleet once its client has ended
	again  bool          // it starts again once its client has ended
	ended  time.Time     // when its client ended for good; zero: it has not
}

// A hold is a reason not to ask for a token for a server that is not connected.
type hold uint8

const (
	isSurplus     hold = 1 << iota // the budget does not keep it alive
	isUnavailable                  // the panel lists it as suspended, being installed or transferred
)

// isEnding reports whether no more servers are started. The caller holds f.mu. hard is checked too: its end reaches soft
// and the clients in any order.
func (f *Fleet) isEnding() bool { return f.ending || f.soft.Err() != nil || f.hard.Err() != nil }

// add adds a server, unless the fleet is ending. The caller holds f.mu.
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

// start gives a member a new client and starts it. The caller holds f.mu.
func (f *Fleet) start(m *member) {
	if m.client != nil {
		f.retire(m)
	}
	cfg := f.cfg.Config
	cfg.Server = m.id
	c := newClient(f.hard, cfg, m)
	c.member = m
	m.client, m.ended, m.gone, m.again = c, time.Time{}, false, false
	m.setHold(isUnavailable, !m.server.isAvailable() && f.cfg.Refresh > 0) // else nobody would notice its end
	f.group.Go(func() error {
		m.live(c)
		return nil
	})
}

// retire keeps what a client leaves behind: its counters, and when it asked for tokens, since the panel counts that.
func (f *Fleet) retire(m *member) {
	f.past = f.past.plus(m.client.count.snapshot(0))
	for uuid, asked := range f.asked {
		if time.Since(asked[len(asked)-1]) > 2*time.Minute {
			delete(f.asked, uuid)
		}
	}
	f.asked[m.server.UUID] = m.client.tokens.Requests()
}

// forget removes a member whose client has ended. The caller holds f.mu.
func (f *Fleet) forget(m *member) {
	f.retire(m)
	f.past.Dropped += m.source.Dropped()
	f.members = slices.DeleteFunc(f.members, func(other *member) bool { return other == m })
	maps.DeleteFunc(f.index, func(_ string, other *member) bool { return other == m })
}

// live is the member's goroutine, from the start of its client to the end.
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

// begin starts the client, unless Each leaves the server out.
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

// configFor returns a server's Config with defaults, after Each may have changed it. With an error it returns the
// fleet's Config.
func (f *Fleet) configFor(ctx context.Context, server Server) (Config, error) {
	own := f.users
	own.Server = server.ID
	own.Logger = f.cfg.Logger.With("server", server.ID)
	var err error
	if f.cfg.Each != nil {
		err = f.cfg.Each(ctx, server, &own)
	}
	own.ConnectTimeout = -1 // it tries for as long as the fleet lives
	cfg, invalid := own.withDefaults()
	if err = cmp.Or(err, invalid); err != nil {
		cfg = f.cfg.Config
	}
	return cfg, err
}

// leave ends the member's client. The member leaves the fleet once that has ended. err says why. If err is nil, the
// user wants it. leave does nothing if c is no longer the member's client, or if the member has left.
func (m *member) leave(c *client, err error) {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.leaveLocked(c, err)
}

// leaveLocked is leave for a caller that holds Fleet.mu.
func (m *member) leaveLocked(c *client, err error) {
	f := m.fleet
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

// setHold sets or clears a hold. The caller holds Fleet.mu.
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

// isHeld reports whether the member has to wait before it asks for a token.
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

// learner returns a function that takes the limits reported in answers for this server. It is nil outside a fleet.
func (m *member) learner() func(panel.Limit) {
	if m == nil {
		return nil
	}
	return m.fleet.learnMore
}

// judged looks at the outcome of a client's request for credentials, and returns the error that the client has to deal
// with. If the request was for another key or panel, or went to another source, only this server is concerned.
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
		if s, _ := c.current(); s == nil { // ask again only when the list is read
			later := *refused
			later.RetryAfter = max(later.RetryAfter, f.refreshEvery())
			err = &later
		}
	}
	return err
}

// reach waits until a daemon is up, or until it is this member's turn to try it on behalf of all.
func (m *member) reach(ctx context.Context, host string) (*breaker.Try, error) {
	if m == nil || host == "" {
		return nil, nil
	}
	return m.fleet.breaker.Await(ctx, host, m)
}

// count counts a handshake with a daemon that does not wait for its turn.
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

// The following methods make a member a sink.

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

// Discard does nothing, since the events handed on belong to the consumer already.
func (m *member) Discard() {}

// Finish hands on the client's last event. The fleet goes on delivering what is queued.
func (m *member) Finish(_ func() delivery.Patience, last func(int) Event) int {
	m.push(last(0))
	return 0
}

// Dropped returns how many of the server's events were given up.
func (m *member) Dropped() uint64 { return m.source.Dropped() }

// Queued returns how much waits in the server's queue.
func (m *member) Queued() delivery.Limits { return m.source.Queued() }

// judged looks at the outcome of a request to the panel for the sake of all servers, and returns the error to deal
// with.
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
		return fmt.Errorf("%s; it is asked once more in %v", err, refusedAgain) // as text: it is not final yet
	case errors.As(err, &refused) && refused.StatusCode == http.StatusTooManyRequests:
		if 0 < refused.limit && refused.limit <= serverLimit { // the server's own limit, which others have used up
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

// serverLimit is how many tokens a panel gives out in a minute for one server. An answer with this limit does not tell
// the user's limit.
const serverLimit = 5

// learn takes the user's limit from the answer to a list or a lookup.
func (f *Fleet) learn(l panel.Limit) {
	f.limit.Store(int64(l.Requests))
	f.budget.Learn(l.Requests, l.Remaining, l.Every)
	f.admit()
}

// learnMore takes the limit from an answer for credentials, if it is the user's. Such an answer reports the smaller one
// of the user's limit and the server's.
func (f *Fleet) learnMore(l panel.Limit) {
	if l.Requests > serverLimit && int64(l.Requests) == f.limit.Load() {
		f.budget.Learn(l.Requests, l.Remaining, l.Every)
	}
}

// admit decides which servers the budget keeps alive: the first ones. Servers that cannot be connected do not count.
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

// panel returns a client that asks the panel about a server, or for the list if server is empty.
func (f *Fleet) panel(server string) panel.Client {
	p := panelOf(f.cfg.Config)
	p.Server, p.Limit = server, f.learn
	return p
}
