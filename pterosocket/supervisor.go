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

// supervise owns every other goroutine. It makes one connection after the other until the end, and reports that.
func (c *client) supervise() {
	defer close(c.done)
	defer c.cutShort(nil)
	connected, err := c.run()
	c.closing(nil) // nothing is sent any more
	c.disconnected()
	if !connected {
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

// run connects until the first connection stands, which Connect waits for, then keeps the connection, and makes it anew whenever
// it is lost. It returns whether there was one, and why it ended: nil for Commands.Close.
func (c *client) run() (connected bool, _ error) {
	log := c.cfg.Logger
	delays := backoff.Backoff{Min: c.cfg.Backoff.Min, Max: c.cfg.Backoff.Max}
	// The first connection is waited for: several attempts should have room in ConnectTimeout.
	firstDelays := backoff.Backoff{Min: c.cfg.Backoff.Min, Max: max(c.cfg.Backoff.Min, min(c.cfg.Backoff.Max, c.cfg.ConnectTimeout/6))}
	connecting, cancel := context.WithTimeout(c.soft, c.cfg.ConnectTimeout)
	defer cancel()
	var failure error // the last one that says more than that time is up
	for failures := 1; ; failures++ {
		s, err := c.open(connecting, connected)
		stood := err == nil
		if stood {
			failures = 0
			if connected {
				c.count.reconnects.Add(1)
			} else {
				connected, connecting = true, c.soft
				c.first <- nil
			}
			log.Info("connected", "socket", s.socket, "reconnects", c.count.reconnects.Load())
			err = s.wait()
			c.disconnected()
			// Only a connection that has proved stable wins back the short delays: accepting and dropping must not become a loop.
			if time.Since(s.since) >= c.cfg.Backoff.Max {
				delays.Reset()
			}
			if connected && delays.Fresh() {
				delays.Skip(herdSteps)
			}
		} else {
			c.count.failedAttempts.Add(1)
		}
		if c.soft.Err() != nil {
			return connected, c.cause()
		}
		if failure == nil || connecting.Err() == nil && !errors.Is(err, errBudget) {
			failure = err
		}

		delay := firstDelays.Next()
		if connected {
			delay = delays.Next()
		}
		switch judge(err) {
		case stop:
			return connected, err
		case waitSlowly:
			if !connected {
				return connected, err
			}
			delay = c.cfg.Backoff.Max
		case renewFirst:
			c.tokens.forget()
		}
		if failures > 0 && failures%askAnew == 0 {
			c.tokens.forget()
		}
		delay = max(delay, retryAfterOf(err), c.tokens.blocked())
		switch {
		case stood:
			code, reason := closeCode(err)
			log.Warn("the connection was lost", "error", err, "code", code, "lasted", time.Since(s.since), "retry_in", delay)
			c.emit(Close{Code: code, Reason: reason, Err: err, RetryIn: delay})
		case connected:
			log.Warn("reconnecting failed", "error", err, "attempt", failures, "retry_in", delay)
			c.emit(Error{Err: fmt.Errorf("reconnecting: %w (next attempt in %v)", err, delay.Round(time.Millisecond))})
		default:
			log.Warn("connecting failed", "error", err, "attempt", failures, "retry_in", delay)
			c.lines.forget() // nobody has the channel yet
			c.out.clear()
		}
		if deadline, ok := connecting.Deadline(); ok && !connected && retryAfterOf(err) > time.Until(deadline) {
			return connected, err
		}
		if sleep(connecting, delay) != nil {
			if c.soft.Err() != nil {
				return connected, c.cause()
			}
			return connected, fmt.Errorf("no connection within %v: %w", c.cfg.ConnectTimeout, failure)
		}
	}
}

// cause returns why soft has ended: nil for Commands.Close, the cause of the caller's context otherwise.
func (c *client) cause() error {
	if cause := context.Cause(c.soft); cause != errClosing { // the value itself
		return cause
	}
	return nil
}

// open makes one connection and returns it authenticated. With again it does not wait for the first status.
func (c *client) open(ctx context.Context, again bool) (*session, error) {
	tok, err := c.tokens.get(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(ctx, tok)
	if err != nil {
		// The server may just have moved: the panel is asked once more before a daemon that does not know it is believed.
		if errors.Is(err, ErrServerNotFound) && !c.notFound && (again || time.Since(tok.received) > dialTimeout) {
			c.notFound = true
			return nil, fmt.Errorf("%w: %w", errTransferred, errors.New(err.Error()))
		}
		return nil, err
	}
	c.notFound = false
	reconnects := 0
	if again {
		reconnects = int(c.count.reconnects.Load()) + 1
	}
	s := openSession(c.soft, c.hard, conn, sessionConfig{
		cfg:      &c.cfg,
		tokens:   &c.tokens,
		token:    tok,
		count:    &c.count,
		emit:     c.emit,
		answered: c.out.push,
		offline:  c.offline,
		start:    func() Event { return Start{Socket: tok.Socket, Reconnects: reconnects} },
		again:    again,
		recovery: c.lines,
		auth:     c.authenticated,
		deauth:   c.deauthenticated,
	})
	select {
	case <-s.up:
	case <-s.ctx.Done():
		if again && s.wasUp() { // up and gone: it has been a connection
			return s, nil
		}
		return nil, s.wait()
	case <-ctx.Done():
		return nil, s.abort()
	}
	if again {
		return s, nil
	}
	grace := time.NewTimer(statusGrace)
	defer grace.Stop()
	select {
	case <-s.status:
	case <-grace.C:
	case <-s.ctx.Done():
		return nil, s.wait()
	case <-ctx.Done():
		return nil, s.abort()
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
