package delivery

import (
	"math"
	"reflect"
	"slices"
	"sync"
)

// A queue holds what waits. Events are numbered as they come: the numbers that are missing are of those given up.
type queue[T any] struct {
	policy Policy[T]
	shed   fifo[T] // of class Shed
	others fifo[T]
	events int    // in both, and the one that is being sent
	bytes  int    // of these
	pushed uint64 // the number of the last event
	passed uint64 // the last number that was sent, or told to be given up; pushed: nothing waits
}

func newQueue[T any](p Policy[T]) queue[T] { return queue[T]{policy: p} }

// pools keeps the memory of bursts, for all queues of a type.
var pools sync.Map

func poolOf[T any]() *sync.Pool {
	pool, _ := pools.LoadOrStore(reflect.TypeFor[T](), &sync.Pool{New: func() any { return new([burst]item[T]) }})
	return pool.(*sync.Pool)
}

// push queues the event with the number pushed.
func (q *queue[T]) push(class Class, v T) {
	to := &q.others
	if class == Shed {
		to = &q.shed
	}
	to.push(item[T]{v, q.pushed})
	q.events++
	q.bytes += q.policy.Size(v)
}

// isEmpty reports whether there is nothing that drop could give up.
func (q *queue[T]) isEmpty() bool { return q.shed.items == nil && q.others.items == nil }

// replace puts v into the place of the last event that is not of class Shed, if that has this number.
func (q *queue[T]) replace(number uint64, v T) bool {
	if q.others.items == nil {
		return false
	}
	last := &q.others.items[len(q.others.items)-1]
	if last.number != number {
		return false
	}
	q.bytes += q.policy.Size(v) - q.policy.Size(last.value)
	last.value = v
	return true
}

// next takes out what is to be sent next: an event, or what tells that n were given up before it. Then it is to be
// passed.
func (q *queue[T]) next() (v T, n int, ok bool) {
	for q.passed < q.pushed {
		from := &q.shed
		if q.others.first() < from.first() {
			from = &q.others
		}
		if n = int(min(from.first(), q.pushed+1) - q.passed - 1); n == 0 {
			return from.pop(), 0, true
		}
		if v, ok := q.policy.Lagged(n); ok {
			return v, n, true
		}
		q.passed += uint64(n)
	}
	return v, 0, false
}

// pass notes that what next has returned was sent.
func (q *queue[T]) pass(v T, n int) {
	q.passed += uint64(max(1, n))
	if n == 0 {
		q.forget(v)
	}
}

func (q *queue[T]) forget(v T) {
	q.events--
	q.bytes -= q.policy.Size(v)
}

// full reports whether more is queued than should be, beside so many events that are in the channel.
func (q *queue[T]) full(sent int) bool {
	return q.events+sent > q.policy.Events || q.bytes > q.policy.Bytes
}

// drop gives up the oldest event that may be shed, or, if there is none, the oldest. It reports whether there was any.
func (q *queue[T]) drop() bool {
	from := &q.shed
	if from.items == nil {
		from = &q.others
	}
	if from.items == nil {
		return false
	}
	q.forget(from.pop())
	return true
}

// clear gives up everything, also what was taken out and not passed. It returns how many events that were, and how many
// were given up in all since that was last told.
func (q *queue[T]) clear() (untold, given int) {
	untold, given = int(q.pushed-q.passed), q.events
	for q.drop() {
	}
	q.events, q.bytes, q.passed = 0, 0, q.pushed
	return untold, given
}

// An item is an event that waits.
type item[T any] struct {
	value  T
	number uint64
}

// A fifo holds items in the order of their numbers.
type fifo[T any] struct {
	pool  *sync.Pool // of *[burst]item[T], all zero; nil: memory is allocated as it is needed
	items []item[T]  // nil: none
	head  int        // the first of them
}

// burst is for how many items a fifo has memory from the beginning: it comes and goes with every burst.
const burst = 512

// first returns the number of the first item, or one that is higher than all.
func (f *fifo[T]) first() uint64 {
	if f.items == nil {
		return math.MaxUint64
	}
	return f.items[f.head].number
}

func (f *fifo[T]) push(i item[T]) {
	if f.items == nil && f.pool != nil {
		f.items = f.pool.Get().(*[burst]item[T])[:0]
	}
	if len(f.items) == cap(f.items) && f.head >= len(f.items)/2 {
		f.items, f.head = slices.Delete(f.items, 0, f.head), 0
	}
	f.items = append(f.items, i)
}

func (f *fifo[T]) pop() T {
	v := f.items[f.head].value
	f.items[f.head] = item[T]{}
	if f.head++; f.head == len(f.items) {
		if f.pool != nil && cap(f.items) == burst {
			f.pool.Put((*[burst]item[T])(f.items[:burst]))
		}
		f.items, f.head = nil, 0
	}
	return v
}
