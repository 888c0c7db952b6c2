package pterosocket

import (
	"math"
	"sync"
)

// An eventQueue holds events for a slow consumer in order. It is a ring that grows as needed. What is dropped leaves a mark with
// a count in its place, which comes out as a Lagged.
type eventQueue struct {
	ring   []Event // a power of two long; nil where something was removed
	head   int     // the absolute position of the first slot; the ring index is head modulo len(ring)
	tail   int     // the absolute position behind the last slot
	events int     // neither marks nor empty slots

	next  int // no droppable event stands before this position
	mark  int // position of the mark that a drop at next extends, or none
	stats int // position of the only Stats, or none
	ready bool
}

// none is no position. Positions themselves may be negative, by pushFront.
const none = math.MinInt

// dropMark stands in the queue for n events that were dropped there. It never leaves the queue.
type dropMark struct{ n int }

func (*dropMark) Name() string { return "" }
func (*dropMark) sealed()      {}

// droppable reports whether ev comes at the console's pace. Such events go first when the queue is full.
func droppable(ev Event) bool {
	switch ev.(type) {
	case ConsoleOutput, InstallOutput, TransferLogs, DaemonMessage, DaemonError, JWTError, Error, Unknown,
		InstallProgress, ImagePullProgress, BackupProgress, BackupRestoreProgress, TransferProgress, OperationProgress:
		return true
	}
	return false
}

func (q *eventQueue) slot(pos int) *Event { return &q.ring[pos&(len(q.ring)-1)] }

func (q *eventQueue) init() {
	if !q.ready {
		*q = eventQueue{mark: none, stats: none, ready: true}
	}
}

// empty reports whether nothing is queued, marks included.
func (q *eventQueue) empty() bool { return q.head == q.tail }

// push appends ev.
func (q *eventQueue) push(ev Event) {
	q.init()
	if q.tail-q.head == len(q.ring) {
		q.resize()
	}
	*q.slot(q.tail) = ev
	if _, ok := ev.(Stats); ok {
		q.stats = q.tail
	}
	q.tail++
	q.events++
}

// pushFront puts ev before all others.
func (q *eventQueue) pushFront(ev Event) {
	q.init()
	if q.tail-q.head == len(q.ring) {
		q.resize()
	}
	q.head--
	if l, ok := ev.(Lagged); ok { // back from the channel
		*q.slot(q.head) = &dropMark{l.Dropped}
	} else {
		*q.slot(q.head) = ev
		q.events++
		if _, ok := ev.(Stats); ok && q.stats == none {
			q.stats = q.head
		}
	}
	q.next, q.mark = q.head, none
}

// front returns the first event, nil if there is none.
func (q *eventQueue) front() Event {
	for q.head < q.tail {
		switch ev := (*q.slot(q.head)).(type) {
		case nil:
			q.head++
		case *dropMark:
			return Lagged{Dropped: ev.n}
		default:
			return ev
		}
	}
	if len(q.ring) > keepRing { // the consumer has caught up: give the memory back
		putRing(q.ring)
		*q = eventQueue{}
	}
	return nil
}

// keepRing is the longest ring that a queue without events holds on to. A longer one is burstRing long at least: those come and go with
// every burst, and are used again.
const (
	keepRing  = 64
	burstRing = 512
)

// rings are *[burstRing]Event, empty.
var rings = sync.Pool{New: func() any { return new([burstRing]Event) }}

// newRing returns an empty ring of at least size.
func newRing(size int) []Event {
	if size <= keepRing || size > burstRing {
		return make([]Event, size)
	}
	return rings.Get().(*[burstRing]Event)[:]
}

func putRing(ring []Event) {
	if len(ring) == burstRing {
		clear(ring)
		rings.Put((*[burstRing]Event)(ring))
	}
}

// pop removes and returns the first event, nil if there is none.
func (q *eventQueue) pop() Event {
	ev := q.front()
	if ev == nil {
		return nil
	}
	slot := q.slot(q.head)
	if _, ok := (*slot).(*dropMark); !ok {
		q.events--
	}
	*slot = nil
	if q.stats == q.head {
		q.stats = none
	}
	if q.mark == q.head {
		q.mark = none
	}
	q.head++
	q.next = max(q.next, q.head)
	return ev
}

// drop gives up one event: the oldest droppable one, or, if there is none, the oldest.
func (q *eventQueue) drop() {
	for q.next = max(q.next, q.head); q.next < q.tail; q.next++ {
		ev := *q.slot(q.next)
		switch m := ev.(type) {
		case nil:
			continue
		case *dropMark:
			q.mark = q.next
			continue
		default:
			if !droppable(m) {
				q.mark = none
				continue
			}
		}
		q.markAt(q.next)
		q.next++
		return
	}
	// Nothing but what should stay. A mark at the head swallows the first of it and moves to its place.
	first := 0
	for ; q.head < q.tail; q.head++ {
		slot := q.slot(q.head)
		m, isMark := (*slot).(*dropMark)
		if isMark {
			first += m.n
		} else if *slot != nil {
			q.mark = none
			q.markAt(q.head)
			q.mark = none // it is not next to q.next
			(*q.slot(q.head)).(*dropMark).n += first
			return
		}
		*slot = nil
	}
}

// markAt replaces the event at pos by a mark, or adds it to the mark just before it.
func (q *eventQueue) markAt(pos int) {
	if q.stats == pos {
		q.stats = none
	}
	q.events--
	if q.mark != none && q.mark >= q.head {
		(*q.slot(q.mark)).(*dropMark).n++
		*q.slot(pos) = nil
		return
	}
	*q.slot(pos) = &dropMark{1}
	q.mark = pos
}

// replaceStats puts ev in the place of the queued Stats and reports whether there was one.
func (q *eventQueue) replaceStats(ev Stats) bool {
	if !q.ready || q.stats == none {
		return false
	}
	*q.slot(q.stats) = ev
	return true
}

// discard empties the queue and returns how many events were given up by that, those dropped before not counted.
func (q *eventQueue) discard() (n int) {
	for ev := q.pop(); ev != nil; ev = q.pop() {
		if _, ok := ev.(Lagged); !ok {
			n++
		}
	}
	return n
}

// resize makes room: by closing up over empty slots if there are many, by doubling otherwise.
func (q *eventQueue) resize() {
	used := 0
	for pos := q.head; pos < q.tail; pos++ {
		if *q.slot(pos) != nil {
			used++
		}
	}
	size := max(16, len(q.ring))
	if used > size/2 {
		size *= 2
	}
	old := *q
	*q = eventQueue{ring: newRing(size), events: old.events, mark: none, stats: none, ready: true}
	for pos := old.head; pos < old.tail; pos++ {
		ev := *old.slot(pos)
		if pos == old.next {
			q.next = q.tail
		}
		if ev == nil {
			continue
		}
		switch pos {
		case old.mark:
			q.mark = q.tail
		case old.stats:
			q.stats = q.tail
		}
		*q.slot(q.tail) = ev
		q.tail++
	}
	if old.next >= old.tail {
		q.next = q.tail
	}
}
