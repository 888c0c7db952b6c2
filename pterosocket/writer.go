package pterosocket

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	// writeTimeout is how long a message may take to be written; it is long over when the daemon no longer reads.
	writeTimeout = 10 * time.Second
	// closeTimeout is how long a close handshake may take.
	closeTimeout = time.Second
)

// A request is a message on its way to the writer, and its outcome on the way back.
type request struct {
	event   string
	frame   []byte
	before  func() error // called just before it is written, which its error prevents; nil: nothing
	counted bool         // a message of the user's, not the library's own
	outcome chan error   // gets one value and is closed; room for one

	mu      sync.Mutex
	state   requestState
	release func() bool // called with the outcome; nil: nothing
}

type requestState int

const (
	waiting requestState = iota // may still be withdrawn
	writing
	settled // the outcome has been sent
)

func newRequest(event string, frame []byte) *request {
	return &request{event: event, frame: frame, outcome: make(chan error, 1)}
}

// claim is the writer's, before it writes. It reports false when the request has been withdrawn.
func (r *request) claim() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != waiting {
		return false
	}
	r.state = writing
	return true
}

// settle sends the outcome, unless there is one already.
func (r *request) settle(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != settled {
		r.finish(err)
	}
}

func (r *request) finish(err error) {
	r.state = settled
	r.outcome <- err
	close(r.outcome)
	if r.release != nil {
		r.release()
	}
}

// withdraw settles a request whose caller no longer waits: as not sent, or, when it is just being written, as uncertain.
func (r *request) withdraw(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.state {
	case waiting:
		r.finish(fmt.Errorf("%w: %w", ErrNotSent, cause))
	case writing:
		r.finish(fmt.Errorf("%w: %w", ErrUncertain, cause))
	}
}

// withdrawWith lets the request be withdrawn when ctx ends.
func (r *request) withdrawWith(ctx context.Context, q *sendQueue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release = context.AfterFunc(ctx, func() {
		r.withdraw(context.Cause(ctx))
		q.signal() // those behind it may be due earlier
	})
}

func (r *request) pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == waiting
}

// A sendQueue holds what waits to be written: commands in the order of the calls, and an auth that goes before all of them.
type sendQueue struct {
	start func() // starts the writer

	mu       sync.Mutex
	auth     *request
	commands []*request
	closed   error         // what new requests fail with; nil: open
	wake     chan struct{} // tells the writer to look again; room for one; nil: there is no writer
}

// add queues r, or settles it at once when the queue has been closed.
func (q *sendQueue) add(r *request) {
	q.mu.Lock()
	closed := q.closed
	switch {
	case closed != nil:
	case r.event == wire.Auth:
		q.auth = r
	default:
		q.commands = append(q.commands, r)
	}
	idle := q.wake == nil
	if closed == nil && idle {
		q.wake = make(chan struct{}, 1)
	}
	q.mu.Unlock()
	switch {
	case closed != nil:
		r.settle(closed)
	case idle:
		q.start()
	default:
		q.signal()
	}
}

// signal wakes the writer, if there is one.
func (q *sendQueue) signal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next returns what is to be written next, without removing it, and what the writer may be woken by. If there is nothing, the writer has
// to end, and the next add starts another.
func (q *sendQueue) next() (*request, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.auth != nil && q.auth.pending() {
		return q.auth, q.wake
	}
	q.auth = nil
	for i, r := range q.commands {
		if r.pending() {
			q.commands = slices.Delete(q.commands, 0, i)
			return r, q.wake
		}
	}
	q.commands, q.wake = nil, nil
	return nil, nil
}

// fail settles all commands that wait. With closed, all that come later fail with it too.
func (q *sendQueue) fail(err, closed error) {
	q.mu.Lock()
	commands := q.commands
	if closed != nil {
		if q.auth != nil {
			commands = append(commands, q.auth)
		}
		q.closed, q.auth = closed, nil
	}
	q.commands = nil
	q.mu.Unlock()
	for _, r := range commands {
		if r.claim() {
			r.settle(err)
		}
	}
}

// write is the writer: the only goroutine that writes messages, until there is none.
func (s *session) write() error {
	for s.ctx.Err() == nil {
		r, wake := s.queue.next()
		if r == nil {
			return nil
		}
		if delay := s.pace.delay(time.Now(), r.event); delay > 0 {
			timer := time.NewTimer(delay)
			select {
			case <-timer.C:
			case <-wake:
			case <-s.ctx.Done():
			}
			timer.Stop()
			continue
		}
		if err := s.writeOne(r); err != nil {
			return err
		}
	}
	return nil // shut settles what waits
}

func (s *session) writeOne(r *request) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.ctx.Err() != nil || !r.claim() {
		return nil
	}
	if r.event != wire.Auth && !s.isAuthenticated() {
		r.settle(ErrNotConnected)
		return nil
	}
	if r.before != nil {
		if err := r.before(); err != nil {
			r.settle(err)
			return nil
		}
	}
	s.pace.spend(time.Now(), r.event)
	// A graceful end lets a message that has begun come to its own.
	bounded, cancel := context.WithTimeout(s.hard, writeTimeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, func() {
		if context.Cause(s.ctx) != errClosing { // the value itself
			cancel()
		}
	})()
	err := s.conn.Write(bounded, r.frame)
	s.pace.wrote(time.Now())
	if err != nil {
		r.settle(ErrUncertain)
		return fmt.Errorf("writing to the daemon: %w", err)
	}
	if r.counted {
		s.count.commandsSent.Add(1)
	}
	r.settle(nil)
	return nil
}
