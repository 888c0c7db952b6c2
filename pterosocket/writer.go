package pterosocket

import (
	"context"
	"fmt"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/backoff"
	"github.com/pterosocket/pterosocket-go/internal/pace"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	// writeTimeout is how long a message may take to be written; it is long over when the daemon no longer reads.
	writeTimeout = 10 * time.Second
	// pongTimeout bounds the wait for a pong, beside Config.PingInterval.
	pongTimeout = 10 * time.Second
	// readerGrace is how long the reader has to tell how a connection ended on which writing has failed: with a close
	// frame, perhaps.
	readerGrace = 100 * time.Millisecond
	// pingPause is the time between two pings of which the first has failed at once.
	pingPause = 100 * time.Millisecond
	// statsOverdue is how long a server that is not offline may be without stats before they are asked for.
	statsOverdue = 5 * time.Second
)

// write is the writer: the only goroutine that writes messages and pings, or its children do while it waits for them.
//
// A daemon handles each message in a goroutine of its own, so two that arrive together are handled in either order. But
// it answers pings in the loop that starts these goroutines. So a ping follows each message, and the next waits for its
// pong and pace.Settle more. An auth or a kill, whose order does not matter, waits for neither.
func (s *session) write(ctx context.Context) (err error) {
	var (
		settled   time.Time    // when the next message may be sent
		pong      <-chan error // gets the outcome of the ping that is under way; nil: none is
		unsettled bool         // a message has been sent, and no pong of a ping behind it has come
		isEarlier bool         // the ping that is under way was sent before it
		tick      = time.Tick(s.cfg.PingInterval)
		stats     = statsWatch{since: time.Now()}
	)
	enough := func() {}
	defer func() {
		if enough(); pong != nil {
			<-pong
		}
	}()
	ping := func(f func(context.Context) error) {
		pong, enough = beside(ctx, f)
	}
	for ctx.Err() == nil {
		var due <-chan time.Time
		if r := s.queue.next(); r != nil && (r.list() < others || !unsettled) {
			delay := s.pace.Delay(time.Now(), r.event, r.list() < others)
			if r.list() == others {
				delay = max(delay, time.Until(settled))
			}
			if delay <= 0 {
				var sent bool
				if aside(func() { sent, err = s.writeOne(ctx, r) }); err != nil {
					return err
				}
				if sent && r.event != wire.Auth {
					unsettled, isEarlier = true, pong != nil
				}
				if unsettled && pong == nil {
					ping(s.barrier)
				}
				continue
			}
			due = time.After(delay)
		}
		select {
		case <-due:
		case <-s.queue.wake:
		case <-tick:
			stats.look(s)
			if pong == nil {
				ping(s.keepAlive)
			}
		case err := <-pong:
			pong = nil
			if enough(); err != nil {
				return err
			}
			switch {
			case unsettled && isEarlier:
				isEarlier = false
				ping(s.barrier)
			case unsettled:
				unsettled, settled = false, time.Now().Add(pace.Settle)
			}
		case <-ctx.Done():
		}
	}
	return nil // close settles what waits
}

// beside runs f in a goroutine of its own, until enough is called. outcome gets its error.
func beside(ctx context.Context, f func(context.Context) error) (outcome <-chan error, enough context.CancelFunc) {
	ctx, enough = context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return done, enough
}

// barrier waits until the daemon has answered a ping that was sent behind the last message. One that answers none in
// time takes no messages either, or not in order: errNoPong.
func (s *session) barrier(ctx context.Context) error {
	for end := time.Now().Add(pongTimeout); ctx.Err() == nil; {
		if s.ping(ctx) {
			return nil
		}
		if !time.Now().Before(end) {
			return errNoPong
		}
		_ = backoff.Sleep(ctx, pingPause) // it has failed at once; the reader tells why, if the connection ends
	}
	return nil
}

// keepAlive pings once. When neither the pong nor any frame comes in time, the peer is gone: errNoPong.
func (s *session) keepAlive(ctx context.Context) error {
	frames, start := s.frames.Load(), time.Now()
	if !s.ping(ctx) && ctx.Err() == nil && s.frames.Load() == frames && time.Since(start) >= s.pongTimeout() {
		return errNoPong
	}
	return nil
}

// pongTimeout is how long a pong is waited for.
func (s *session) pongTimeout() time.Duration {
	if s.cfg.PingInterval > 0 {
		return min(pongTimeout, s.cfg.PingInterval)
	}
	return pongTimeout
}

// ping pings once, and reports whether it was answered in time.
func (s *session) ping(ctx context.Context) bool {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.pongTimeout())
	defer cancel()
	if s.conn.Ping(ctx) != nil {
		return false
	}
	s.count.pingRTT.Store(int64(time.Since(start)))
	return true
}

// A statsWatch asks for stats when a server that is not offline sends none: both frames may have been lost that told
// that it is.
type statsWatch struct {
	seen  uint64
	since time.Time // when the last of them had come
}

func (w *statsWatch) look(s *session) {
	now := time.Now()
	if n := s.stats.Load(); n != w.seen {
		w.seen, w.since = n, now
	} else if now.Sub(w.since) > statsOverdue && s.isAuthenticated() && !s.owner.offline() {
		w.since = now
		s.requestStats()
	}
}

// writeOne writes r, unless that must not be sent any more, and settles it.
func (s *session) writeOne(ctx context.Context, r *request) (sent bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if ctx.Err() != nil || !r.claim() {
		return false, nil
	}
	if r.event != wire.Auth && !s.isAuthenticated() {
		r.settle(ErrNotConnected)
		return false, nil
	}
	if err := r.before(); err != nil {
		r.settle(err)
		return false, nil
	}
	s.pace.Spend(time.Now(), r.event)
	// On a graceful close a write in progress is completed.
	bounded, cancel := context.WithTimeout(s.hard, writeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if context.Cause(ctx) != errClosing { // the value itself
			cancel()
		}
	})()
	if err := s.conn.Write(bounded, r.frame); err != nil {
		r.settle(ErrUncertain)
		if backoff.Sleep(ctx, readerGrace) != nil { // the reader knows better why
			return false, nil
		}
		return false, fmt.Errorf("writing to the daemon: %w", err)
	}
	if r.counted {
		s.count.commandsSent.Add(1)
	}
	r.settle(nil)
	return true, nil
}
