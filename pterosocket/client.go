package pterosocket

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A client is what stands behind the channel and the Commands of one Connect: everything that outlives a single connection. Its
// supervisor (supervisor.go) makes one connection after the other.
type client struct {
	cfg    Config // with defaults
	tokens tokens
	count  counters
	out    *outbox
	lines  *recovery

	hard     context.Context // the caller's, and what Close falls back to: ends everything at once
	cutShort context.CancelCauseFunc
	soft     context.Context // below hard: ends gracefully, with errClosing
	closing  context.CancelCauseFunc

	running chan struct{} // held by the Run or History that is at work; room for one; made with the first, under mu

	notFound bool // the last daemon asked did not know the server; the supervisor's

	first chan error    // the outcome of the first connect; room for one; the supervisor's
	done  chan struct{} // closed when every goroutine has ended
	err   error         // why it ended; set before done is closed

	mu         sync.Mutex
	session    *session // the one that stands and is authenticated, or nil
	changed    chan struct{}
	state      State
	uptime     time.Duration // from the last stats
	known      bool          // state was told on the current connection
	perms      []Permission
	knownPerms bool // perms is what the token says, and not just nothing
	taps       []*tap
}

// A tap sees every event on its way to the consumer, in order, in the reader's goroutine: it must be quick.
type tap struct{ see func(Event) }

// emit hands an event on: to the state, to the taps, to the consumer. It never blocks.
func (c *client) emit(ev Event) {
	c.observe(ev)
	c.out.push(ev)
}

// answered hands an answer to an auth on to the consumer alone: it is no answer to what the taps wait for.
func (c *client) answered(ev Event) { c.out.push(ev) }

// emitLines does the same with console lines that have come in one go.
func (c *client) emitLines(lines []Event) {
	c.mu.Lock()
	taps := c.taps
	c.mu.Unlock()
	for _, t := range taps {
		for _, ev := range lines {
			t.see(ev)
		}
	}
	c.out.pushLines(lines)
}

// observe lets the state and the taps see an event.
func (c *client) observe(ev Event) {
	var state State
	uptime := time.Duration(-1)
	switch ev := ev.(type) {
	case Status:
		state = ev.State
	case Stats:
		state = ev.State
		uptime = ev.Uptime
	}
	c.mu.Lock()
	if uptime >= 0 {
		c.uptime = uptime
	}
	if state != "" {
		c.state, c.known = state, true
	}
	taps := c.taps
	c.mu.Unlock()
	for _, t := range taps {
		t.see(ev)
	}
}

// addTap lets see see every event from now on, until remove is called. An event that is on its way may still come afterwards.
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

// authenticated notes that s has been authenticated, by its first token or by a new one.
func (c *client) authenticated(s *session, perms []Permission, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.ended.Load() {
		return
	}
	if c.session != s && !s.isUp { // a new connection, of which nothing is known yet
		c.known = false
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

// disconnected notes that a new connection begins, of which nothing is known yet.
func (c *client) disconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.known = nil, false
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
func (c *client) offline() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known && c.state == StateOffline
}
