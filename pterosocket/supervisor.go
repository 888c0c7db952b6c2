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
	"github.com/pterosocket/pterosocket-go/internal/breaker"
	"github.com/pterosocket/pterosocket-go/internal/delivery"
	"github.com/pterosocket/pterosocket-go/internal/tokens"
)

const (
	// herdSteps widens the first window after a loss to Min * 2^herdSteps. A daemon that drops all of its clients may
	// be up again at once. Half a second is too short for all of them to come back in.
	herdSteps = 3
	// askAnew is how often the panel is asked again despite a good token while no connection can be made. The URL may
	// have changed.
	askAnew = 5 * time.Minute
)

// attempts is what the supervisor keeps from one connection to the next.
type attempts struct {
	connected  bool // there has been an established connection
	failures   int  // in a row
	notFound   bool // the last daemon asked did not know the server
	delays     backoff.Backoff
	failure    error           // the first one, or the last one that says more than that time is up
	probed     bool            // the last failure was that of a try on behalf of all; see way
	host       string          // of the last token's socket
	connecting context.Context // ends an attempt: soft, or ConnectTimeout until the first connection is established
	cancel     context.CancelFunc
}

func newClient(ctx context.Context, cfg Config, out sink) *client {
	c := &client{
		out:      out,
		connects: make(chan error, 1),
		done:     make(chan struct{}),
		changed:  make(chan struct{}),
		running:  make(chan struct{}, 1),
	}
	c.hard, c.cutShort = context.WithCancelCause(ctx)
	c.soft, c.shut = context.WithCancelCause(c.hard)
	c.configure(cfg)
	return c
}

// configure sets up the client. It is called before anything else of the client is at work.
func (c *client) configure(cfg Config) {
	c.cfg = cfg
	c.patience = delivery.Patience{Idle: cfg.DrainTimeout}
	c.logging = &busyHandler{Handler: cfg.Logger.Handler(), calls: new(sync.Map)}
	c.cfg.Logger = slog.New(c.logging)
	c.tokens = tokens.Cache{
		Ask:        c.credentials,
		RetryAfter: retryAfterOf,
		Log:        c.cfg.Logger,
	}
	if c.member != nil {
		c.tokens.Turn = func(ctx context.Context) error { return c.member.turn(ctx, c) }
	}
	c.keepToken(cfg.Token)
	c.console = newConsole(c, &c.count, cfg.QueueSize, cfg.After)
}

// supervise owns every other goroutine. It connects until the first connection is established, which Connect waits for.
// Then it makes a new connection whenever one is lost, until the end. It reports the end and closes done. supervise
// returns once a connection has been opened: the goroutine that closes that connection goes on with this work.
func (c *client) supervise() {
	least, most, timeout := c.cfg.Backoff.Min, c.cfg.Backoff.Max, c.cfg.ConnectTimeout
	a := &attempts{delays: backoff.Backoff{Min: least, Max: most}, connecting: c.soft, cancel: func() {}}
	if timeout > 0 { // Connect waits: leave room for several attempts in that time
		a.delays.Max = max(least, min(most, timeout/6))
		a.connecting, a.cancel = context.WithTimeout(c.soft, timeout)
	}
	c.attempt(a)
}

// attempt tries to connect until a connection has been opened or the client ends.
func (c *client) attempt(a *attempts) {
	for goOn := true; goOn; {
		s, err := c.open(a)
		if err == nil {
			s.start(func(err error) {
				if c.survives(a, s, err) {
					c.attempt(a)
				}
			})
			return
		}
		goOn = c.survives(a, nil, err)
	}
}

// survives deals with the end of a connection or of an attempt. It reports whether it is time for the next attempt.
func (c *client) survives(a *attempts, s *session, err error) bool {
	err = c.next(a, s, err)
	if err != nil {
		c.conclude(a, err)
	}
	return err == nil
}

// abandon ends a client that has not begun.
func (c *client) abandon(err error) {
	c.err = err
	c.cutShort(err)
	close(c.done)
}

