package pterosocket

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/delivery"
	"github.com/pterosocket/pterosocket-go/internal/tokens"
)

// A client is what stands behind the channel and the Commands of one Connect: everything that outlives a single
// connection. Its supervisor (supervisor.go) makes one connection after the other.
type client struct {
	cfg     Config // with defaults
	tokens  tokens.Cache
	count   counters
	out     *delivery.Outlet[Event]
	console *console

	hard     context.Context // the caller's, and what Close falls back to: ends everything at once
	cutShort context.CancelCauseFunc
	soft     context.Context // below hard: ends gracefully, with errClosing
	shut     context.CancelCauseFunc

	logging  *busyHandler
	connects chan error    // the outcome of the first connect; room for one
	done     chan struct{} // closed when every goroutine has ended
	err      error         // why it ended; set before done is closed
	dropped  int           // how many events were given up at the end; set before done is closed

	running chan struct{} // held by the Run or History that is at work; room for one

	mu         sync.Mutex
	session    *session // the one that stands and is authenticated, or nil
	changed    chan struct{}
	state      State // as the connection that stands has told it; "" when it has not
	stats      Stats // the same
	hasStats   bool
	perms      []Permission
	knownPerms bool // perms is what the token says, and not just nothing
	taps       []*tap
	jwtErrors  map[string]bool // the JWTErrors since the last AuthSuccess
	patience   delivery.Patience
	repatience chan struct{} // closed when patience changes
}

// maxJWTErrors bounds jwtErrors; a daemon has half a dozen.
const maxJWTErrors = 16

// A tap sees every event when it arrives, in order, in the reader's goroutine: it must be quick. It sees no replayed
// lines.
type tap struct{ see func(Event) }

// emit hands an event on: to the state, to the taps, to the consumer. It never blocks.
func (c *client) emit(ev Event) {
	c.observe(ev)
	if c.isNews(ev) {
		c.out.Push(ev)
	}
}

// answered hands an answer to an auth on to the consumer alone.
func (c *client) answered(ev Event) { c.out.Push(ev) }

// deliver hands on a replayed line or a gap.
func (c *client) deliver(ev Event) { c.out.Push(ev) }

// deliverLines hands on console lines that have come in one go.
func (c *client) deliverLines(lines []Event) { c.out.PushAll(lines) }

// observeLines lets the taps see console lines that have come in one go.
func (c *client) observeLines(lines []Event) {
	c.mu.Lock()
	taps := c.taps
	c.mu.Unlock()
	for _, t := range taps {
		for _, ev := range lines {
			t.see(ev)
		}
	}
}

// isNews reports whether an event is to be handed on: of a flood of equal JWTErrors only the first is.
func (c *client) isNews(ev Event) bool {
	switch ev := ev.(type) {
	case JWTError:
		text := withoutEventID(ev.Message)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.jwtErrors[text] {
			return false
		}
		if c.jwtErrors == nil {
			c.jwtErrors = make(map[string]bool)
		}
		if len(c.jwtErrors) < maxJWTErrors {
			c.jwtErrors[text] = true
		}
	case AuthSuccess:
		c.mu.Lock()
		defer c.mu.Unlock()
		clear(c.jwtErrors)
	}
	return true
}

// observe lets the state and the taps see an event.
func (c *client) observe(ev Event) {
	c.mu.Lock()
	switch ev := ev.(type) {
	case Status:
		c.state = ev.State
	case Stats:
		c.stats, c.hasStats = ev, true
		if ev.State != "" {
			c.state = ev.State
		}
	}
	taps := c.taps
	c.mu.Unlock()
	for _, t := range taps {
		t.see(ev)
	}
}

// addTap lets see see every event from now on, until remove is called. An event that is on its way may still come
// afterwards.
func (c *client) addTap(see func(Event)) (remove func()) {
	t := &tap{see}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taps = append(slices.Clone(c.taps), t)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.taps = slices.DeleteFunc(slices.Clone(c.taps), func(other *tap) bool { return other == t })
	}
}

// authenticated notes that a token was accepted on s.
func (c *client) authenticated(s *session, perms []Permission, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.isEnding() {
		return
	}
	c.session, c.perms, c.knownPerms = s, perms, known
	c.change()
}

// deauthenticated notes that s takes no commands any more, for the time being or for ever.
func (c *client) deauthenticated(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == s {
		c.session = nil
		c.change()
	}
}

// disconnected notes that there is no connection, and that nothing is known of the next one.
func (c *client) disconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.state, c.hasStats = nil, "", false
	c.change()
}

// change wakes whoever waits for a change of session.
func (c *client) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// current returns the authenticated session, nil if there is none, and a channel that is closed when that changes.
func (c *client) current() (*session, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.changed
}

// can reports whether the token allows p. What a token does not say is not refused.
func (c *client) can(p Permission) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.knownPerms || allows(c.perms, p)
}

// allows reports whether perms cover p. "*" does not cover what begins with "admin.".
func allows(perms []Permission, p Permission) bool {
	for _, have := range perms {
		if have == p || have == PermissionAll && !isAdmin(p) {
			return true
		}
	}
	return false
}

func isAdmin(p Permission) bool { return len(p) > 6 && p[:6] == "admin." }

// offline reports whether the server is known to be offline.
func (c *client) offline() bool { return c.knownState() == StateOffline }

// knownState returns the state as the connection that stands has told it; "" when it has not.
func (c *client) knownState() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// lastKnown returns the same, and the last uptime that was told.
func (c *client) lastKnown() (State, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.stats.Uptime
}

// setPatience says how long what was received goes on being delivered.
func (c *client) setPatience(p delivery.Patience) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.repatience)
	c.repatience = make(chan struct{})
	p.Changed = c.repatience
	c.patience = p
}

func (c *client) getPatience() delivery.Patience {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.patience
}
