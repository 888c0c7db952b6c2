package pterosocket

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/delivery"
	"github.com/pterosocket/pterosocket-go/internal/tokens"
)

// A client is what is behind the channel and the Commands of one Connect. It holds everything that outlives a single
// connection. Its supervisor (supervisor.go) makes one connection after the other.
type client struct {
	cfg     Config // with defaults
	tokens  tokens.Cache
	count   counters
	out     sink
	member  *member // its part in a fleet; nil: it is in none
	console *console

	hard     context.Context // from the caller, and what Close falls back to: its end ends everything at once
	cutShort context.CancelCauseFunc
	soft     context.Context // child of hard: its end is graceful if the cause is errClosing
	shut     context.CancelCauseFunc

	logging  *busyHandler
	connects chan error    // the outcome of the first connect; room for one
	done     chan struct{} // closed when every goroutine has ended
	err      error         // why it ended; set before done is closed
	dropped  int           // how many events were given up at the end; set before done is closed

	running chan struct{} // holds a value while a Run or History is at work; room for one

	mu         sync.Mutex
	session    *session      // the one that is authenticated, or nil
	changed    chan struct{} // closed when session or patience changes
	state      State         // as the current connection has told it; "" if it has not
	stats      Stats         // the same
	hasStats   bool
	perms      []Permission
	knownPerms bool           // perms is what the token says; false: it says nothing
	taps       []*func(Event) // they see every event
	jwtErrors  []string       // the JWTErrors since the last AuthSuccess
	patience   delivery.Patience
	since      time.Time // when session was first authenticated
	failure    error     // why the last connection or attempt ended
	retryAt    time.Time // when the next attempt is due
}

// maxJWTErrors limits jwtErrors. A daemon has half a dozen.
const maxJWTErrors = 16

// emit hands an event on: to the state, to the taps, to the consumer. Of many equal JWTErrors the consumer gets only
// the first. emit never blocks.
func (c *client) emit(ev Event) {
	isNews := true
	c.mu.Lock()
	switch ev := ev.(type) {
	case Status:
		c.state = ev.State
	case Stats:
		c.stats, c.hasStats = ev, true
		c.state = cmp.Or(ev.State, c.state)
	case JWTError:
		text := withoutEventID(ev.Message)
		isNews = !slices.Contains(c.jwtErrors, text)
		if isNews && len(c.jwtErrors) < maxJWTErrors {
			c.jwtErrors = append(c.jwtErrors, text)
		}
	case AuthSuccess:
		c.jwtErrors = nil
	}
	c.mu.Unlock()
	c.observeLines([]Event{ev})
	if isNews {
		c.out.Push(ev)
	}
}

// The following methods hand events on to the consumer alone.
func (c *client) answered(ev Event)          { c.out.Push(ev) }
func (c *client) deliver(ev Event)           { c.out.Push(ev) }
func (c *client) deliverLines(lines []Event) { c.out.PushAll(lines) }

// observeLines shows events to the taps alone.
func (c *client) observeLines(lines []Event) {
	c.mu.Lock()
	taps := c.taps
	c.mu.Unlock()
	for _, see := range taps {
		for _, ev := range lines {
			(*see)(ev)
		}
	}
}

// addTap calls see for every event but replayed lines, when it arrives, until remove is called. An event that is on its
// way may still come afterwards. see is called in order, in the reader's goroutine, so it must be quick.
func (c *client) addTap(see func(Event)) (remove func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taps = append(slices.Clone(c.taps), &see)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.taps = slices.DeleteFunc(slices.Clone(c.taps), func(tap *func(Event)) bool { return tap == &see })
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
	c.since, c.failure = s.reader.since, nil
	c.change()
}

// deauthenticated notes that s takes no more commands, for now or for good. s does not tell the state either. If s goes
// on, its last state is forgotten now. If s is ending, disconnected forgets it.
func (c *client) deauthenticated(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != s {
		return
	}
	c.session = nil
	if !s.isEnding() {
		c.state, c.hasStats = "", false
	}
	c.change()
}

// disconnected notes that there is no connection, and that nothing is known of the next one.
func (c *client) disconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.state, c.hasStats = nil, "", false
	c.change()
}

// change wakes everyone who waits for a change of session or patience. The caller holds c.mu.
func (c *client) change() {
	close(c.changed)
	c.changed = make(chan struct{})
	c.member.announce()
}

// current returns the authenticated session, nil if there is none, and a channel that is closed when that changes.
func (c *client) current() (*session, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.changed
}

// connectedSince returns when the current or last connection was first authenticated. Zero: none was.
func (c *client) connectedSince() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since
}

// can reports whether the token allows p. If the token says nothing about permissions, it does.
func (c *client) can(p Permission) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.knownPerms || allows(c.perms, p)
}

// allows reports whether perms cover p. "*" does not cover permissions that begin with "admin.".
func allows(perms []Permission, p Permission) bool {
	return slices.Contains(perms, p) || slices.Contains(perms, PermissionAll) && !strings.HasPrefix(string(p), "admin.")
}

func (c *client) offline() bool { return c.knownState() == StateOffline }

// knownState returns the state as the current connection has told it, or "" if it has not.
func (c *client) knownState() State {
	state, _ := c.lastKnown()
	return state
}

// lastKnown returns the same state, and the uptime that was told last.
func (c *client) lastKnown() (State, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.stats.Uptime
}

// setPatience sets how long events already received are delivered at the end.
func (c *client) setPatience(p delivery.Patience) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience = p
	c.change()
}

func (c *client) getPatience() delivery.Patience {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience.Changed = c.changed
	return c.patience
}
