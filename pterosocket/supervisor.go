package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/backoff"
)

const (
	// herdSteps widens the first window after a loss to Min * 2^herdSteps: a daemon that drops all of its clients at once may be
	// up again at once, and half a second is too little for all of them to come back in.
	herdSteps = 3
	// askAnew is after how many failed attempts in a row the panel is asked for the URL again, which may have changed.
	askAnew = 3
)

// attempts is what the supervisor keeps from one connection to the next.
type attempts struct {
	connected   bool // there has been a connection that stood
	failures    int  // in a row
	delays      backoff.Backoff
	firstDelays backoff.Backoff // until the first connection stands
	failure     error           // the first one, or the last that says more than that time is up

	connecting context.Context // ends an attempt: soft, but ConnectTimeout until the first connection stands
	cancel     context.CancelFunc
}

// supervise owns every other goroutine. It connects until the first connection stands, which Connect waits for, then keeps the connection
// and makes it anew whenever it is lost, until the end, and reports that.
//
// While a connection lives, its reader runs in this goroutine, so little of its stack should be in use here.
func (c *client) supervise() {
	defer close(c.done)
	a := c.newAttempts()
	for {
		s, err := c.open(a)
		if err == nil {
			err = s.run()
		}
		if again, err := c.next(a, s, err); !again {
			c.conclude(a, err)
			return
		}
	}
}

func (c *client) newAttempts() *attempts {
	a := &attempts{
		delays: backoff.Backoff{Min: c.cfg.Backoff.Min, Max: c.cfg.Backoff.Max},
		// The first connection is waited for: several attempts should have room in ConnectTimeout.
		firstDelays: backoff.Backoff{Min: c.cfg.Backoff.Min, Max: max(c.cfg.Backoff.Min, min(c.cfg.Backoff.Max, c.cfg.ConnectTimeout/6))},
	}
	a.connecting, a.cancel = context.WithTimeout(c.soft, c.cfg.ConnectTimeout)
	return a
}

// conclude ends it all: nil for Commands.Close.
func (c *client) conclude(a *attempts, err error) {
	defer c.cutShort(nil)
	a.cancel()
	c.closing(nil) // nothing is sent any more
	c.disconnected()
	if !a.connected {
		c.out.clear()
		defer func() { c.first <- err }()
	}
	c.err = err
	last := Close{Code: closeNormal, Err: err, Final: true}
	if err != nil {
		last.Code, last.Reason = closeCode(err)
	}
	c.out.finish(c.hard, last)
	c.cfg.Logger.Info("the connection has ended for good", "error", err)
}

// next decides what follows from the end of a connection, or of an attempt to make one (then s may be nil), and waits until it is time for the
// next attempt. When there is to be none, it returns why: nil for Commands.Close.
func (c *client) next(a *attempts, s *session, err error) (again bool, _ error) {
	log := c.cfg.Logger
	a.failures++
	stood := s != nil && s.stood.Load()
	if stood {
		a.failures = 0
		a.connected = true
		c.disconnected()
		// Only a connection that has proved stable wins back the short delays: accepting and dropping must not become a loop.
		if time.Since(s.since) >= c.cfg.Backoff.Max {
			a.delays.Reset()
		}
		if a.delays.Fresh() {
			a.delays.Skip(herdSteps)
		}
	} else {
		c.count.failedAttempts.Add(1)
	}
	if c.soft.Err() != nil {
		return false, c.cause()
	}
	if a.failure == nil || a.connecting.Err() == nil && !errors.Is(err, errBudget) {
		a.failure = err
	}

	delays := &a.firstDelays
	if a.connected {
		delays = &a.delays
	}
	delay := delays.Next()
	switch judge(err) {
	case stop:
		return false, err
	case waitSlowly:
		if !a.connected {
			return false, err
		}
		delay = c.cfg.Backoff.Max
	case renewFirst:
		c.tokens.forget()
	}
	if a.failures > 0 && a.failures%askAnew == 0 {
		c.tokens.forget()
	}
	delay = max(delay, retryAfterOf(err), c.tokens.blocked())
	switch {
	case stood:
		code, reason := closeCode(err)
		log.Warn("the connection was lost", "error", err, "code", code, "lasted", time.Since(s.since), "retry_in", delay)
		c.emit(Close{Code: code, Reason: reason, Err: err, RetryIn: delay})
	case a.connected:
		log.Warn("reconnecting failed", "error", err, "attempt", a.failures, "retry_in", delay)
		c.emit(Error{Err: fmt.Errorf("reconnecting: %w (next attempt in %v)", err, delay.Round(time.Millisecond))})
	default:
		log.Warn("connecting failed", "error", err, "attempt", a.failures, "retry_in", delay)
		c.lines.forget() // nobody has the channel yet
		c.out.clear()
	}
	if deadline, ok := a.connecting.Deadline(); ok && !a.connected && retryAfterOf(err) > time.Until(deadline) {
		return false, err
	}
	if sleep(a.connecting, delay) != nil {
		if c.soft.Err() != nil {
			return false, c.cause()
		}
		return false, fmt.Errorf("no connection within %v: %w", c.cfg.ConnectTimeout, a.failure)
	}
	return true, nil
}

