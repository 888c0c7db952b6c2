package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// AwaitState waits until the server is in one of the states, and returns it; at once if it is already. It looks at status and at the
// state in the stats, since daemons may drop either. It goes on waiting through reconnects, and returns ctx's error when that
// ends first, or ErrClosed.
func (c *Commands) AwaitState(ctx context.Context, states ...State) (State, error) {
	if len(states) == 0 {
		return "", errors.New("AwaitState: no state to wait for")
	}
	reached := make(chan State, 1)
	defer c.c.addTap(func(ev Event) {
		if state := stateOf(ev); state != "" && slices.Contains(states, state) {
			select {
			case reached <- state:
			default:
			}
		}
	})()
	if state, known := c.c.knownState(); known && slices.Contains(states, state) {
		return state, nil
	}
	select {
	case state := <-reached:
		return state, nil
	case <-c.c.done:
		return "", ErrClosed
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// knownState returns the state, and whether it was told on the connection that stands.
func (c *client) knownState() (State, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.known
}

// lastKnown returns the same, and the last uptime that was told.
func (c *client) lastKnown() (State, bool, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.known, c.uptime
}

// stateOf returns the state that an event tells, "" if it tells none.
func stateOf(ev Event) State {
	switch ev := ev.(type) {
	case Status:
		return ev.State
	case Stats:
		return ev.State
	}
	return ""
}

// Power sends a power action and waits for the state that it leads to: running after start and restart, offline after stop and kill.
// When the server is there already it returns nil at once without sending, but for restart, which is always sent. It returns an
// error when the daemon reports one, when the server goes offline instead of starting, or when ctx ends first: a game that does not
// come up may leave it starting for ever, so give ctx a deadline. It fails like WritePower.
func (c *Commands) Power(ctx context.Context, action PowerAction) error {
	w := &powerWait{action: action, target: StateRunning, done: make(chan error, 1)}
	if action == PowerStop || action == PowerKill {
		w.target = StateOffline
	}
	packet := PowerPacket(action)
	if _, err := packet.encode(); err != nil {
		return err
	}
	defer c.c.addTap(w.see)()
	there := func() bool {
		state, known := c.c.knownState()
		return known && state == w.target && action != PowerRestart
	}
	if there() {
		return nil
	}
	req, err := c.c.enqueue(ctx, packet, func() error {
		if there() { // by now
			return errThere
		}
		w.begin(c.c.lastKnown())
		return nil
	})
	if err != nil {
		return err
	}
	if err := <-req.outcome; err == errThere { // the value itself
		return nil
	} else if err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-c.c.done:
	case <-ctx.Done():
	}
	select {
	case err := <-w.done: // in the same moment
		return err
	case <-c.c.done: // not ErrClosed: it has been sent
		return fmt.Errorf("waiting for the server to be %s after %s: %w", w.target, action, errInterrupted)
	case <-ctx.Done():
		state, _ := c.c.knownState()
		return fmt.Errorf("waiting for the server to be %s after %s; it is %s: %w", w.target, action, state, context.Cause(ctx))
	}
}

// A powerWait watches for what comes of a power action. see is called by the goroutine that hands events on.
type powerWait struct {
	action PowerAction
	target State
	done   chan error // gets the outcome; room for one

	mu      sync.Mutex
	running bool
	left    bool // the server is known not to be what it was before a restart
	begun   bool // it has been starting since, or all the time
	trying  bool // the same, as the stats tell
	uptime  time.Duration
}

// errThere: the server is where the action leads.
var errThere = errors.New("already there")

// begin starts the watch, just before the action is sent.
func (w *powerWait) begin(state State, known bool, uptime time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running, w.uptime = true, uptime
	w.left = w.action != PowerRestart || known && state != StateRunning
	w.begun = w.action == PowerStart && known && state == StateStarting
}

func (w *powerWait) see(ev Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		return
	}
	switch ev := ev.(type) {
	case Status:
		switch {
		case ev.State == StateStarting:
			w.begun = true
		case ev.State == StateOffline && w.begun && w.target == StateRunning:
			w.finish(fmt.Errorf("the server went offline while starting, after %s; see its console", w.action))
			return
		}
	case Stats:
		if ev.Uptime < w.uptime { // it has been away, though no status told
			w.left = true
		}
		w.uptime = ev.Uptime
		if ev.State == StateOffline && w.trying && w.target == StateRunning {
			w.finish(fmt.Errorf("the server went offline while starting, after %s; see its console", w.action))
			return
		}
		w.trying = w.trying || w.left && ev.State == StateStarting
	case DaemonError:
		// Only an answer to a message has an id. Of other users' messages a daemon does not tell.
		text := withoutEventID(ev.Message)
		if text != ev.Message && !(w.begun && w.action == PowerStart && strings.Contains(text, "server is running")) {
			w.finish(fmt.Errorf("the daemon refused to %s: %s", w.action, printable(text, 300)))
			return
		}
	}
	switch state := stateOf(ev); {
	case state == "":
	case state != StateRunning:
		w.left = true
		fallthrough
	default:
		if state == w.target && w.left {
			w.finish(nil)
		}
	}
}

func (w *powerWait) finish(err error) {
	w.running = false
	w.done <- err
}
