package pterosocket

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
)

// A Hub hands the events of one channel on to any number of listeners, each for one type of event. It is the counterpart of the npm
// package's on and once.
type Hub struct {
	mu     sync.Mutex
	subs   map[listener]bool
	closed bool
}

// listener is a Subscription of any type.
type listener interface {
	offer(Event)
	end()
}

// NewHub takes the channel over: nobody else must receive from it. The Hub ends, and with it all subscriptions, when the channel is
// closed. It always receives without waiting for anybody.
func NewHub(events <-chan Event) *Hub {
	h := &Hub{subs: make(map[listener]bool)}
	go h.run(events) // ends with the channel, which Connect's contract closes
	return h
}

func (h *Hub) run(events <-chan Event) {
	for ev := range events {
		h.mu.Lock()
		for sub := range h.subs {
			sub.offer(ev)
		}
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for sub := range h.subs {
		sub.end()
	}
	h.subs = nil
}

// subscriptionQueue is how many events wait for one listener.
const subscriptionQueue = 512

// A Subscription gets the events of type T. Its queue holds 512; a listener that is slower loses the oldest, counted by Dropped, and
// stalls nobody else.
type Subscription[T Event] struct {
	C <-chan T // closed by Stop, and when the Hub ends

	c       chan T
	hub     *Hub
	dropped atomic.Uint64
	mu      sync.Mutex
	ended   bool
}

// On subscribes to the events of type T from now on; On[Event] to all. Stop it when it is not needed any more. After the Hub has ended,
// its channel is closed from the beginning.
func On[T Event](h *Hub) *Subscription[T] {
	c := make(chan T, subscriptionQueue)
	s := &Subscription[T]{C: c, c: c, hub: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		s.end()
		return s
	}
	h.subs[s] = true
	return s
}

// Stop ends the subscription and closes its channel. It is idempotent, and may be called from anywhere.
func (s *Subscription[T]) Stop() {
	s.hub.mu.Lock()
	delete(s.hub.subs, s)
	s.hub.mu.Unlock()
	s.end()
}

// Dropped returns how many events the listener has lost by being slow.
func (s *Subscription[T]) Dropped() uint64 { return s.dropped.Load() }

// offer queues an event of the right type. It never blocks: the lock is only contended by Stop.
func (s *Subscription[T]) offer(ev Event) {
	v, ok := ev.(T)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended {
		select {
		case s.c <- v:
			return
		default:
		}
		select {
		case <-s.c: // the oldest
			s.dropped.Add(1)
		default: // just taken
		}
	}
}

func (s *Subscription[T]) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.c)
	}
}

// Once waits for the next event of type T. It returns ctx's error if that ends first, and ErrClosed when none can come any more.
func Once[T Event](ctx context.Context, h *Hub) (T, error) {
	s := On[T](h)
	defer s.Stop()
	var none T
	select {
	case ev, ok := <-s.C:
		if !ok {
			return none, ErrClosed
		}
		return ev, nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// Only returns the events of type T, for a single loop without a Hub; the others it drops. It ends when the channel is closed.
func Only[T Event](events <-chan Event) iter.Seq[T] {
	return func(yield func(T) bool) {
		for ev := range events {
			if ev, ok := ev.(T); ok && !yield(ev) {
				return
			}
		}
	}
}