// conclude ends the client for good.
func (c *client) conclude(a *attempts, err error) {
	if err == errClosing { // not wrapped: Commands.Close was called
		err = nil
	}
	defer close(c.done)
	defer c.cutShort(nil)
	a.cancel()
	c.shut(nil) // nothing more is sent
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

// next decides what follows from the end of a connection or of an attempt, and waits until it is time for the next
// attempt. s may be nil after an attempt. If there is to be no next attempt, next returns why.
func (c *client) next(a *attempts, s *session, err error) error {
	a.failures++
	c.disconnected()
	// The consumer knows of a connection whose token was accepted, even if it was lost in that moment.
	stood := s != nil && (s.look().stood || s.reader.isUp && (a.connected || c.member != nil))
	if stood {
		// Delays become short again only after a connection has lasted. Accepting and dropping must not cause a loop.
		if !a.connected || s.lasted() >= c.cfg.Backoff.Max {
			a.delays.Reset()
			a.probed = c.member != nil // the breaker keeps the herd from coming back at once
		}
		a.delays.Skip(herdSteps)
		a.delays.Max = c.cfg.Backoff.Max
		a.failures, a.connected = 0, true
	}
	if c.soft.Err() != nil {
		return context.Cause(c.soft)
	}
	if !stood {
		c.count.failedAttempts.Add(1)
	}
	if a.failure == nil || a.connecting.Err() == nil && !errors.Is(err, tokens.ErrBudget) {
		a.failure = err
	}
	delay, err := c.delay(a, err)
	if err != nil {
		return err
	}
	if err := a.failure; !errors.Is(err, errProbed) {
		c.report(a, s, stood, delay, err)
	}
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
	case v == stop, v == stopConnecting && !a.connected && c.member == nil, v == waitSlowly && !patient:
		return 0, err
	case v == waitSlowly:
		delay = c.cfg.Backoff.Max
	case v == renewFirst:
		c.tokens.Forget()
	}
	if a.probed { // the breaker says when to try again
		delay = 0
		a.probed = false
	}
	if c.member == nil && a.failures > 0 && time.Since(c.tokens.Asked()) >= askAnew {
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
	c.mu.Lock()
	c.failure, c.retryAt = err, time.Now().Add(delay)
	c.mu.Unlock()
	log := c.cfg.Logger
	switch {
	case stood:
		code, reason := closeCode(err)
		log.Warn("the connection was lost", "error", err, "code", code, "lasted", s.lasted(), "retry_in", delay)
		c.emit(Close{Code: code, Reason: reason, Err: err, RetryIn: delay})
	case a.connected:
		log.Warn("reconnecting failed", "error", err, "attempt", a.failures, "retry_in", delay)
		c.emit(Error{Err: fmt.Errorf("reconnecting: %w (next attempt in %v)", err, delay.Round(time.Millisecond))})
	case c.member != nil:
		log.Warn("connecting failed", "error", err, "attempt", a.failures, "retry_in", delay)
		c.emit(Error{Err: fmt.Errorf("connecting: %w (next attempt in %v)", err, delay.Round(time.Millisecond))})
	default:
		log.Warn("connecting failed", "error", err, "attempt", a.failures, "retry_in", delay)
		c.console.start(c.cfg.After) // nobody has the channel yet
		c.out.Discard()
	}
}

// open makes one connection, which is not authenticated yet.
func (c *client) open(a *attempts) (*session, error) {
	tok, try, err := c.way(a)
	defer try.Done()
	if err != nil {
		return nil, err
	}
	if err := try.Begin(a.connecting); err != nil {
		return nil, err
	}
	a.probed = try.IsProbe()
	conn, err := c.dial(a.connecting, tok)
	if a.connecting.Err() == nil {
		try.Answered(isAnswered(err))
	}
	if err == nil && a.probed && !time.Now().Before(tok.Expires) { // the daemon is up, and that was the question
		ended, cancel := context.WithCancel(a.connecting)
		cancel() // nobody reads, so do not wait for a close handshake
		_ = conn.Close(ended, closeNormal, "")
		return nil, errProbed
	}
	if err != nil {
		// The server may just have moved. Ask the panel once more before believing a daemon that does not know the
		// server.
		if errors.Is(err, ErrServerNotFound) && !a.notFound && (a.connected || time.Since(tok.Received) > dialTimeout) {
			a.notFound = true
			return nil, fmt.Errorf("%w (%s)", errElsewhere, err)
		}
		return nil, err
	}
	a.notFound = false
	sc := sessionConfig{
		owner: c, cfg: &c.cfg, tokens: &c.tokens, first: tok, count: &c.count, console: c.console,
		soft: c.soft, hard: c.hard, connecting: a.connecting,
		dial: func(ctx context.Context, tok *tokens.Token) (Conn, error) {
			c.member.count(hostOf(tok.Socket))
			return c.dial(ctx, tok)
		},
	}
	if a.connected {
		sc.reconnects = int(c.count.reconnects.Load()) + 1
		sc.stands = func() {
			c.count.reconnects.Add(1)
			c.member.announce()
			c.cfg.Logger.Info("connected", "socket", tok.Socket, "reconnects", c.count.reconnects.Load())
		}
	} else { // it must be established before ConnectTimeout
		sc.stands = func() {
			a.cancel()
			a.connecting = c.soft // from now on there is no deadline
			c.connects <- nil
			c.member.announce()
			c.cfg.Logger.Info("connected", "socket", tok.Socket)
		}
	}
	return newSession(conn, sc), nil
}

// way returns the token to connect with, and the breaker's permission (a Try) to use it. A client that tries a daemon
// on behalf of all, because the daemon is down, needs no good token. It seldom asks the panel, in case the server is
// elsewhere now. Nobody waits for it meanwhile.
func (c *client) way(a *attempts) (*tokens.Token, *breaker.Try, error) {
	try, err := c.member.reach(a.connecting, a.host)
	if err != nil {
		return nil, nil, err
	}
	if tok := c.tokens.Last(); try.IsProbe() && (c.member.isHeld() || !try.MayAsk(askAnew)) {
		return tok, try, nil
	}
	if try.IsProbe() {
		c.tokens.Forget()
		try.Done()
		try = nil
	}
	tok, err := c.tokens.Get(a.connecting)
	if errors.Is(err, tokens.ErrBudget) {
		err = fmt.Errorf("%w: %w", ErrRateLimited, err)
	}
	if err != nil {
		return nil, try, redact(err, c.cfg.APIKey)
	}
	if host := hostOf(tok.Socket); host != a.host || try == nil {
		a.host = host
		try.Done()
		try, err = c.member.reach(a.connecting, host)
	}
	return tok, try, err
}

func hostOf(socket string) string {
	u, err := url.Parse(socket)
	if err != nil {
		return socket
	}
	return u.Host
}

// isAnswered reports whether the daemon answered a handshake that ended with err, and not a proxy before the daemon.
func isAnswered(err error) bool {
	var refused *HandshakeError
	if errors.As(err, &refused) {
		return refused.StatusCode < 500
	}
	return err == nil
}

// aside runs f in a goroutine of its own and waits for its end. A stack that has grown stays large, and TLS, HTTP and
// logs need much of it. So goroutines that live as long as their connection, and mostly wait, do such things aside.
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
	conn, err = c.cfg.Dialer.Dial(ctx, tok.Socket, header)
	if err == nil {
		return conn, nil
	}
	var refused *HandshakeError
	if errors.As(err, &refused) && refused.Hint == "" {
		refused.Hint = hint(refused, c.cfg.OriginHeader)
	}
	socket, _ := url.Parse(tok.Socket) // checkSocket has checked it
	return nil, redact(fmt.Errorf("opening the websocket at %s: %w", socket.Host, err), tok.Token, c.cfg.APIKey)
}

// closeCode returns the code and reason of a Close event with err.
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
