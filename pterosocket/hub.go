package pterosocket

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/delivery"
)

// A Hub hands the events of one channel on to any number of listeners. Each listener gets one type of event. The Hub is
// the counterpart of the npm package's on and once. It is safe for concurrent use.
type Hub struct {
	mu   sync.Mutex
	subs map[listener]bool // nil: the channel is closed
}

// listener is a Subscription of any type.
type listener interface {
	offer(Event)
	end(idle time.Duration)
}

// NewHub takes over the channel: nobody else may receive from it. The Hub always receives without waiting for a
// listener. When the channel is closed, the Hub ends, and with it all subscriptions.
func NewHub(events <-chan Event) *Hub {
	h := &Hub{subs: make(map[listener]bool)}
	go h.run(events) // ends when the channel is closed, as Connect promises
	return h
}

// hubIdle is how long a listener may take nothing after the end. Then the events that wait for it are given up.
const hubIdle = time.Second

func (h *Hub) run(events <-chan Event) {
	for ev := range events {
		h.mu.Lock()
		for sub := range h.subs {
			sub.offer(ev)
		}
		h.mu.Unlock()
	}
	h.mu.Lock()
	subs := h.subs
	h.subs = nil
	h.mu.Unlock()
	var ends sync.WaitGroup
	for sub := range subs {
		ends.Go(func() { sub.end(hubIdle) })
	}
	ends.Wait()
}

// subscriptionQueue is how many events may wait for one listener.
const subscriptionQueue = 8192

// A Subscription gets the events of type T, with the promises of the channel that Connect returns. A slow listener
// delays nobody. Up to 8,192 events and 16 MiB wait for it. Beyond that the oldest console lines are given up first.
// Only the newest undelivered Stats is kept. Dropped counts what was given up. A subscription to all events also gets a
// Lagged in its place.
type Subscription[T Event] struct {
	C <-chan T // closed by Stop; after the Hub's end, when it is empty or nothing is taken for a second

	hub     *Hub
	out     *delivery.Outlet[T]
	stopped context.Context
	stop    context.CancelFunc
	finish  sync.Once
}

// On subscribes to the events of type T from now on. On[Event] subscribes to all events. Call Stop when the
// subscription is no longer needed. After the Hub has ended, On returns a subscription with a closed channel.
func On[T Event](h *Hub) *Subscription[T] {
	out := outletOf[T](subscriptionQueue)
	s := &Subscription[T]{C: out.C(), hub: h, out: out}
	s.stopped, s.stop = context.WithCancel(context.Background())
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		s.end(-1)
	} else {
		h.subs[s] = true
	}
	return s
}

// Stop ends the subscription, gives up the events that wait, and closes the channel. It is idempotent. Any goroutine
// may call it.
func (s *Subscription[T]) Stop() {
	s.hub.mu.Lock()
	delete(s.hub.subs, s)
	s.hub.mu.Unlock()
	s.stop()
	s.end(-1)
}

// Dropped returns how many events the listener has lost by being slow.
func (s *Subscription[T]) Dropped() uint64 { return s.out.Dropped() }

// offer hands ev on if it is of type T.
func (s *Subscription[T]) offer(ev Event) {
	if v, ok := ev.(T); ok {
		s.out.Push(v)
	}
}

// end delivers the events that wait, as long as the listener takes one within idle. Then it closes the channel.
func (s *Subscription[T]) end(idle time.Duration) {
	s.finish.Do(func() {
		s.out.Close(func() delivery.Patience { return delivery.Patience{Idle: idle, Until: s.stopped.Done()} })
	})
}

// Once waits for the next event of type T. If ctx ends first, it returns context.Cause(ctx). If no more events can
// come, it returns ErrClosed.
func Once[T Event](ctx context.Context, h *Hub) (ev T, err error) {
	s := On[T](h)
	defer s.Stop()
	select {
	case ev, open := <-s.C:
		if !open {
			return ev, ErrClosed
		}
		return ev, nil
	case <-ctx.Done():
		return ev, context.Cause(ctx)
	}
}

// Only returns the events of type T, for a single loop without a Hub. It drops all other events. The loop ends when the
// channel is closed.
func Only[T Event](events <-chan Event) iter.Seq[T] {
	return func(yield func(T) bool) {
		for ev := range events {
			if ev, ok := ev.(T); ok && !yield(ev) {
				return
			}
		}
	}
}
