package pterosocket

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/delivery"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// Commands sends to the daemon and reports on the connection. Connect returns it. All methods are safe for concurrent
// use.
//
// Messages go out in the order of the calls. They are paced so that a daemon neither reorders nor drops them. A call
// waits for its turn until its ctx ends. A nil error means that the whole frame was written on an authenticated
// connection. Daemons do not say what the game makes of it. If errors.Is(err, ErrNotSent) holds, the message was
// certainly not sent.
type Commands struct{ c *client }

// WriteCommand sends a line to the game's console, without a line break. It fails at once with ErrPermission,
// ErrServerOffline or ErrInvalidCommand if a daemon would ignore the command in silence. Without a connection it fails
// with ErrNotConnected, since a "stop" must not come minutes late. It fails with ErrQueueFull if 1,024 packets wait
// already, and with ErrClosed after the end.
func (c *Commands) WriteCommand(ctx context.Context, command string) error {
	return c.Write(ctx, CommandPacket(command))
}

// WritePower sends a power action. A kill goes before everything that waits. WritePower does not wait for the state
// that the action leads to: Power does. It fails like WriteCommand, and with ErrInvalidPowerAction for an unknown
// action.
func (c *Commands) WritePower(ctx context.Context, action PowerAction) error {
	return c.Write(ctx, PowerPacket(action))
}

// RequestLogs asks for the daemon's recent lines, up to 150 by default. They come as ConsoleOutput events that look
// like new lines. History returns the lines instead. RequestLogs fails like WriteCommand.
func (c *Commands) RequestLogs(ctx context.Context) error {
	return c.Write(ctx, Packet{Event: wire.SendLogs, Args: []string{""}})
}

// RequestStats asks for a Stats event now. It fails like WriteCommand, but not because the server is offline.
func (c *Commands) RequestStats(ctx context.Context) error {
	return c.Write(ctx, Packet{Event: wire.SendStats, Args: []string{""}})
}

// Write sends any packet except auth, which only the library itself sends. It fails like WriteCommand and WritePower.
func (c *Commands) Write(ctx context.Context, packet Packet) error {
	return <-c.Submit(ctx, packet)
}

// Submit sends like Write but does not wait. The channel that it returns gets Write's result and is then closed.
func (c *Commands) Submit(ctx context.Context, packet Packet) <-chan error {
	return c.c.submit(ctx, packet, func() error { return nil })
}

// submit checks a packet and puts it into the current connection's queue. It withdraws the packet when ctx ends. The
// writer calls before just before it writes the packet. An error from before prevents that. The channel gets the
// outcome.
func (c *client) submit(ctx context.Context, packet Packet, before func() error) <-chan error {
	frame, err := packet.encode()
	r := newRequest(packet.Event, frame)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
	s, notNow := c.standing()
	if err = cmp.Or(err, notNow); err == nil {
		err = c.ignored(packet)
	}
	if err != nil {
		r.settle(err)
		return r.outcome
	}
	r.counted, r.kill = true, packet.isKill()
	r.before = func() error { // check again: much may have changed while it waited
		if err := c.ignored(packet); err != nil {
			return err
		}
		return before()
	}
	if ctx.Done() != nil {
		r.withdrawWith(ctx, &s.queue)
	}
	s.queue.add(r)
	return r.outcome
}

// standing returns the session that takes commands now, or an error that says why there is none.
func (c *client) standing() (*session, error) {
	s, _ := c.current()
	switch {
	case c.soft.Err() != nil:
		return nil, ErrClosed
	case s == nil || !s.isAuthenticated():
		return nil, ErrNotConnected
	}
	return s, nil
}

// isEstablished reports whether the connection is up, and on the first one the server's status has come, or has been
// waited for. By then the daemon has subscribed the client to the server's events.
func (c *client) isEstablished() bool {
	s, err := c.standing()
	return err == nil && s.look().stood
}

// ignored returns why a daemon would ignore the packet in silence, as far as the library knows. Otherwise it returns
// nil.
func (c *client) ignored(packet Packet) error {
	if p := packet.needs(); p != "" && !c.can(p) {
		return &PermissionError{p}
	}
	if packet.needsServer() && c.offline() {
		return ErrServerOffline
	}
	return nil
}

// takeTurn waits until no other Run or History is at work. They would get in each other's way.
func (c *client) takeTurn(ctx context.Context) error {
	select {
	case c.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	case <-c.done:
		return ErrClosed
	}
}

func (c *client) endTurn() { <-c.running }

