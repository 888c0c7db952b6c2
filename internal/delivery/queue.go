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
func (q *queue[T]) isEmpty() bool { return q.shed.head == nil && q.others.head == nil }

// replace puts v into the place of the last event that is not of class Shed, if that has this number.
func (q *queue[T]) replace(number uint64, v T) bool {
	last := q.others.last()
	if last == nil || last.number != number {
		return false
	}
	size := q.policy.Size(v)
	q.bytes += size - last.size
	last.value, last.size = v, size
	return true
}

// A parcel is an event that was taken out, or what tells that n were given up before it.
type parcel[T any] struct {
	value T
	size  int
	n     int // 0: it is an event
}

// next takes out what is to be sent next. Then it is to be passed, in the same order.
func (q *queue[T]) next() (p parcel[T], ok bool) {
	for q.taken < q.pushed {
		from := &q.shed
		if q.others.first() < from.first() {
			from = &q.others
		}
		n := min(from.first(), q.pushed+1) - q.taken - 1
		if n == 0 {
			it := from.pop()
			q.taken++
			return parcel[T]{it.value, it.size, 0}, true
		}
		q.taken += n
		if v, ok := q.policy.Lagged(int(n)); ok {
			return parcel[T]{v, 0, int(n)}, true
		}
		q.passed += n
	}
	return p, false
}

// pass notes that what next has returned was sent.
func (q *queue[T]) pass(p parcel[T]) {
	q.passed += uint64(max(1, p.n))
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
	if from.head == nil {
		return false
	}
	q.forget(from.pop().size)
	return true
}

// clear gives up everything, also what was taken out and not passed. It returns how many events that were, and how many
// were given up in all since that was last told.
func (q *queue[T]) clear() (untold, given int) {
	untold, given = int(q.pushed-q.passed), q.events
	for q.drop() {
	}
	q.events, q.bytes, q.taken, q.passed = 0, 0, q.pushed, q.pushed
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

// last returns the last item; nil if there is none.
func (f *fifo[T]) last() *item[T] {
	if f.head == nil {
		return nil
	}
	return &f.tail.items[f.to-1]
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
