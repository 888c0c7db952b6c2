package pterosocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Power sends a power action and waits for the state that it leads to: running after start and restart, offline after
// stop and kill. When the server is there already it returns nil at once without sending, but for restart, which is
// always sent. When the daemon refuses, or the server goes offline instead of starting, errors.Is(err, ErrPowerRefused)
// holds; when the connection ends for good, ErrInterrupted. A game that does not come up may leave the server starting
// for ever, so give ctx a deadline. It fails like WritePower.
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
	there := func() bool { return action != PowerRestart && c.c.knownState() == w.target }
	if there() {
		return nil
	}
	err := <-c.c.submit(ctx, packet, func() error {
		if there() { // by now
			return errThere
		}
		w.begin(c.c.lastKnown())
		return nil
	})
	if err == errThere { // the value itself
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case err = <-w.done:
		return err
	case <-c.c.done: // not ErrClosed: it has been sent
		err = fmt.Errorf("waiting for the server to be %s after %s: %w", w.target, action, ErrInterrupted)
	case <-ctx.Done():
		err = fmt.Errorf("waiting for the server to be %s after %s; it is %s: %w", w.target, action,
			printable(string(cmp.Or(c.c.knownState(), "not known")), 40), context.Cause(ctx))
	}
	select {
	case err = <-w.done: // in the same moment
	default:
	}
	return err
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
func (w *powerWait) begin(state State, uptime time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running, w.uptime = true, uptime
	w.left = w.action != PowerRestart || state != "" && state != StateRunning
	w.begun = w.action == PowerStart && state == StateStarting
}

func (w *powerWait) see(ev Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		return
	}
	starting := false // by the word of earlier events like this one
	switch ev := ev.(type) {
	case Status:
		starting = w.begun
		w.begun = w.begun || ev.State == StateStarting
	case Stats:
		w.left = w.left || ev.Uptime < w.uptime // it has been away, though no status told
		w.uptime = ev.Uptime
		starting = w.trying
		w.trying = w.trying || w.left && ev.State == StateStarting
	case DaemonError:
		// Only an answer to a message has an id. Of other users' messages a daemon does not tell.
		text := withoutEventID(ev.Message)
		if text != ev.Message && !(w.begun && w.action == PowerStart && strings.Contains(text, "server is running")) {
			w.finish(fmt.Errorf("%w: the daemon refused to %s: %s", ErrPowerRefused, w.action, printable(text, 300)))
		}
	}
	switch state := stateOf(ev); {
	case state == "":
	case state == StateOffline && starting && w.target == StateRunning:
		w.finish(fmt.Errorf("%w: the server went offline while starting, after %s; see its console",
			ErrPowerRefused, w.action))
	default:
		w.left = w.left || state != StateRunning
		if state == w.target && w.left {
			w.finish(nil)
		}
	}
}

func (w *powerWait) finish(err error) {
	w.running = false
	w.done <- err
}
