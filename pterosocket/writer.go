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

// writerState is what the writer alone uses.
type writerState struct {
	settled   time.Time          // when the next message may be sent
	pong      <-chan error       // gets the outcome of the ping under way; nil: there is none
	enough    context.CancelFunc // ends that ping
	unsettled bool               // a message was sent, and no pong of a later ping has come
	isEarlier bool               // the ping under way was sent before that message
}

// write is the writer: the only goroutine that writes messages and pings, apart from children that it waits for.
//
// A daemon handles each message in a goroutine of its own. So two messages that arrive together are handled in either
// order. But the daemon answers pings in the loop that starts these goroutines. So the writer sends a ping after each
// message. It sends the next message no earlier than pace.Settle after the pong. An auth or a kill waits for neither,
// since its order does not matter.
func (s *session) write(ctx context.Context) error {
	var w writerState
	s.watch.since = time.Now()
	defer w.end()
	tick := time.Tick(s.cfg.PingInterval)
	for {
		due, err := s.writeDue(ctx, &w)
		if err != nil || ctx.Err() != nil {
			return err // close settles the requests that wait
		}
		select {
		case <-due:
		case <-s.queue.wake:
		case <-tick:
			s.watch.look(s)
			if w.pong == nil {
				w.ping(ctx, s.keepAlive)
			}
		case err := <-w.pong:
			if err = s.onPong(ctx, &w, err); err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
}

// writeDue writes what may be written now. due gets a value when more may be written. It is nil if something else must
// happen first.
func (s *session) writeDue(ctx context.Context, w *writerState) (due <-chan time.Time, err error) {
	for ctx.Err() == nil {
		r := s.queue.next()
		if r == nil || r.list() == others && w.unsettled {
			break
		}
		delay := s.pace.Delay(time.Now(), r.event, r.list() < others)
		if r.list() == others {
			delay = max(delay, time.Until(w.settled))
		}
		if delay > 0 {
			return time.After(delay), nil
		}
		var sent bool
		if aside(func() { sent, err = s.writeOne(ctx, r) }); err != nil {
			return nil, err
		}
		if sent && r.event != wire.Auth {
			w.unsettled, w.isEarlier = true, w.pong != nil
		}
		if w.unsettled && w.pong == nil {
			w.ping(ctx, s.barrier)
		}
	}
	return nil, nil
}

// onPong deals with the end of a ping.
func (s *session) onPong(ctx context.Context, w *writerState, err error) error {
	w.pong = nil
	if w.enough(); err != nil {
		return err
	}
	switch {
	case w.unsettled && w.isEarlier:
		w.isEarlier = false
		w.ping(ctx, s.barrier)
	case w.unsettled:
		w.unsettled, w.settled = false, time.Now().Add(pace.Settle)
	}
	return nil
}

func (w *writerState) ping(ctx context.Context, f func(context.Context) error) {
	w.pong, w.enough = beside(ctx, f)
}

// end ends the ping under way, if there is one.
func (w *writerState) end() {
	if w.pong != nil {
		w.enough()
		<-w.pong
	}
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
