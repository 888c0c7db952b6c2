package pterosocket

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// A request is a message on its way to the writer, and its outcome on the way back.
type request struct {
	event   string
	frame   []byte
	kill    bool         // it goes before all others but auth
	before  func() error // called just before the writing; an error prevents that
	counted bool         // it is the user's and not the library's own
	outcome chan error   // gets one value and is closed; room for one
	release func() bool  // called when it is settled
	state   atomic.Int32
}

const (
	waiting int32 = iota // may still be withdrawn
	writing
	settled // the outcome has been sent
)

func newRequest(event string, frame []byte) *request {
	return &request{
		event:   event,
		frame:   frame,
		before:  func() error { return nil },
		outcome: make(chan error, 1),
		release: func() bool { return false },
	}
}

// The lists of a sendQueue, in the order in which they are written. Those before others may use what others must leave
// of the daemon's limits.
const (
	auths = iota
	kills
	others
)

func (r *request) list() int {
	switch {
	case r.event == wire.Auth:
		return auths
	case r.kill:
		return kills
	}
	return others
}

func (r *request) isWaiting() bool { return r.state.Load() == waiting }

// claim reserves r for a caller that is about to write or settle it. It returns false if another caller has done so, or
// if r was withdrawn.
func (r *request) claim() bool { return r.state.CompareAndSwap(waiting, writing) }

// settle sends the outcome, unless one was sent already.
func (r *request) settle(err error) {
	r.finish(err)
	r.release()
}

func (r *request) finish(err error) {
	if r.state.Swap(settled) != settled {
		r.outcome <- err
		close(r.outcome)
	}
}

// withdrawWith withdraws the request when ctx ends. The outcome is then ErrNotSent, or ErrUncertain if the request is
// just being written. It is called before the request is queued.
func (r *request) withdrawWith(ctx context.Context, q *sendQueue) {
	r.release = context.AfterFunc(ctx, func() { // release may not be set yet, so do not use it
		failure := ErrUncertain
		if r.claim() {
			failure = ErrNotSent
		}
		r.finish(fmt.Errorf("%w: %w", failure, context.Cause(ctx)))
		signal(q.wake) // the next requests may be due earlier
	})
}

// maxQueued is how many requests may wait.
const maxQueued = 1024

// A sendQueue holds what waits to be written: an auth, then kills, then the rest in the order of the calls.
type sendQueue struct {
	wake chan struct{} // tells the writer to look again; room for one

	mu     sync.Mutex
	lists  [others + 1][]*request
	closed error // what new requests fail with; nil: the queue is open
}

// add queues r. If the queue is full or closed, it settles r at once.
func (q *sendQueue) add(r *request) {
	if err := q.put(r); err != nil {
		r.settle(err)
		return
	}
	signal(q.wake)
}

func (q *sendQueue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return q.closed
	}
	q.prune()
	list := &q.lists[r.list()]
	if r.event == wire.Auth {
		*list = nil // it replaces an auth that waits
	} else if len(q.lists[kills])+len(q.lists[others]) >= maxQueued {
		return ErrQueueFull
	}
	*list = append(*list, r)
	return nil
}

// prune removes the requests that no longer wait.
func (q *sendQueue) prune() {
	for i, list := range q.lists {
		q.lists[i] = slices.DeleteFunc(list, func(r *request) bool { return !r.isWaiting() })
	}
}

// next returns the next request to write, without removing it, or nil if there is none.
func (q *sendQueue) next() *request {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prune()
	for _, list := range q.lists {
		if len(list) > 0 {
			return list[0]
		}
	}
	return nil
}

// fail settles all waiting requests but auth.
func (q *sendQueue) fail(err error) { q.settle(kills, err) }

// close settles all waiting requests. Later ones fail in the same way.
func (q *sendQueue) close(err error) {
	q.mu.Lock()
	q.closed = err
	q.mu.Unlock()
	q.settle(auths, err)
}

// settle settles all waiting requests of the list first and of those after it.
func (q *sendQueue) settle(first int, err error) {
	q.mu.Lock()
	all := slices.Concat(q.lists[first:]...)
	q.mu.Unlock()
	for _, r := range all {
		if r.claim() {
			r.settle(err)
		}
	}
}
