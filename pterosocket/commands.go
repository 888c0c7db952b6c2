package pterosocket

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// Commands sends to the daemon, and tells of the connection. Connect returns it. All methods are safe for concurrent use.
//
// What is sent goes out in the order in which the calls were made, paced so that a daemon neither reorders nor drops it; a call
// waits its turn, bounded by its ctx. A nil error means that the whole frame was written on an authenticated connection; what
// the game makes of it, daemons do not tell. An error that is ErrNotSent means that it was certainly not sent.
type Commands struct{ c *client }

// forceClose is when Close stops being patient. A close handshake and the delivery of what is queued each have a second.
const forceClose = 3 * time.Second

// WriteCommand sends a line to the game's console, without a line break. It fails at once with an error that is ErrPermission,
// ErrServerOffline or ErrInvalidCommand when a daemon would ignore the command in silence, and with ErrNotConnected when there
// is no connection: a "stop" must not come minutes late.
func (c *Commands) WriteCommand(ctx context.Context, command string) error {
	return c.Write(ctx, CommandPacket(command))
}

// WritePower sends a power action. It does not wait for the state that the action leads to. It fails like WriteCommand.
func (c *Commands) WritePower(ctx context.Context, action PowerAction) error {
	return c.Write(ctx, PowerPacket(action))
}

// RequestLogs asks for the daemon's recent lines, up to 150 by default. They come as ConsoleOutput events with nothing to tell
// them from new ones; History returns them instead.
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
	result := make(chan error, 1)
	r, err := c.c.enqueue(ctx, packet, nil)
	if err != nil {
		result <- err
		close(result)
		return result
	}
	return r.outcome
}

// enqueue checks a packet and puts it into the current connection's queue. The request is withdrawn when ctx ends. before, if not
// nil, is called just before the packet is written, and may prevent that with an error.
func (c *client) enqueue(ctx context.Context, packet Packet, before func() error) (*request, error) {
	frame, err := packet.encode()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
	s, _ := c.current()
	switch {
	case c.soft.Err() != nil:
		return nil, ErrClosed
	case s == nil || !s.isAuthenticated():
		return nil, ErrNotConnected
	}
	if err := c.ignored(packet); err != nil {
		return nil, err
	}
	r := newRequest(packet.Event, frame)
	r.counted = true
	r.before = func() error { // much may have happened while it waited for its turn
		if err := c.ignored(packet); err != nil {
			return err
		}
		if before != nil {
			return before()
		}
		return nil
	}
	if ctx.Done() != nil {
		r.withdrawWith(ctx, &s.queue)
	}
	s.queue.add(r)
	return r, nil
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
	c.mu.Lock()
	if c.running == nil {
		c.running = make(chan struct{}, 1)
	}
	running := c.running
	c.mu.Unlock()
	select {
	case running <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	case <-c.done:
		return ErrClosed
	}
}

func (c *client) endTurn() { <-c.running }

// Ready waits until the connection stands and is authenticated. It returns ctx's error, or, after the end, Err or ErrClosed.
func (c *Commands) Ready(ctx context.Context) error {
	for {
		s, changed := c.c.current()
		if c.c.soft.Err() == nil && s != nil && s.isAuthenticated() {
			return nil
		}
		select {
		case <-changed:
		case <-c.c.done:
			if err := c.c.err; err != nil {
				return err
			}
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// State returns the server's power state as it was told last, by a status or with stats; "" before the first.
func (c *Commands) State() State {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	return c.c.state
}

// Permissions returns what the current token allows.
func (c *Commands) Permissions() []Permission {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	return slices.Clone(c.c.perms)
}

// Can reports whether the current token allows p. "*" covers all but what begins with "admin.".
func (c *Commands) Can(p Permission) bool {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	return allows(c.c.perms, p)
}

// Metrics returns the counters as they are now.
func (c *Commands) Metrics() Metrics { return c.c.count.snapshot(c.c.out.droppedCount()) }

// Close ends the connection gracefully: with a close frame, and with what has been received delivered to a consumer that still
// takes it, for a second at most. It returns when every goroutine has ended and the channel is closed, which the consumer need
// not wait for: it may call Close itself. Close is idempotent and always returns nil.
func (c *Commands) Close() error {
	c.c.closing(errClosing)
	timer := time.AfterFunc(forceClose, func() { c.c.cutShort(errClosing) })
	defer timer.Stop()
	<-c.c.done
	return nil
}

// Done is closed when the connection has ended for good: after the channel, when every goroutine has ended.
func (c *Commands) Done() <-chan struct{} { return c.c.done }

// Err returns why the connection has ended: nil after Close, the cause of the context given to Connect, or the final error. Before
// Done is closed it returns nil.
func (c *Commands) Err() error {
	select {
	case <-c.c.done:
		return c.c.err
	default:
		return nil
	}
}
