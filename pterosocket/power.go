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
// stop and kill. If the server is in that state already, Power returns nil at once without sending, except for restart,
// which it always sends. If the daemon refuses, or the server goes offline instead of starting, errors.Is(err,
// ErrPowerRefused) holds. If the connection ends for good, errors.Is(err, ErrInterrupted) holds. If ctx ends, the error
// wraps context.Cause(ctx). A game that does not come up may leave the server starting forever, so give ctx a deadline.
// Power fails like WritePower.
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
		if there() { // it got there meanwhile
			return errThere
		}
		w.begin(c.c.lastKnown())
		return nil
	})
	if err == errThere { // not wrapped
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case err = <-w.done:
		return err
	case <-c.c.done: // not ErrClosed: the action was sent
		err = fmt.Errorf("waiting for the server to be %s after %s: %w", w.target, action, ErrInterrupted)
	case <-ctx.Done():
		err = fmt.Errorf("waiting for the server to be %s after %s; it is %s: %w", w.target, action,
			printable(string(cmp.Or(c.c.knownState(), "not known")), 40), context.Cause(ctx))
	}
	select {
	case err = <-w.done: // it came in the same moment
	default:
	}
	return err
}

// A powerWait watches for the outcome of a power action. see is called by the goroutine that hands events on.
type powerWait struct {
	action PowerAction
	target State
	done   chan error // gets the outcome; room for one

	mu      sync.Mutex
	running bool
	left    bool // it has left the state it had before a restart; true for other actions
	begun   bool // a status has said starting since, or it was starting before a start
	trying  bool // the stats have said starting since
	uptime  time.Duration
}

// errThere means that the server is already in the state that the action leads to.
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
	starting := false // what earlier events of the same type said
	switch ev := ev.(type) {
	case Status:
		starting = w.begun
		w.begun = w.begun || ev.State == StateStarting
	case Stats:
		w.left = w.left || ev.Uptime < w.uptime // it was restarted, although no status said so
		w.uptime = ev.Uptime
		starting = w.trying
		w.trying = w.trying || w.left && ev.State == StateStarting
	case DaemonError:
		// Only an answer to a message of our own has an id. A daemon does not tell about other users' messages.
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
