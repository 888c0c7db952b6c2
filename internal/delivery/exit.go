package delivery

import "time"

// An exit is the channel to the consumer, and how long it is worth waiting for it.
type exit[T any] struct {
	events   chan T
	end      chan struct{}   // closed when patience begins to count
	patience func() Patience // not nil: nothing is pushed any more
}

func newExit[T any](room int) exit[T] {
	return exit[T]{events: make(chan T, room), end: make(chan struct{})}
}

// Patience says how long delivering goes on at the end. It is asked again when Changed is closed.
type Patience struct {
	Idle    time.Duration   // as long as the consumer takes something within this time; negative: not at all; 0: however long it takes
	Until   <-chan struct{} // until this is closed; nil: for ever
	Changed <-chan struct{}
}

// C returns the consumer's channel.
func (e *exit[T]) C() <-chan T { return e.events }

// trySend sends v, if the channel has room for it.
func (e *exit[T]) trySend(v T) bool {
	select {
	case e.events <- v:
		return true
	default:
		return false
	}
}

// offer sends v, if the consumer makes room for it while patience allows.
func (e *exit[T]) offer(v T) bool {
	if e.trySend(v) {
		return true
	}
	for p := (Patience{Changed: e.end}); p.Idle >= 0; p = e.patience() {
		var idle <-chan time.Time
		if p.Idle > 0 {
			idle = time.After(p.Idle)
		}
		select {
		case e.events <- v:
			return true
		case <-p.Changed: // from now on the new patience counts
		case <-idle:
			return false
		case <-p.Until:
			return false
		}
	}
	return false
}
