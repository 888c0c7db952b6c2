package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/backoff"
	"github.com/pterosocket/pterosocket-go/internal/delivery"
	"github.com/pterosocket/pterosocket-go/internal/tokens"
)

const (
	// herdSteps widens the first window after a loss to Min * 2^herdSteps: a daemon that drops all of its clients at once
	// may be up again at once, and half a second is too little for all of them to come back in.
	herdSteps = 3
	// askAnew is how often the panel is asked for a good token again while no connection can be made: the URL may have
	// changed.
	askAnew = 5 * time.Minute
)

// attempts is what the supervisor keeps from one connection to the next.
type attempts struct {
	connected  bool // there has been a connection that stood
	failures   int  // in a row
	notFound   bool // the last daemon asked did not know the server
	delays     backoff.Backoff
	failure    error           // the first one, or the last that says more than that time is up
	connecting context.Context // ends an attempt: soft, but ConnectTimeout until the first connection stands
}

func newClient(ctx context.Context, cfg Config) *client {
	c := &client{
		cfg:      cfg,
		out:      newOutlet(cfg.QueueSize),
		connects: make(chan error, 1),
		done:     make(chan struct{}),
		changed:  make(chan struct{}),
		running:  make(chan struct{}, 1),
		patience: delivery.Patience{Idle: cfg.DrainTimeout},
	}
	c.logging = &busyHandler{Handler: cfg.Logger.Handler(), calls: new(sync.Map)}
	c.cfg.Logger = slog.New(c.logging)
	c.tokens = tokens.Cache{
		Ask:        c.credentials,
		RetryAfter: retryAfterOf,
		Log:        c.cfg.Logger,
	}
	c.console = newConsole(c, &c.count, cfg.QueueSize, cfg.After)
	c.hard, c.cutShort = context.WithCancelCause(ctx)
	c.soft, c.shut = context.WithCancelCause(c.hard)
	return c
}

// supervise owns every other goroutine. It connects until the first connection stands, which Connect waits for, then
// keeps the connection and makes it anew whenever it is lost, until the end, and reports that.
func (c *client) supervise() {
	defer close(c.done)
	least, most, timeout := c.cfg.Backoff.Min, c.cfg.Backoff.Max, c.cfg.ConnectTimeout
	a := &attempts{delays: backoff.Backoff{Min: least, Max: most}, connecting: c.soft}
	if timeout > 0 { // the first connection is waited for: several attempts should have room in that time
		a.delays.Max = max(least, min(most, timeout/6))
		var cancel context.CancelFunc
		a.connecting, cancel = context.WithTimeout(c.soft, timeout)
		defer cancel()
	}
	for {
		s, err := c.open(a)
		if err == nil {
			err = s.run()
		}
		if err := c.next(a, s, err); err != nil {
			c.conclude(a, err)
			return
		}
	}
}

// conclude ends it all.
func (c *client) conclude(a *attempts, err error) {
	if err == errClosing { // the value itself: by Commands.Close
		err = nil
	}
	defer c.cutShort(nil)
	c.shut(nil) // nothing is sent any more
	c.disconnected()
	if !a.connected {
		c.out.Discard()
		defer func() { c.connects <- err }()
	}
	c.err = err
	c.dropped = c.out.Finish(c.getPatience, func(dropped int) Event {
		code, reason := closeCode(err)
		return Close{Code: code, Reason: reason, Err: err, Final: true, Dropped: dropped}
	})
	if c.dropped > 0 && err == nil {
		c.err = ErrEventsDropped
	}
	c.cfg.Logger.Info("the connection has ended for good", "error", c.err, "dropped", c.dropped)
}

// next decides what follows from the end of a connection, or of an attempt to make one (then s may be nil), and waits
// until it is time for the next attempt. When there is to be none, it returns why.
func (c *client) next(a *attempts, s *session, err error) error {
	a.failures++
	stood := s != nil && s.look().stood
	if stood {
		c.disconnected()
		// The short delays are reset only after a connection has lasted: accepting and dropping must not become a loop.
		if !a.connected || s.lasted() >= c.cfg.Backoff.Max {
			a.delays.Reset()
		}
		a.delays.Skip(herdSteps)
		a.delays.Max = c.cfg.Backoff.Max
		a.failures, a.connected = 0, true
	} else {
		c.count.failedAttempts.Add(1)
	}
	if c.soft.Err() != nil {
		return context.Cause(c.soft)
	}
	if a.failure == nil || a.connecting.Err() == nil && !errors.Is(err, tokens.ErrBudget) {
		a.failure = err
	}
	delay, err := c.delay(a, err)
	if err != nil {
		return err
	}
	c.report(a, s, stood, delay, a.failure)
	switch {
	case backoff.Sleep(a.connecting, delay) == nil:
		return nil
	case c.soft.Err() != nil:
		return context.Cause(c.soft)
	}
	return fmt.Errorf("no connection within %v: %w", c.cfg.ConnectTimeout, a.failure)
}

