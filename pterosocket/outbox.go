package pterosocket

import (
	"context"
	"sync"
	"time"
)

// How long an outbox goes on delivering after the end: as long as events are taken, but not longer than drainFor in all, nor
// than drainIdle without a taker.
const (
	drainFor  = time.Second
	drainIdle = 100 * time.Millisecond
)

// An outbox stands between the reader, which must never wait, and the consumer's channel.
//
// push sends to the channel as long as that has room, and queues what comes after. Only while something is queued does a
// goroutine (deliver) exist to wait for the consumer, so an outbox with a quick consumer costs no goroutine and no wake-up.
// Everything that goes to the channel goes there under mu, but for the one event that deliver holds while it waits.
//
// The channel has room for one. More would cost fewer switches between goroutines, but could not be taken back: while one event is
// received the consumer may receive the one behind it, and the order is lost. And taken back it must be, or a consumer that
// stopped would find a Stats of long ago, and the final Close no room.
type outbox struct {
	events chan Event // what the consumer reads; closed by finish
	room   int        // how many events queue may hold

	mu         sync.Mutex
	queue      eventQueue
	delivering bool          // deliver runs, and may hold the next event
	inHand     Event         // what deliver holds
	recall     chan struct{} // tells deliver to take back what the consumer has not yet taken; room for one
	stop       chan struct{} // tells deliver to end
	stopped    bool
	done       sync.WaitGroup // deliver

	statsSent bool            // the last event that went to the channel was a Stats
	jwtErrors map[string]bool // the JWTErrors since the last AuthSuccess
	dropped   uint64
}

// maxJWTErrors bounds jwtErrors; a daemon has half a dozen.
const maxJWTErrors = 16

// newOutbox returns an outbox that keeps about size events.
func newOutbox(size int) *outbox {
	return &outbox{
		events: make(chan Event, 1),
		room:   size,
		recall: make(chan struct{}, 1),
		stop:   make(chan struct{}),
	}
}

// push hands ev on. It never blocks on the consumer.
func (o *outbox) push(ev Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return
	}
	switch ev := ev.(type) {
	case Stats:
		if o.replaceStats(ev) {
			return
		}
	case JWTError:
		text := withoutEventID(ev.Message)
		if o.jwtErrors[text] {
			return
		}
		if o.jwtErrors == nil {
			o.jwtErrors = make(map[string]bool)
		}
		if len(o.jwtErrors) < maxJWTErrors {
			o.jwtErrors[text] = true
		}
	case AuthSuccess:
		clear(o.jwtErrors)
	}
	if !o.delivering && o.send(ev) {
		return
	}
	o.queue.push(ev)
	if o.queue.events > o.room {
		o.queue.drop()
		o.dropped++
	}
	o.startDelivery()
}

// send puts ev into the channel if there is room.
func (o *outbox) send(ev Event) bool {
	select {
	case o.events <- ev:
		_, o.statsSent = ev.(Stats)
		return true
	default:
		return false
	}
}

// replaceStats puts ev in the place of a Stats that has not been taken yet, and reports whether there was one. The newest takes
// the place of the older, not of its own, or a consumer that never catches up would never see one.
func (o *outbox) replaceStats(ev Stats) bool {
	if o.queue.replaceStats(ev) {
		return true
	}
	_, held := o.inHand.(Stats)
	if !held && (!o.statsSent || len(o.events) == 0) { // taken, or never sent
		return false
	}
	if o.delivering {
		// deliver may hold an event that belongs behind those in the channel: it must do it. The two Stats meet in takeBack.
		select {
		case o.recall <- struct{}{}:
		default:
		}
		return false
	}
	o.takeBack()
	replaced := o.queue.replaceStats(ev)
	o.fill()
	if o.queue.events > 0 { // cannot be: all of it had room before
		o.startDelivery()
	}
	return replaced
}

// takeBack moves what the consumer has not taken from the channel to the head of the queue. deliver must not hold an event.
func (o *outbox) takeBack() {
	select {
	case ev := <-o.events:
		o.queue.pushFront(ev)
		o.queue.mergeStats()
	default: // just taken
	}
	o.statsSent = false
}

// fill sends what has room.
func (o *outbox) fill() {
	for {
		ev := o.queue.front()
		if ev == nil || !o.send(ev) {
			return
		}
		o.queue.pop()
	}
}

func (o *outbox) startDelivery() {
	if o.delivering {
		return
	}
	o.delivering = true
	o.done.Go(o.deliver)
}

// deliver waits for the consumer until nothing is queued any more.
func (o *outbox) deliver() {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.delivering = false }()
	for !o.stopped {
		o.fill()
		ev := o.queue.pop()
		if ev == nil {
			return
		}
		o.inHand = ev
		stop := o.stop
		o.mu.Unlock()
		var sent, recalled bool
		select {
		case o.events <- ev:
			sent = true
		case <-o.recall:
			recalled = true
		case <-stop:
		}
		o.mu.Lock()
		o.inHand = nil
		if sent {
			_, o.statsSent = ev.(Stats)
			continue
		}
		o.queue.pushFront(ev)
		if recalled {
			o.takeBack()
		}
	}
}

// finish ends the outbox: nothing is pushed any more. It delivers what is queued as long as the consumer takes it (not at all
// once ctx has ended), gives up the rest, sends last, and closes the channel.
func (o *outbox) finish(ctx context.Context, last Close) {
	o.mu.Lock()
	o.stopped = true
	o.mu.Unlock()
	close(o.stop)
	o.done.Wait()

	// From here on nobody else sends or takes back; the lock only serves droppedCount.
	defer close(o.events)
	if o.drain(ctx, last) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.takeBack() // for last there is always room
	o.dropped += uint64(o.queue.discard())
	o.events <- last
}

// drain sends what is queued, and last, as long as the consumer takes it. It reports whether all was sent.
func (o *outbox) drain(ctx context.Context, last Close) bool {
	end := time.NewTimer(drainFor)
	defer end.Stop()
	idle := time.NewTimer(drainIdle)
	defer idle.Stop()
	for ctx.Err() == nil {
		ev := o.queue.front()
		more := ev != nil
		if !more {
			ev = last
		}
		select {
		case o.events <- ev:
			if !more {
				return true
			}
			o.queue.pop()
			idle.Reset(drainIdle)
		case <-idle.C:
			return false
		case <-end.C:
			return false
		case <-ctx.Done():
		}
	}
	return false
}

// clear forgets what has been pushed so far. It is for the time before anybody has the channel, when nothing is being pushed.
func (o *outbox) clear() {
	o.mu.Lock()
	o.stopped = true
	close(o.stop)
	o.mu.Unlock()
	o.done.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.takeBack()
	o.queue = eventQueue{}
	clear(o.jwtErrors)
	o.stop, o.stopped = make(chan struct{}), false
}

// droppedCount returns how many events were given up so far.
func (o *outbox) droppedCount() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}
