package pterosocket

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// A request is a message on its way to the writer, and its outcome on the way back.
type request struct {
	event   string
	frame   []byte
	kill    bool         // it goes before all others but auth
	before  func() error // called just before it is written, which its error prevents; nil: nothing
	counted bool         // it is the user's, not the library's own
	outcome chan error   // gets one value and is closed; room for one

	mu      sync.Mutex
	state   requestState
	release func() bool // called with the outcome; nil: nothing
}

type requestState uint8

const (
	waiting requestState = iota // may still be withdrawn
	writing
	settled // the outcome has been sent
)

func newRequest(event string, frame []byte) *request {
	return &request{event: event, frame: frame, outcome: make(chan error, 1)}
}

// urgent reports whether r may use what others leave of the daemon's limits.
func (r *request) urgent() bool { return r.kill || r.event == wire.Auth }

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

// withdraw settles a request whose caller no longer waits: as not sent, or, when it is just being written, as
// uncertain.
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
		signal(q.wake) // those behind it may be due earlier
	})
}

func (r *request) isWaiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == waiting
}

// maxQueued is how many requests may wait.
const maxQueued = 1024

// A sendQueue holds what waits to be written: an auth, then kills, then the rest in the order of the calls.
type sendQueue struct {
	wake chan struct{} // tells the writer to look again; room for one

	mu     sync.Mutex
	auth   *request
	kills  []*request
	others []*request
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
	if r.event == wire.Auth {
		q.auth = r
		return nil
	}
	if len(q.kills)+len(q.others) >= maxQueued {
		gone := func(r *request) bool { return !r.isWaiting() }
		q.kills, q.others = slices.DeleteFunc(q.kills, gone), slices.DeleteFunc(q.others, gone)
	}
	if len(q.kills)+len(q.others) >= maxQueued {
		return ErrQueueFull
	}
	if r.kill {
		q.kills = append(q.kills, r)
	} else {
		q.others = append(q.others, r)
	}
	return nil
}

// next returns what is to be written next, without removing it; nil if there is nothing.
func (q *sendQueue) next() *request {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.auth != nil && q.auth.isWaiting() {
		return q.auth
	}
	q.auth = nil
	for _, list := range []*[]*request{&q.kills, &q.others} {
		for i, r := range *list {
			if r.isWaiting() {
				*list = slices.Delete(*list, 0, i)
				return r
			}
		}
		*list = nil
	}
	return nil
}

// fail settles all that wait but auth.
func (q *sendQueue) fail(err error) {
	q.mu.Lock()
	all := append(q.kills, q.others...)
	q.kills, q.others = nil, nil
	q.mu.Unlock()
	for _, r := range all {
		if r.claim() {
			r.settle(err)
		}
	}
}

// close settles all that wait, and lets all that come later fail in the same way.
func (q *sendQueue) close(err error) {
	q.mu.Lock()
	q.closed = err
	auth := q.auth
	q.auth = nil
	q.mu.Unlock()
	if auth != nil && auth.claim() {
		auth.settle(err)
	}
	q.fail(err)
}
