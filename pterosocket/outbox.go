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

// maxBurst bounds how many events the channel holds (as many lines as the default transport reads at once fit), and burstShare what
// part of all that is kept that may be, since what is in the channel cannot be given up for something newer.
const (
	maxBurst   = 32
	burstShare = 64
)

// An outbox stands between the reader, which must never wait, and the consumer's channel.
//
// push sends to the channel as long as that has room, and queues what comes after. Only while something is queued does a
// goroutine (deliver) exist to wait for the consumer, so an outbox with a quick consumer costs no goroutine, and events that come
// in a burst cost one wake-up of the consumer, not one each. Everything that goes to the channel goes there under mu, but for the one
// event that deliver holds while it waits.
//
// What is in the channel cannot be taken back and put there again: while the first event is received the consumer may receive the one
// behind it, and the order is lost. But a Stats that waits must give way to a newer one. So a Stats is sent only into an empty channel, and
// nothing is sent behind it until the consumer has it: then it can be taken back, since it is alone.
type outbox struct {
	events chan Event // what the consumer reads; closed by finish
	room   int        // how many events are kept, besides one that deliver holds and one in the channel

	mu         sync.Mutex
	queue      eventQueue
	delivering bool          // deliver runs; whenever it does not, queue is empty
	pausing    bool          // deliver holds nothing and looks again by itself
	stop       chan struct{} // tells deliver to end; made with the first
	stopped    bool
	done       sync.WaitGroup // deliver

	statsSent bool            // the last event that went to the channel was a Stats
	jwtErrors map[string]bool // the JWTErrors since the last AuthSuccess
	dropped   uint64
}

// maxJWTErrors bounds jwtErrors; a daemon has half a dozen.
const maxJWTErrors = 16

// How long deliver waits before it looks again whether a Stats has been taken, or may be sent: a channel with room cannot be waited for.
// It grows with the time that the consumer has been busy, so that one that comes back is served soon, and one that is gone costs
// hardly anything. push looks too.
const (
	firstPause = time.Millisecond
	usualPause = 100 * time.Millisecond // at most, for the first minute
	maxPause   = time.Second            // after ten
)

// nextPause returns the pause after last, for a consumer that has been busy for this long.
func nextPause(last, busy time.Duration) time.Duration {
	return min(max(min(2*last, usualPause), busy/600), maxPause)
}

// newOutbox returns an outbox that keeps about size events.
func newOutbox(size int) *outbox {
	return &outbox{
		events: make(chan Event, max(1, min(maxBurst, size/burstShare))),
		room:   size,
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
	o.add(ev)
	o.startDelivery()
}

// pushLines hands on console lines that have come in one go. It never blocks on the consumer.
func (o *outbox) pushLines(lines []Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return
	}
	for _, ev := range lines {
		o.add(ev)
	}
	o.startDelivery()
}

// add sends ev, or queues it behind what is queued.
func (o *outbox) add(ev Event) {
	if !o.delivering && o.queue.empty() && o.send(ev) {
		return
	}
	o.queue.push(ev)
	if o.queue.events+len(o.events)-1 > o.room {
		o.queue.drop()
		o.dropped++
	}
}

// send puts ev into the channel if it may be there and there is room.
func (o *outbox) send(ev Event) bool {
	if o.mustWait(ev) {
		return false
	}
	select {
	case o.events <- ev:
		_, o.statsSent = ev.(Stats)
		return true
	default:
		return false
	}
}

// mustWait reports that ev has to wait until the channel is empty, because it or what is there is a Stats.
func (o *outbox) mustWait(ev Event) bool {
	if !o.statsSent {
		if _, isStats := ev.(Stats); !isStats {
			return false
		}
	}
	return len(o.events) > 0
}