// cause returns why soft has ended: nil for Commands.Close, the cause of the caller's context otherwise.
func (c *client) cause() error {
	if cause := context.Cause(c.soft); cause != errClosing { // the value itself
		return cause
	}
	return nil
}

// open makes one connection, which is to be authenticated yet.
func (c *client) open(a *attempts) (s *session, err error) {
	// In a goroutine of its own, since what HTTP and TLS need of a stack is much, and this one's is kept as long as the connection.
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		s, err = c.openHere(a)
	}()
	<-opened
	return s, err
}

// firstStands returns what the first session tells when it stands: that Connect may return. Until then it has to end with a.connecting.
func (c *client) firstStands(a *attempts, s *session) func() bool {
	keep, socket := context.AfterFunc(a.connecting, func() { s.end(errAuthTimeout) }), s.token.Socket
	return func() bool {
		if !keep() {
			return false
		}
		a.cancel() // nothing has to hurry any more
		a.connecting, a.cancel = c.soft, func() {}
		c.first <- nil
		c.first = nil
		c.cfg.Logger.Info("connected", "socket", socket)
		return true
	}
}

func (c *client) openHere(a *attempts) (*session, error) {
	tok, err := c.tokens.get(a.connecting)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(a.connecting, tok)
	if err != nil {
		// The server may just have moved: the panel is asked once more before a daemon that does not know it is believed.
		if errors.Is(err, ErrServerNotFound) && !c.notFound && (a.connected || time.Since(tok.received) > dialTimeout) {
			c.notFound = true
			return nil, fmt.Errorf("%w: %w", errTransferred, errors.New(err.Error()))
		}
		return nil, err
	}
	c.notFound = false
	sc := sessionConfig{owner: c, cfg: &c.cfg, tokens: &c.tokens, token: tok, count: &c.count, recovery: c.lines}
	if a.connected {
		sc.reconnects = int(c.count.reconnects.Load()) + 1
		sc.stands = func() bool {
			c.count.reconnects.Add(1)
			c.cfg.Logger.Info("connected", "socket", tok.Socket, "reconnects", c.count.reconnects.Load())
			return true
		}
	}
	s := newSession(c.soft, c.hard, conn, sc)
	if !a.connected {
		s.stands = c.firstStands(a, s)
	}
	return s, nil
}

// dial opens the websocket.
func (c *client) dial(ctx context.Context, tok *token) (Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	header := http.Header{"Origin": {c.cfg.OriginHeader}, "User-Agent": {"pterosocket-go"}}
	conn, err := c.cfg.Dialer.Dial(ctx, tok.Socket, header)
	if err == nil {
		return conn, nil
	}
	var refused *HandshakeError
	if errors.As(err, &refused) && refused.Hint == "" {
		refused.Hint = hint(refused, c.cfg.OriginHeader)
	}
	host := tok.Socket
	if u, parseErr := url.Parse(tok.Socket); parseErr == nil {
		host = u.Host
	}
	return nil, redact(fmt.Errorf("opening the websocket at %s: %w", host, err), tok.Token, c.cfg.APIKey)
}

// closeCode returns what a Close event says of err.
func closeCode(err error) (code int, reason string) {
	var closed *CloseError
	if errors.As(err, &closed) {
		return closed.Code, closed.Reason
	}
	return closeAbnormal, ""
}

func retryAfterOf(err error) time.Duration {
	var refused *PanelError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusTooManyRequests {
		return refused.RetryAfter
	}
	return 0
}