// delay returns how long to wait after err, or the error to give up with.
func (c *client) delay(a *attempts, err error) (time.Duration, error) {
	delay := a.delays.Next()
	patient := a.connected || c.cfg.ConnectTimeout < 0
	switch v := judge(err); {
	case v == stop, v == stopConnecting && !a.connected, v == waitSlowly && !patient:
		return 0, err
	case v == waitSlowly:
		delay = c.cfg.Backoff.Max
	case v == renewFirst:
		c.tokens.Forget()
	}
	if a.failures > 0 && time.Since(c.tokens.Asked()) >= askAnew {
		c.tokens.Forget()
	}
	delay = max(delay, retryAfterOf(err), c.tokens.Blocked())
	if deadline, ok := a.connecting.Deadline(); ok && !patient && retryAfterOf(err) > max(0, time.Until(deadline)) {
		return 0, err
	}
	return delay, nil
}

// report tells the consumer and the log what has happened.
func (c *client) report(a *attempts, s *session, stood bool, delay time.Duration, err error) {
	log := c.cfg.Logger
	switch {
	case stood:
		code, reason := closeCode(err)
		log.Warn("the connection was lost", "error", err, "code", code, "lasted", s.lasted(), "retry_in", delay)
		c.emit(Close{Code: code, Reason: reason, Err: err, RetryIn: delay})
	case a.connected:
		log.Warn("reconnecting failed", "error", err, "attempt", a.failures, "retry_in", delay)
		c.emit(Error{Err: fmt.Errorf("reconnecting: %w (next attempt in %v)", err, delay.Round(time.Millisecond))})
	default:
		log.Warn("connecting failed", "error", err, "attempt", a.failures, "retry_in", delay)
		c.console.start(c.cfg.After) // nobody has the channel yet
		c.out.Discard()
	}
}

// open makes one connection, which is to be authenticated yet.
func (c *client) open(a *attempts) (*session, error) {
	tok, err := c.tokens.Get(a.connecting)
	if errors.Is(err, tokens.ErrBudget) {
		err = fmt.Errorf("%w: %w", ErrRateLimited, err)
	}
	if err != nil {
		return nil, redact(err, c.cfg.APIKey)
	}
	conn, err := c.dial(a.connecting, tok)
	if err != nil {
		// The server may just have moved: the panel is asked once more before a daemon that does not know it is believed.
		if errors.Is(err, ErrServerNotFound) && !a.notFound && (a.connected || time.Since(tok.Received) > dialTimeout) {
			a.notFound = true
			return nil, fmt.Errorf("%w (%s)", errElsewhere, err)
		}
		return nil, err
	}
	a.notFound = false
	sc := sessionConfig{
		owner: c, cfg: &c.cfg, tokens: &c.tokens, first: tok, count: &c.count, console: c.console, dial: c.dial,
		soft: c.soft, hard: c.hard,
	}
	if a.connected {
		sc.reconnects = int(c.count.reconnects.Load()) + 1
		sc.stands = func() bool {
			c.count.reconnects.Add(1)
			c.cfg.Logger.Info("connected", "socket", tok.Socket, "reconnects", c.count.reconnects.Load())
			return true
		}
	} else { // it has to stand before ConnectTimeout
		ctx, end := context.WithCancelCause(c.soft)
		keep := context.AfterFunc(a.connecting, func() { end(errAuthTimeout) })
		sc.soft = ctx
		sc.stands = func() bool {
			if !keep() {
				return false
			}
			a.connecting = c.soft // nothing has to hurry any more
			c.connects <- nil
			c.cfg.Logger.Info("connected", "socket", tok.Socket)
			return true
		}
	}
	return newSession(conn, sc), nil
}

// aside runs f in a goroutine of its own and waits for its end: what HTTP and TLS need of a stack is much, and the
// caller's lives as long as its connection.
func aside(f func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	wg.Wait()
}

// dial opens a websocket.
func (c *client) dial(ctx context.Context, tok *tokens.Token) (conn Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	header := http.Header{"Origin": {c.cfg.OriginHeader}, "User-Agent": {"pterosocket-go"}}
	aside(func() { conn, err = c.cfg.Dialer.Dial(ctx, tok.Socket, header) })
	if err == nil {
		return conn, nil
	}
	var refused *HandshakeError
	if errors.As(err, &refused) && refused.Hint == "" {
		refused.Hint = hint(refused, c.cfg.OriginHeader)
	}
	socket, _ := url.Parse(tok.Socket) // which the cache has checked
	return nil, redact(fmt.Errorf("opening the websocket at %s: %w", socket.Host, err), tok.Token, c.cfg.APIKey)
}

// closeCode returns what a Close event says of err.
func closeCode(err error) (code int, reason string) {
	var closed *CloseError
	switch {
	case err == nil:
		return closeNormal, ""
	case errors.As(err, &closed):
		return closed.Code, closed.Reason
	}
	return closeAbnormal, ""
}
