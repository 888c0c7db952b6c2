package delivery

import (
	"math"
	"reflect"
	"sync"
)

// A queue holds what waits. Events are numbered as they come: the numbers that are missing are of those given up.
type queue[T any] struct {
	policy Policy[T]
	shed   fifo[T] // of class Shed
	others fifo[T]
	events int    // in both, and those that were taken and not passed
	bytes  int    // of these
	pushed uint64 // the number of the last event
	taken  uint64 // the last number that was taken out, or is told to be given up by what was
	passed uint64 // the last number that was sent, or told to be given up; pushed: nothing waits

	latest *item[T] // waits behind the event that has its number, and has none itself; nil: none does
	isOut  bool     // one of these was taken out and not passed
}

func newQueue[T any](p Policy[T]) queue[T] {
	return queue[T]{policy: p, shed: newFifo[T](), others: newFifo[T]()}
}

// push queues the event with the number pushed.
func (q *queue[T]) push(class Class, v T) {
	to := &q.others
	if class == Shed {
		to = &q.shed
	}
	size := q.policy.Size(v)
	to.push(item[T]{v, q.pushed, size})
	q.events++
	q.bytes += size
}

// isEmpty reports whether there is nothing that drop could give up.
func (q *queue[T]) isEmpty() bool {
	return q.shed.head == nil && q.others.head == nil && q.latest == nil
}

// hasMore reports whether something waits to be taken out.
func (q *queue[T]) hasMore() bool { return q.taken < q.pushed || q.latest != nil }

// setLatest queues v behind everything, in the place of another that waits so.
func (q *queue[T]) setLatest(v T) {
	if q.latest != nil {
		q.forget(q.latest.size)
	}
	q.latest = &item[T]{v, q.pushed, q.policy.Size(v)}
	q.events++
	q.bytes += q.latest.size
}

// keepLatest lets one that waits keep its place: nothing takes it any more.
func (q *queue[T]) keepLatest() {
	if q.latest != nil {
		q.pushed++
		q.others.push(item[T]{q.latest.value, q.pushed, q.latest.size})
		q.latest = nil
	}
}

// A parcel is an event that was taken out, or what tells that n were given up before it.
type parcel[T any] struct {
	value    T
	size     int
	n        int // 0: it is an event
	isLatest bool
}

// next takes out what is to be sent next. Then it is to be passed, in the same order.
func (q *queue[T]) next() (p parcel[T], ok bool) {
	for q.hasMore() {
		from := &q.shed
		if q.others.first() < from.first() {
			from = &q.others
		}
		n := min(from.first(), q.pushed+1) - q.taken - 1
		if q.latest != nil {
			n = min(n, q.latest.number-q.taken)
		}
		switch {
		case n > 0:
			q.taken += n
			if v, ok := q.policy.Lagged(int(n)); ok {
				return parcel[T]{value: v, n: int(n)}, true
			}
			q.passed += n
		case q.latest != nil && q.latest.number == q.taken:
			p = parcel[T]{value: q.latest.value, size: q.latest.size, isLatest: true}
			q.latest, q.isOut = nil, true
			return p, true
		default:
			it := from.pop()
			q.taken++
			return parcel[T]{value: it.value, size: it.size}, true
		}
	}
	return p, false
}

// pass notes that what next has returned was sent.
func (q *queue[T]) pass(p parcel[T]) {
	switch {
	case p.isLatest:
		q.isOut = false
	default:
		q.passed += uint64(max(1, p.n))
	}
	if p.n == 0 {
		q.forget(p.size)
	}
}

func (q *queue[T]) forget(size int) {
	q.events--
	q.bytes -= size
}

// full reports whether more is queued than should be, beside so many events that are in the channel.
func (q *queue[T]) full(sent int) bool {
	return q.events+sent > q.policy.Events || q.bytes > q.policy.Bytes
}

// drop gives up the oldest event that may be shed, or, if there is none, the oldest. It reports whether there was any.
func (q *queue[T]) drop() bool {
	from := &q.shed
	if from.head == nil {
		from = &q.others
	}
	switch {
	case from.head != nil:
		q.forget(from.pop().size)
	case q.latest != nil: // it counts as one that came last
		q.keepLatest()
		return q.drop()
	default:
		return false
	}
	return true
}

// clear gives up everything, also what was taken out and not passed. It returns how many events that were, and how many
// were given up in all since that was last told.
func (q *queue[T]) clear() (untold, given int) {
	given = q.events
	if q.isOut {
		untold++
	}
	for q.drop() {
	}
	untold += int(q.pushed - q.passed)
	q.events, q.bytes, q.taken, q.passed, q.isOut = 0, 0, q.pushed, q.pushed, false
	return untold, given
}

// An item is an event that waits.
type item[T any] struct {
	value  T
	number uint64
	size   int
}

// A fifo holds items in the order of their numbers, in pieces of memory that come and go with them.
type fifo[T any] struct {
	pool       *sync.Pool // of *piece[T], all zero
	head, tail *piece[T]  // nil: there are no items
	from, to   int        // the first item in head, and behind the last one in tail
}

// A piece is the memory of some items.
type piece[T any] struct {
	items [32]item[T]
	next  *piece[T]
}

// pools keeps pieces, for all queues of a type.
var pools sync.Map

func newFifo[T any]() fifo[T] {
	pool, _ := pools.LoadOrStore(reflect.TypeFor[T](), &sync.Pool{New: func() any { return new(piece[T]) }})
	return fifo[T]{pool: pool.(*sync.Pool)}
}

// first returns the number of the first item, or one that is higher than all.
func (f *fifo[T]) first() uint64 {
	if f.head == nil {
		return math.MaxUint64
	}
	return f.head.items[f.from].number
}

func (f *fifo[T]) push(i item[T]) {
	if f.head == nil || f.to == len(f.tail.items) {
		p := f.pool.Get().(*piece[T])
		if f.head == nil {
			f.head = p
		} else {
			f.tail.next = p
		}
		f.tail, f.to = p, 0
	}
	f.tail.items[f.to] = i
	f.to++
}

func (f *fifo[T]) pop() item[T] {
	p := f.head
	i := p.items[f.from]
	p.items[f.from] = item[T]{}
	f.from++
	if isLast := p == f.tail && f.from == f.to; isLast || f.from == len(p.items) {
		f.head, f.from, p.next = p.next, 0, nil
		f.pool.Put(p)
		if isLast {
			f.tail = nil
		}
	}
	return i
}
