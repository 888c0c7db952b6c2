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
	// writeTimeout is how long writing a message may take. Only a daemon that no longer reads makes it take that long.
	writeTimeout = 10 * time.Second
	// pongTimeout limits the wait for a pong, together with Config.PingInterval.
	pongTimeout = 10 * time.Second
	// readerGrace is how long after a failed write the reader may take to tell how the connection ended, perhaps with a
	// close frame.
	readerGrace = 100 * time.Millisecond
	// pingPause is the time before the next ping if a ping has failed at once.
	pingPause = 100 * time.Millisecond
	// statsOverdue is how long a server that is not offline may send no stats. Then the writer asks for them.
	statsOverdue = 5 * time.Second
)

// write is the writer: the only goroutine that writes messages and pings, apart from children that it waits for.
//
// A daemon handles each message in a goroutine of its own. So two messages that arrive together are handled in either
// order. But the daemon answers pings in the loop that starts these goroutines. So the writer sends a ping after each
// message. It sends the next message no earlier than pace.Settle after the pong. An auth or a kill waits for neither,
// since its order does not matter.
func (s *session) write(ctx context.Context) (err error) {
	var (
		settled   time.Time    // when the next message may be sent
		pong      <-chan error // gets the outcome of the ping under way; nil: there is none
		unsettled bool         // a message was sent, and no pong of a later ping has come
		isEarlier bool         // the ping under way was sent before that message
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
	return nil // close settles the requests that wait
}

// beside runs f in a goroutine of its own. enough ends f's context. outcome gets f's error.
func beside(ctx context.Context, f func(context.Context) error) (outcome <-chan error, enough context.CancelFunc) {
	ctx, enough = context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return done, enough
}

// barrier waits until the daemon has answered a ping that was sent after the last message. If no answer comes in time,
// the daemon takes no messages either, or not in order. barrier then returns errNoPong.
func (s *session) barrier(ctx context.Context) error {
	for end := time.Now().Add(pongTimeout); ctx.Err() == nil; {
		if s.ping(ctx) {
			return nil
		}
		if !time.Now().Before(end) {
			return errNoPong
		}
		_ = backoff.Sleep(ctx, pingPause) // the ping failed at once; if the connection ends, the reader tells why
	}
	return nil
}

// keepAlive pings once. If neither the pong nor any frame comes in time, the peer is gone and keepAlive returns
// errNoPong.
func (s *session) keepAlive(ctx context.Context) error {
	frames, start := s.frames.Load(), time.Now()
	if !s.ping(ctx) && ctx.Err() == nil && s.frames.Load() == frames && time.Since(start) >= s.pongTimeout() {
		return errNoPong
	}
	return nil
}

// pongTimeout is how long to wait for a pong.
func (s *session) pongTimeout() time.Duration {
	if s.cfg.PingInterval > 0 {
		return min(pongTimeout, s.cfg.PingInterval)
	}
	return pongTimeout
}

// ping pings once, and reports whether the pong came in time.
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

// A statsWatch asks for stats if a server that is not offline sends none. Perhaps it is offline, and the status and the
// stats that said so were both lost.
type statsWatch struct {
	seen  uint64
	since time.Time // when the last stats came or were asked for
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

// writeOne writes r, unless it must not be sent any more, and settles it.
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
		if context.Cause(ctx) != errClosing { // not wrapped
			cancel()
		}
	})()
	if err := s.conn.Write(bounded, r.frame); err != nil {
		r.settle(ErrUncertain)
		if backoff.Sleep(ctx, readerGrace) != nil { // the reader knows the reason better
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
