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

// write is the writer: the only goroutine that writes messages and pings.
//
// A daemon handles each message in a goroutine of its own, so two that arrive together are handled in either order. But
// it answers pings in the loop that starts these goroutines. So a ping follows each message, and the next waits for its
// pong and pace.Settle more.
func (s *session) write(ctx context.Context) error {
	var settled time.Time // when the next message may be sent
	keepAlive := time.Tick(s.cfg.PingInterval)
	stats := statsWatch{since: time.Now()}
	for ctx.Err() == nil {
		var due <-chan time.Time
		if r := s.queue.next(); r != nil {
			delay := s.pace.Delay(time.Now(), r.event, r.list() < others)
			if r.event != wire.Auth {
				delay = max(delay, time.Until(settled))
			}
			if delay <= 0 {
				var err error
				aside(func() {
					var sent bool
					if sent, err = s.writeOne(ctx, r); sent && r.event != wire.Auth {
						err = s.barrier(ctx)
						settled = time.Now().Add(pace.Settle)
					}
				})
				if err != nil {
					return err
				}
				continue
			}
			due = time.After(delay)
		}
		select {
		case <-due:
		case <-s.queue.wake:
		case <-keepAlive:
			var err error
			aside(func() {
				stats.look(s)
				_, err = s.ping(ctx)
			})
			if err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
	return nil // close settles what waits
}

// barrier waits until the daemon has answered a ping that was sent behind the last message.
func (s *session) barrier(ctx context.Context) error {
	for ctx.Err() == nil {
		if answered, err := s.ping(ctx); answered || err != nil {
			return err
		}
		_ = backoff.Sleep(ctx, pingPause)
	}
	return nil
}

// ping pings once, and reports whether it was answered. When neither the pong nor any frame comes in time, the peer is
// gone: errNoPong.
func (s *session) ping(ctx context.Context) (answered bool, err error) {
	timeout := pongTimeout
	if s.cfg.PingInterval > 0 {
		timeout = min(timeout, s.cfg.PingInterval)
	}
	start, frames := time.Now(), s.frames.Load()
	pong, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if s.conn.Ping(pong) == nil {
		s.count.pingRTT.Store(int64(time.Since(start)))
		return true, nil
	}
	if ctx.Err() == nil && pong.Err() != nil && s.frames.Load() == frames {
		return false, errNoPong
	}
	return false, nil // the reader tells how the connection ends, if it does; if not, the next ping is answered
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
