// Package delivery hands events on to a consumer that may be slow, may stop, and may go away: whoever has an event
// never waits for it. What waits is bounded in number and bytes; what has to be given up is counted in its place.
package delivery

import (
	"sync"
	"time"
)

// Class says what becomes of an event when the consumer is slow.
type Class uint8

const (
	Keep   Class = iota // given up only when nothing else waits
	Shed                // given up first, the oldest before the others
	Latest              // only the newest one that has not been delivered is kept
)

// A Policy says what waits and what is given up. Its functions must be quick.
type Policy[T any] struct {
	Events, Bytes int                   // how much waits at most
	Class         func(T) Class         // what becomes of an event
	Size          func(T) int           // bytes
	Lagged        func(n int) (T, bool) // tells that n events were given up; false: it cannot be told
	Rings         *sync.Pool            // where the memory of a burst is kept; nil: nowhere
}

const (
	// channel is how many events the consumer's channel holds: a wake-up of the consumer costs as much as twenty lines.
	// share is which part of all that may wait it is at most, since what is in the channel cannot be given up for
	// something newer.
	channel = 32
	share   = 64
	// lastLatest is after what time the newest of a Latest is queued behind an older one that the consumer has not
	// received. One that comes every second has been replaced by then, unless it was the last.
	lastLatest = 2 * time.Second
)

// An Outlet stands between those who have events, who must never wait, and the consumer's channel.
//
// An event goes straight into the channel while that has room and nothing is queued. Otherwise it is queued, and a
// goroutine that exists only while something is queued sends the first event in the queue. Nothing is taken back from
// the channel.
//
// At most one event of class Latest is in the channel or the queue. Another waits in a place of its own, where newer
// ones replace it, until the consumer has received the one before. Nobody tells when that is; it is looked at whenever
// an event comes. Events of class Keep never overtake a Latest, others may.
type Outlet[T any] struct {
	events chan T
	policy Policy[T]

	mu       sync.Mutex
	queue    queue[T]
	sending  bool          // the goroutine exists; when it does not, nothing is queued
	held     bool          // it is sending the first event in the queue
	stop     chan struct{} // closed to end it; made with the first
	done     sync.WaitGroup
	ended    bool // nothing is pushed any more
	dropped  uint64
	entered  uint64 // events that have gone into the channel or the queue, or would have
	latestIn uint64 // entered, when the last Latest did

	waiting T // a Latest, if waits
	waits   bool
	timer   *time.Timer
}

// New returns an Outlet.
func New[T any](p Policy[T]) *Outlet[T] {
	o := &Outlet[T]{events: make(chan T, max(1, min(channel, p.Events/share))), policy: p}
	o.queue = queue[T]{policy: &o.policy, mark: -1}
	return o
}

// C returns the consumer's channel. Finish closes it.
func (o *Outlet[T]) C() <-chan T { return o.events }

// Push hands an event on. It never waits for the consumer.
func (o *Outlet[T]) Push(v T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	class := o.policy.Class(v)
	if o.waits && (class == Keep || o.latestReceived()) && class != Latest {
		o.release()
	}
	if class != Latest {
		o.add(v)
		return
	}
	o.waiting, o.waits = v, true
	if o.latestReceived() {
		o.release()
	} else if o.timer == nil {
		o.timer = time.AfterFunc(lastLatest, o.overdue)
	} else {
		o.timer.Reset(lastLatest)
	}
}

// PushAll hands on events of class Shed that have come together.
func (o *Outlet[T]) PushAll(vs []T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	if o.waits && o.latestReceived() {
		o.release()
	}
	for _, v := range vs {
		o.add(v)
	}
}

// add sends v, or queues it behind what is queued.
func (o *Outlet[T]) add(v T) {
	o.entered++
	if !o.sending {
		select {
		case o.events <- v:
			return
		default:
		}
	}
	o.queue.push(v)
	for o.queue.full(len(o.events)) {
		o.queue.drop(o.held)
		o.dropped++
		if o.held && o.queue.values <= 1 {
			break
		}
	}
	if !o.sending {
		if o.stop == nil {
			o.stop = make(chan struct{})
		}
		o.sending = true
		o.done.Go(o.send)
	}
}

// latestReceived reports whether the consumer has received the last Latest that was sent.
func (o *Outlet[T]) latestReceived() bool {
	return o.entered-uint64(o.queue.values)-uint64(len(o.events)) >= o.latestIn
}

// release sends or queues the Latest that waits.
func (o *Outlet[T]) release() {
	v := o.waiting
	o.waits, o.waiting = false, *new(T)
	if o.timer != nil {
		o.timer.Stop()
	}
	o.add(v)
	o.latestIn = o.entered
}

// overdue is the timer's.
func (o *Outlet[T]) overdue() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waits && !o.ended {
		o.release()
	}
}

// send is the goroutine that waits for the consumer, until nothing is queued any more.
func (o *Outlet[T]) send() {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.sending = false }()
	for !o.ended {
		v, n, ok := o.first()
		if !ok {
			return
		}
		o.held = true
		sent := true
		select {
		case o.events <- v:
		default:
			o.mu.Unlock()
			select {
			case o.events <- v:
			case <-o.stop:
				sent = false
			}
			o.mu.Lock()
		}
		o.held = false
		if sent {
			o.sent(n)
		}
	}
}

