// Package delivery hands events on to a consumer that may be slow, may stop, and may go away: whoever has an event
// never waits for it. What waits is bounded in number and bytes; what has to be given up is counted in its place.
package delivery

import (
	"sync"
	"sync/atomic"
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
	Told          func(T) int           // how many a value of Lagged tells of; 0: it is an event
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
	exit[T]
	done    sync.WaitGroup
	dropped atomic.Uint64

	mu      sync.Mutex
	queue   queue[T]
	latest  uint64      // the number of the last Latest that was sent or queued
	waiting T           // a Latest, if timer is not nil
	timer   *time.Timer // releases it
}

// New returns an Outlet.
func New[T any](p Policy[T]) *Outlet[T] {
	return &Outlet[T]{exit: newExit[T](max(1, min(channel, p.Events/share))), queue: newQueue(p)}
}

// Push hands an event on. It never waits for the consumer.
func (o *Outlet[T]) Push(v T) { o.push(o.queue.policy.Class(v), v) }

// PushAll hands on events of class Shed that have come together.
func (o *Outlet[T]) PushAll(vs []T) { o.push(Shed, vs...) }

func (o *Outlet[T]) push(class Class, vs ...T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.patience != nil {
		return
	}
	if class == Latest {
		o.waiting = vs[0]
		if o.timer == nil {
			o.timer = time.AfterFunc(lastLatest, o.overdue)
		}
		o.timer.Reset(lastLatest)
	}
	if o.timer != nil && (class == Keep || o.queue.passed-uint64(len(o.events)) >= o.latest) {
		o.release() // v must not overtake it, or the one before has been received
	}
	if class != Latest {
		o.add(class, vs)
	}
}

// add sends events as long as the channel has room, and queues the others behind what is queued.
func (o *Outlet[T]) add(class Class, vs []T) {
	q := &o.queue
	if q.passed == q.pushed {
		n := 0
		for n < len(vs) && o.trySend(vs[n]) {
			n++
		}
		q.pushed += uint64(n)
		q.taken, q.passed = q.pushed, q.pushed
		if vs = vs[n:]; len(vs) == 0 {
			return
		}
		o.done.Go(o.send)
	}
	for _, v := range vs {
		q.pushed++
		q.push(class, v)
	}
	for q.full(len(o.events)) && q.drop() {
		o.dropped.Add(1)
	}
}

// release sends or queues the Latest that waits, if there is one.
func (o *Outlet[T]) release() {
	if o.timer == nil {
		return
	}
	o.timer.Stop()
	o.timer = nil
	o.add(Latest, []T{o.waiting})
	o.latest = o.queue.pushed
}

// overdue is the timer's.
func (o *Outlet[T]) overdue() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.release()
}

// send is the goroutine that waits for the consumer, until nothing is queued any more or patience has ended.
func (o *Outlet[T]) send() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		p, ok := o.queue.next()
		if !ok {
			return
		}
		if !o.trySend(p.value) {
			o.mu.Unlock()
			sent := o.offer(p.value)
			o.mu.Lock()
			if !sent {
				return
			}
		}
		o.queue.pass(p)
	}
}

// Dropped returns how many events were given up so far.
func (o *Outlet[T]) Dropped() uint64 { return o.dropped.Load() }

// Queued returns how much waits for the consumer, beside what is in the channel.
func (o *Outlet[T]) Queued() Limits {
	o.mu.Lock()
	defer o.mu.Unlock()
	return Limits{o.queue.events, o.queue.bytes}
}

// Discard forgets what has been pushed so far. It is for the time before anybody has the channel, when nothing is being
// pushed.
func (o *Outlet[T]) Discard() {
	o.halt(func() Patience { return Patience{Idle: -1} })
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.events) > 0 {
		<-o.events
	}
	o.queue.clear()
	o.dropped.Store(0)
	o.patience, o.end = nil, make(chan struct{})
}

// halt lets Push do nothing, and waits until what is queued has been sent or patience has ended.
func (o *Outlet[T]) halt(patience func() Patience) {
	o.mu.Lock()
	o.release()
	o.patience = patience
	close(o.end)
	o.mu.Unlock()
	o.done.Wait()
}

// Finish ends the Outlet: nothing is pushed any more. It delivers what is queued for as long as patience allows, gives
// up the rest, sends last, which is told how many events were given up and not told of yet, and closes the channel. It
// returns that number.
func (o *Outlet[T]) Finish(patience func() Patience, last func(dropped int) T) (dropped int) {
	o.halt(patience)
	defer close(o.events) // nobody else sends, or uses the queue
	if o.queue.passed == o.queue.pushed && o.offer(last(0)) {
		return 0
	}
	dropped = o.giveUp() + o.makeRoom()
	o.events <- last(dropped)
	return dropped
}

// Close is Finish without a last event.
func (o *Outlet[T]) Close(patience func() Patience) {
	o.halt(patience)
	o.giveUp()
	close(o.events)
}

// giveUp gives up what is queued. It returns how many events nobody has been told of.
func (o *Outlet[T]) giveUp() (untold int) {
	untold, given := o.queue.clear()
	o.dropped.Add(uint64(given))
	return untold
}

// makeRoom makes room in the channel for one event more, by giving up the newest in it. It returns of how many events
// nobody is told now.
func (o *Outlet[T]) makeRoom() (untold int) {
	if len(o.events) < cap(o.events) {
		return 0
	}
	var untaken []T
	for len(o.events) > 0 {
		select {
		case v := <-o.events:
			untaken = append(untaken, v)
		default: // the consumer was quicker
		}
	}
	keep := cap(o.events) - 1
	if len(untaken) <= keep { // the consumer has come back: what it has not got must not come behind what it has
		keep = 0
	}
	for _, v := range untaken[:keep] {
		o.events <- v
	}
	for _, v := range untaken[keep:] {
		if n := o.queue.policy.Told(v); n > 0 { // these were given up before
			untold += n
			continue
		}
		untold++
		o.dropped.Add(1)
	}
	return untold
}
