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
	before  func() error // called just before it is written, which its error prevents
	counted bool         // it is the user's, not the library's own
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

// The lists of a sendQueue, in the order in which they are written. What is before others may use what they leave of
// the daemon's limits.
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

// claim is for whoever is about to write or settle r. It reports false when somebody else was, or has withdrawn it.
func (r *request) claim() bool { return r.state.CompareAndSwap(waiting, writing) }

// settle sends the outcome, unless there is one already.
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

// withdrawWith lets the request, which is not queued yet, be withdrawn when ctx ends: as not sent, or, when it is just
// being written, as uncertain.
func (r *request) withdrawWith(ctx context.Context, q *sendQueue) {
	r.release = context.AfterFunc(ctx, func() { // it does not use release, which may not be set yet
		failure := ErrUncertain
		if r.claim() {
			failure = ErrNotSent
		}
		r.finish(fmt.Errorf("%w: %w", failure, context.Cause(ctx)))
		signal(q.wake) // those behind it may be due earlier
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

// add queues r, or settles it at once when the queue is full or has been closed.
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
		*list = nil // it takes the place of one that waits
	} else if len(q.lists[kills])+len(q.lists[others]) >= maxQueued {
		return ErrQueueFull
	}
	*list = append(*list, r)
	return nil
}

// prune removes what does not wait any more.
func (q *sendQueue) prune() {
	for i, list := range q.lists {
		q.lists[i] = slices.DeleteFunc(list, func(r *request) bool { return !r.isWaiting() })
	}
}

// next returns what is to be written next, without removing it; nil if there is nothing.
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

// fail settles all that wait but auth.
func (q *sendQueue) fail(err error) { q.settle(kills, err) }

// close settles all that wait, and lets all that come later fail in the same way.
func (q *sendQueue) close(err error) {
	q.mu.Lock()
	q.closed = err
	q.mu.Unlock()
	q.settle(auths, err)
}

// settle settles all that wait in a list and those behind it.
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
