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

	sent      uint64          // events sent to the channel
	statsSent uint64          // the value of sent when the last Stats went there; 0: none did
	jwtErrors map[string]bool // the JWTErrors since the last AuthSuccess
	dropped   uint64
}

// maxJWTErrors bounds jwtErrors; a daemon has half a dozen.
const maxJWTErrors = 16

// newOutbox returns an outbox that keeps about size events.
func newOutbox(size int) *outbox {
	buffer := min(64, max(2, size/8))
	return &outbox{
		events: make(chan Event, buffer),
		room:   max(1, size-buffer),
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
		o.sent++
		if _, ok := ev.(Stats); ok {
			o.statsSent = o.sent
		}
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
	if !held && (o.statsSent == 0 || o.statsSent+uint64(len(o.events)) <= o.sent) { // taken, or never sent
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
	var back []Event
	for {
		select {
		case ev := <-o.events:
			back = append(back, ev)
			continue
		default:
		}
		break
	}
	for i := len(back) - 1; i >= 0; i-- {
		o.queue.pushFront(back[i])
	}
	o.sent -= uint64(len(back))
	o.statsSent = 0
	o.queue.mergeStats()
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
		o.mu.Unlock()
		var sent, recalled bool
		select {
		case o.events <- ev:
			sent = true
		case <-o.recall:
			recalled = true
		case <-o.stop:
		}
		o.mu.Lock()
		o.inHand = nil
		if sent {
			o.sent++
			if _, ok := ev.(Stats); ok {
				o.statsSent = o.sent
			}
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
	o.takeBack()
	keep := cap(o.events) - 2 // room for the count of what is given up, and for last
	if ctx.Err() != nil {
		keep = 0
	}
	for ev := o.queue.front(); keep > 0 && ev != nil; ev = o.queue.front() {
		o.events <- ev
		o.queue.pop()
		keep--
	}
	if total, counted := o.queue.discard(); total > 0 {
		o.dropped += uint64(total - counted)
		o.events <- Lagged{Dropped: total}
	}
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

// clear forgets what has been pushed so far. It is for the time before anybody has the channel.
func (o *outbox) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.delivering { // it is only with a full channel, which the few events of a failed connect do not fill
		o.takeBack()
		o.queue = eventQueue{}
	}
	clear(o.jwtErrors)
}

// droppedCount returns how many events were given up so far.
func (o *outbox) droppedCount() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}
