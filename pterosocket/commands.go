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

// Commands sends to the daemon, and tells of the connection. Connect returns it. All methods are safe for concurrent
// use.
//
// What is sent goes out in the order in which the calls were made, paced so that a daemon neither reorders nor drops
// it; a call waits its turn, bounded by its ctx. A nil error means that the whole frame was written on an authenticated
// connection; what the game makes of it, daemons do not tell. If errors.Is(err, ErrNotSent) holds, it was certainly not
// sent.
type Commands struct{ c *client }

// WriteCommand sends a line to the game's console, without a line break. It fails at once when a daemon would ignore
// the command in silence (ErrPermission, ErrServerOffline, ErrInvalidCommand), when there is no connection
// (ErrNotConnected: a "stop" must not come minutes late), and when 1,024 packets wait already (ErrQueueFull).
func (c *Commands) WriteCommand(ctx context.Context, command string) error {
	return c.Write(ctx, CommandPacket(command))
}

// WritePower sends a power action; a kill goes before everything that waits. It does not wait for the state that the
// action leads to. It fails like WriteCommand.
func (c *Commands) WritePower(ctx context.Context, action PowerAction) error {
	return c.Write(ctx, PowerPacket(action))
}

// RequestLogs asks for the daemon's recent lines, up to 150 by default. They come as ConsoleOutput events with nothing
// to tell them from new ones; History returns them instead.
func (c *Commands) RequestLogs(ctx context.Context) error {
	return c.Write(ctx, Packet{Event: wire.SendLogs, Args: []string{""}})
}

// RequestStats asks for a Stats event now.
func (c *Commands) RequestStats(ctx context.Context) error {
	return c.Write(ctx, Packet{Event: wire.SendStats, Args: []string{""}})
}

// Write sends any packet but auth, which is the library's own.
func (c *Commands) Write(ctx context.Context, packet Packet) error {
	return <-c.Submit(ctx, packet)
}

// Submit sends like Write without waiting: the channel that it returns gets Write's result and is closed then.
func (c *Commands) Submit(ctx context.Context, packet Packet) <-chan error {
	return c.c.submit(ctx, packet, func() error { return nil })
}

// submit checks a packet and puts it into the current connection's queue. It is withdrawn when ctx ends. before is
// called just before the packet is written, and may prevent that with an error. The channel gets the outcome.
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
	r.before = func() error { // much may have happened while it waited for its turn
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

// standing returns the session that takes commands now, or why there is none.
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

// ignored returns why a daemon would ignore the packet in silence, as far as that is known; nil if it would not.
func (c *client) ignored(packet Packet) error {
	if p := packet.needs(); p != "" && !c.can(p) {
		return &PermissionError{p}
	}
	if packet.needsServer() && c.offline() {
		return ErrServerOffline
	}
	return nil
}

// takeTurn waits until no other Run or History is at work, which would get in each other's way.
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

// Ready waits until the connection stands and is authenticated. It returns ctx's error, or, after the end, Err or
// ErrClosed.
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

// whyEnded returns Err or, when that is nil, ErrClosed. The client has ended.
func (c *client) whyEnded() error { return cmp.Or(c.err, ErrClosed) }

// Connected reports whether the connection stands and is authenticated: whether a command would be sent now.
func (c *Commands) Connected() bool {
	_, err := c.c.standing()
	return err == nil
}

// State returns the server's power state as the connection that stands was told last, by a status or with stats. It is
// "" before that, and while there is no connection.
func (c *Commands) State() State { return c.c.knownState() }

// Stats returns the last stats of the connection that stands; ok is false when none have come, and while there is no
// connection.
func (c *Commands) Stats() (stats Stats, ok bool) {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	return c.c.stats, c.c.hasStats
}

// Permissions returns what the current token allows.
func (c *Commands) Permissions() []Permission {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	return slices.Clone(c.c.perms)
}

// Can reports whether the current token allows p. "*" covers all but what begins with "admin.".
func (c *Commands) Can(p Permission) bool { return allows(c.Permissions(), p) }

// Metrics returns the counters as they are now.
func (c *Commands) Metrics() Metrics { return c.c.count.snapshot(c.c.out.Dropped()) }

const (
	// closeIdle is how long a consumer may take nothing after Close before what was received is given up.
	closeIdle = 100 * time.Millisecond
	// networkEnd is how long the network may take to end after Close or Shutdown. A close handshake has a second.
	networkEnd = 2 * time.Second
	// handlerStuck is how long Close and Shutdown wait for a log handler: it may be what has called them.
	handlerStuck = time.Second
)

// Close ends the connection: the network at once, with a close frame. What was received goes on being delivered for as
// long as the consumer takes it, and is given up when it takes nothing for 100 ms. Close returns when every goroutine
// has ended and the channel is closed; the consumer may call it itself. It is idempotent and always returns nil.
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

// Shutdown ends the connection as Close does, but goes on delivering what was received until ctx ends, however slow the
// consumer is. It returns ErrEventsDropped when some of it had to be given up.
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
	default: // a log handler has called
	}
	return nil
}

// awaitEnd waits until everything that is ending has ended: done is closed then. It cuts that short after a while, and
// at once when hurry is closed. It does not wait for a log handler that is stuck, since that may be its caller.
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

// Done is closed when the connection has ended for good: after the channel, when every goroutine has ended.
func (c *Commands) Done() <-chan struct{} { return c.c.done }

// Err returns why the connection has ended: nil after Close or Shutdown (ErrEventsDropped if what was received could
// not all be delivered), the cause of the context given to Connect, or the final error. Before Done is closed it
// returns nil.
func (c *Commands) Err() error {
	select {
	case <-c.c.done:
		return c.c.err
	default:
		return nil
	}
}