// replaceStats puts ev in the place of a Stats that has not been taken yet, and reports whether there was one. The newest takes
// the place of the older, not of its own, or a consumer that never catches up would never see one.
func (o *outbox) replaceStats(ev Stats) bool {
	if o.queue.replaceStats(ev) {
		return true
	}
	if !o.statsSent || len(o.events) == 0 {
		return false
	}
	select {
	case <-o.events: // it is alone there
	default: // just taken
		return false
	}
	return o.send(ev)
}

// fill sends what may be sent.
func (o *outbox) fill() {
	for {
		ev := o.queue.front()
		if ev == nil || !o.send(ev) {
			return
		}
		o.queue.pop()
	}
}

// startDelivery sees to it that what is queued is delivered.
func (o *outbox) startDelivery() {
	switch {
	case o.pausing:
		o.fill()
	case !o.delivering && !o.queue.empty():
		o.delivering = true
		if o.stop == nil {
			o.stop = make(chan struct{})
		}
		o.done.Go(o.deliver)
	}
}

// deliver waits for the consumer until nothing is queued any more.
func (o *outbox) deliver() {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.delivering = false }()
	pause, since := firstPause, time.Now()
	for !o.stopped {
		o.fill()
		ev := o.queue.front()
		if ev == nil {
			return
		}
		if o.mustWait(ev) {
			o.pause(pause)
			pause = nextPause(pause, time.Since(since))
			continue
		}
		pause, since = firstPause, time.Now()
		if _, isStats := ev.(Stats); isStats {
			continue // the channel has just become empty
		}
		o.queue.pop()
		o.statsSent = false // by the time that ev is there
		o.mu.Unlock()
		sent := false
		select {
		case o.events <- ev:
			sent = true
		case <-o.stop:
		}
		o.mu.Lock()
		if !sent {
			o.queue.pushFront(ev)
		}
	}
}

// pause lets d pass, with mu unlocked.
func (o *outbox) pause(d time.Duration) {
	o.pausing = true
	o.mu.Unlock()
	timer := time.NewTimer(d)
	select {
	case <-timer.C:
	case <-o.stop:
		timer.Stop()
	}
	o.mu.Lock()
	o.pausing = false
}

// stopDelivery ends deliver, and lets push do nothing.
func (o *outbox) stopDelivery() {
	o.mu.Lock()
	o.stopped = true
	if o.stop != nil {
		close(o.stop)
	}
	o.mu.Unlock()
	o.done.Wait()
}

// finish ends the outbox: nothing is pushed any more. It delivers what is queued as long as the consumer takes it (not at all
// once ctx has ended), gives up the rest, sends last, and closes the channel.
func (o *outbox) finish(ctx context.Context, last Close) {
	o.stopDelivery()

	// From here on nobody else sends; the lock only serves droppedCount.
	defer close(o.events)
	if o.drain(ctx, last) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped += uint64(o.queue.discard())
	o.sendLast(last)
}

// sendLast sends last, for which there is always room: where nobody takes anything, the newest event in the channel makes way for it. Nobody
// else sends any more.
func (o *outbox) sendLast(last Close) {
	select {
	case o.events <- last:
		return
	default:
	}
	var untaken []Event
	for more := true; more; {
		select {
		case ev := <-o.events:
			untaken = append(untaken, ev)
		default:
			more = false
		}
	}
	keep := len(untaken) - 1
	if len(untaken) < cap(o.events) { // the consumer has come back in this very moment; what it has not got must not come behind what it has
		keep = 0
	}
	for i, ev := range untaken {
		if i < keep {
			o.events <- ev
		} else if _, ok := ev.(Lagged); !ok {
			o.dropped++
		}
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

// clear forgets what has been pushed so far. It is for the time before anybody has the channel, when nothing is being pushed.
func (o *outbox) clear() {
	o.stopDelivery()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.events) > 0 {
		<-o.events
	}
	o.queue = eventQueue{}
	o.dropped, o.statsSent = 0, false
	clear(o.jwtErrors)
	o.stop, o.stopped = nil, false
}

// droppedCount returns how many events were given up so far.
func (o *outbox) droppedCount() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}