// first returns what is to be sent next: the first event in the queue, or how many were given up before it. There n is
// their number.
func (o *Outlet[T]) first() (v T, n int, ok bool) {
	for o.queue.skip() {
		s := o.queue.at(o.queue.head)
		if s.dropped == 0 {
			return s.value, 0, true
		}
		if v, ok := o.policy.Lagged(s.dropped); ok {
			return v, s.dropped, true
		}
		o.sent(s.dropped)
	}
	return v, 0, false
}

// sent takes what first has returned out of the queue.
func (o *Outlet[T]) sent(n int) {
	s := o.queue.at(o.queue.head)
	if s.dropped -= n; n == 0 || s.dropped == 0 && !s.used {
		o.queue.remove()
	}
}

// Dropped returns how many events were given up so far.
func (o *Outlet[T]) Dropped() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// Queued returns how much waits for the consumer, what is in the channel not counted among the bytes.
func (o *Outlet[T]) Queued() (events, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queue.values + len(o.events), o.queue.bytes
}

// Discard forgets what has been pushed so far. It is for the time before anybody has the channel, when nothing is being
// pushed.
func (o *Outlet[T]) Discard() {
	o.halt()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.events) > 0 {
		<-o.events
	}
	o.queue = queue[T]{policy: &o.policy, mark: -1}
	o.dropped, o.waits, o.ended, o.stop = 0, false, false, nil
	o.entered, o.latestIn = 0, 0
}

// halt ends the goroutine, and lets Push do nothing.
func (o *Outlet[T]) halt() {
	o.mu.Lock()
	if o.waits && !o.ended {
		o.release()
	}
	o.ended = true
	if o.stop != nil {
		close(o.stop)
	}
	o.mu.Unlock()
	o.done.Wait()
}

// Patience says how long Finish goes on delivering. It is asked again when changed is closed.
type Patience struct {
	Idle    time.Duration   // as long as the consumer takes something within this time; negative: not at all; 0: however long it takes
	Until   <-chan struct{} // until this is closed; nil: for ever
	Changed <-chan struct{}
}

// Finish ends the Outlet: nothing is pushed any more. It delivers what is queued for as long as patience allows, gives
// up the rest, sends last, which is told how many were given up, and closes the channel. It returns that number.
func (o *Outlet[T]) Finish(patience func() Patience, last func(dropped int) T) (dropped int) {
	o.halt()
	defer close(o.events) // nobody else sends; the lock is for Dropped and Queued
	if o.drain(patience) {
		if o.offer(patience, last(0)) {
			return 0
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	dropped = o.giveUp() + o.makeRoom()
	o.dropped += uint64(dropped)
	o.events <- last(dropped)
	return dropped
}

// Close is Finish without a last event.
func (o *Outlet[T]) Close(patience func() Patience) {
	o.halt()
	defer close(o.events)
	if !o.drain(patience) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.dropped += uint64(o.giveUp())
	}
}

// giveUp empties the queue and returns how many events were in it.
func (o *Outlet[T]) giveUp() int {
	n := o.queue.values
	o.queue = queue[T]{policy: &o.policy, mark: -1}
	return n
}

// makeRoom makes room in the channel for one event more, by giving up the newest in it, and returns how many were given
// up.
func (o *Outlet[T]) makeRoom() (dropped int) {
	var untaken []T
	for more := len(o.events) == cap(o.events); more; {
		select {
		case v := <-o.events:
			untaken = append(untaken, v)
		default:
			more = false
		}
	}
	keep := len(untaken) - 1
	if len(untaken) < cap(o.events) { // the consumer has come back: what it has not got must not come behind what it has
		keep = 0
	}
	for i, v := range untaken {
		if i < keep {
			o.events <- v
		} else {
			dropped++
		}
	}
	return dropped
}

// drain sends what is queued, for as long as patience allows. It reports whether all was sent.
func (o *Outlet[T]) drain(patience func() Patience) bool {
	for {
		o.mu.Lock()
		v, n, more := o.first()
		o.mu.Unlock()
		if !more {
			return true
		}
		if !o.offer(patience, v) {
			return false
		}
		o.mu.Lock()
		o.sent(n)
		o.mu.Unlock()
	}
}

// offer sends v, if the consumer makes room for it while patience allows.
func (o *Outlet[T]) offer(patience func() Patience, v T) bool {
	select {
	case o.events <- v:
		return true
	default:
	}
	for {
		p := patience()
		if p.Idle < 0 {
			return false
		}
		var idle <-chan time.Time
		if p.Idle > 0 {
			timer := time.NewTimer(p.Idle)
			defer timer.Stop()
			idle = timer.C
		}
		select {
		case o.events <- v:
			return true
		case <-p.Changed: // from now on the new patience counts
			continue
		case <-idle:
		case <-p.Until:
		}
		return false
	}
}