// Ready waits until the connection is up and authenticated. If ctx ends first, it returns context.Cause(ctx). After the
// end of the connection it returns Err, or ErrClosed if Err is nil.
func (c *Commands) Ready(ctx context.Context) error {
	for {
		_, changed := c.c.current()
		if c.Connected() {
			return nil
		}
		select {
		case <-changed:
		case <-c.c.done:
			return c.c.whyEnded()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// whyEnded returns Err, or ErrClosed if that is nil. Call it only after the client has ended.
func (c *client) whyEnded() error { return cmp.Or(c.err, ErrClosed) }

// Connected reports whether the connection is up and authenticated, so that a command would be sent now.
func (c *Commands) Connected() bool {
	_, err := c.c.standing()
	return err == nil
}

// State returns the server's power state as the current connection reported it last, by a Status or by Stats. It is ""
// before that, and while there is no connection.
func (c *Commands) State() State { return c.c.knownState() }

// Stats returns the last Stats of the current connection. ok is false if none have come, and while there is no
// connection.
func (c *Commands) Stats() (stats Stats, ok bool) {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	return c.c.stats, c.c.hasStats
}

// Permissions returns a copy of what the current token allows.
func (c *Commands) Permissions() []Permission {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	return slices.Clone(c.c.perms)
}

// Can reports whether Permissions include p. "*" covers all permissions except those that begin with "admin.". A token
// that lists no permissions makes Can return false, although commands are then not refused for that.
func (c *Commands) Can(p Permission) bool { return allows(c.Permissions(), p) }

// Metrics returns the current values of the counters.
func (c *Commands) Metrics() Metrics { return c.c.count.snapshot(c.c.out.Dropped()) }

const (
	// closeIdle is how long a consumer may take nothing after Close. Then the events already received are given up.
	closeIdle = 100 * time.Millisecond
	// networkEnd is how long the network may take to end after Close or Shutdown. A close handshake may take a second.
	networkEnd = 2 * time.Second
	// handlerStuck is how long Close and Shutdown wait for a busy log handler. The handler itself may have called them.
	handlerStuck = time.Second
)

// Close ends the connection gracefully. It closes the websocket at once, with a close frame. Events already received
// are delivered as long as the consumer takes them. They are given up when it takes nothing for 100 ms. Close returns
// when every goroutine has ended and the channel is closed. The consumer may call it. It is idempotent and always
// returns nil. For a server of a Fleet, Close does the same as Fleet.Remove.
func (c *Commands) Close() error {
	if m := c.c.member; m != nil {
		m.leave(c.c, nil)
		return nil
	}
	c.c.setPatience(delivery.Patience{Idle: closeIdle})
	c.c.shut(errClosing)
	c.c.logging.awaitEnd(c.c.done, nil, c.c.cutShort)
	return nil
}

// Shutdown ends the connection like Close, but delivers the events already received until ctx ends, however slow the
// consumer is. It returns ErrEventsDropped if some of them had to be given up. For a server of a Fleet, Shutdown does
// the same as Fleet.Remove.
func (c *Commands) Shutdown(ctx context.Context) error {
	if m := c.c.member; m != nil {
		m.leave(c.c, nil)
		return nil
	}
	c.c.setPatience(delivery.Patience{Until: ctx.Done()})
	c.c.shut(errClosing)
	c.c.logging.awaitEnd(c.c.done, ctx.Done(), c.c.cutShort)
	select {
	case <-c.c.done:
		if c.c.dropped > 0 {
			return ErrEventsDropped
		}
	default: // a log handler called Shutdown
	}
	return nil
}

// awaitEnd waits until done is closed, which means that everything has ended. It cuts the end short after networkEnd,
// and at once when hurry is closed. It does not wait for a log handler that is stuck, since that handler may be its
// caller.
func (h *busyHandler) awaitEnd(done, hurry <-chan struct{}, cutShort context.CancelCauseFunc) {
	defer time.AfterFunc(networkEnd, func() { cutShort(errClosing) }).Stop()
	look := time.NewTicker(handlerStuck)
	defer look.Stop()
	for {
		select {
		case <-done:
			return
		case <-hurry:
			hurry = nil
			cutShort(errClosing)
		case <-look.C:
			if h.stuck(handlerStuck) {
				return
			}
		}
	}
}

// Done returns a channel that is closed when the connection has ended for good: after the events channel, when every
// goroutine has ended.
func (c *Commands) Done() <-chan struct{} { return c.c.done }

// Err returns why the connection has ended: nil after Close or Shutdown (ErrEventsDropped if some received events could
// not be delivered), the cause of the context given to Connect, or the final error. It returns nil before Done is
// closed.
func (c *Commands) Err() error {
	select {
	case <-c.c.done:
		return c.c.err
	default:
		return nil
	}
}
