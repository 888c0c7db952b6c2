package pterosocket

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/delivery"
)

// A Hub hands the events of one channel on to any number of listeners, each for one type of event. It is the
// counterpart of the npm package's on and once.
type Hub struct {
	mu   sync.Mutex
	subs map[listener]bool // nil: the channel is closed
}

// listener is a Subscription of any type.
type listener interface {
	offer(Event)
	end(idle time.Duration)
}

// NewHub takes the channel over: nobody else must receive from it. The Hub ends, and with it all subscriptions, when
// the channel is closed. It always receives without waiting for anybody.
func NewHub(events <-chan Event) *Hub {
	h := &Hub{subs: make(map[listener]bool)}
	go h.run(events) // ends with the channel, which Connect's contract closes
	return h
}

// hubIdle is how long a listener may take nothing after the end before what waits for it is given up.
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

// subscriptionQueue is how many events wait for one listener.
const subscriptionQueue = 8192

// A Subscription gets the events of type T, with the promises of the channel that Connect returns: a slow listener
// stalls nobody, up to 8,192 events and 16 MiB wait for it, then the oldest console lines go first, and of Stats only
// the newest undelivered one is kept. Dropped counts what was given up; a subscription to all events gets a Lagged in
// its place.
type Subscription[T Event] struct {
	C <-chan T // closed by Stop, and when the Hub has ended and what waits has been taken, or nothing has been taken for a second

	hub     *Hub
	out     *delivery.Outlet[T]
	stopped context.Context
	stop    context.CancelFunc
	finish  sync.Once
}

// On subscribes to the events of type T from now on; On[Event] to all. Stop it when it is not needed any more. After
// the Hub has ended, its channel is closed from the beginning.
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

// Stop ends the subscription, gives up what waits, and closes its channel. It is idempotent, and may be called from
// anywhere.
func (s *Subscription[T]) Stop() {
	s.hub.mu.Lock()
	delete(s.hub.subs, s)
	s.hub.mu.Unlock()
	s.stop()
	s.end(-1)
}

// Dropped returns how many events the listener has lost by being slow.
func (s *Subscription[T]) Dropped() uint64 { return s.out.Dropped() }

// offer hands an event on if it is of the right type.
func (s *Subscription[T]) offer(ev Event) {
	if v, ok := ev.(T); ok {
		s.out.Push(v)
	}
}

// end delivers what waits, for as long as the listener takes something within idle, and closes the channel.
func (s *Subscription[T]) end(idle time.Duration) {
	s.finish.Do(func() {
		s.out.Close(func() delivery.Patience { return delivery.Patience{Idle: idle, Until: s.stopped.Done()} })
	})
}

// Once waits for the next event of type T. It returns ctx's error if that ends first, and ErrClosed when none can come
// any more.
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

// Only returns the events of type T, for a single loop without a Hub; the others it drops. It ends when the channel is
// closed.
func Only[T Event](events <-chan Event) iter.Seq[T] {
	return func(yield func(T) bool) {
		for ev := range events {
			if ev, ok := ev.(T); ok && !yield(ev) {
				return
			}
		}
	}
}
