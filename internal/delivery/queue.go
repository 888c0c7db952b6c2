package delivery

// A slot holds a value, or counts values that were given up there, or is empty.
type slot[T any] struct {
	value   T
	used    bool
	dropped int
}

// A queue is a ring that grows as needed. What is given up leaves its number in its place.
type queue[T any] struct {
	policy *Policy[T]
	ring   []slot[T] // a power of two long
	head   int       // the absolute position of the first slot; its index is head modulo len(ring)
	tail   int       // the absolute position behind the last slot
	values int
	bytes  int

	next int // no value that is shed stands before this position
	mark int // the position of a count that a drop at next adds to; -1: none
}

func (q *queue[T]) at(pos int) *slot[T] { return &q.ring[pos&(len(q.ring)-1)] }

// skip moves head to the first slot that is not empty, and reports whether there is one.
func (q *queue[T]) skip() bool {
	for ; q.head < q.tail; q.head++ {
		if s := q.at(q.head); s.used || s.dropped > 0 {
			return true
		}
	}
	if len(q.ring) > keepRing { // the consumer has caught up: give the memory back
		q.policy.putRing(q.ring)
		*q = queue[T]{policy: q.policy, mark: -1}
	}
	return false
}

// push appends a value.
func (q *queue[T]) push(v T) {
	if q.tail-q.head == len(q.ring) {
		q.resize()
	}
	*q.at(q.tail) = slot[T]{value: v, used: true}
	q.tail++
	q.values++
	q.bytes += q.policy.Size(v)
}

// remove empties the slot at head.
func (q *queue[T]) remove() {
	if s := q.at(q.head); s.used {
		q.values--
		q.bytes -= q.policy.Size(s.value)
	}
	*q.at(q.head) = slot[T]{}
	if q.mark == q.head {
		q.mark = -1
	}
	q.head++
	q.next = max(q.next, q.head)
}

// full reports whether more is queued than should be, beside so many that are in the channel.
func (q *queue[T]) full(sent int) bool {
	return q.values > 0 && (q.values+sent > q.policy.Events || q.bytes > q.policy.Bytes)
}

// drop gives up the oldest value that may be shed, or, if there is none, the oldest. The value at head stays if it is
// held.
func (q *queue[T]) drop(held bool) {
	first := q.head
	if held {
		first++
	}
	if q.next < first {
		q.next = first
		if q.mark < first {
			q.mark = -1
		}
	}
	for ; q.next < q.tail; q.next++ {
		s := q.at(q.next)
		switch {
		case s.dropped > 0:
			q.mark = q.next
		case s.used && q.policy.Class(s.value) == Shed:
			if q.mark < 0 {
				q.mark = q.next
			}
			q.giveUp(q.next, q.mark)
			q.next++
			return
		case s.used:
			q.mark = -1
		}
	}
	mark := -1
	for pos := first; pos < q.tail; pos++ { // nothing but what should stay
		s := q.at(pos)
		if s.used {
			if mark < 0 {
				mark = pos
			}
			q.giveUp(pos, mark)
			return
		}
		if s.dropped > 0 {
			mark = pos
		}
	}
}

// giveUp counts the value at pos in the slot at mark, which may be the same.
func (q *queue[T]) giveUp(pos, mark int) {
	q.values--
	q.bytes -= q.policy.Size(q.at(pos).value)
	*q.at(pos) = slot[T]{dropped: q.at(pos).dropped}
	q.at(mark).dropped++
}

// resize makes room: by closing up over empty slots if there are many, by doubling otherwise.
func (q *queue[T]) resize() {
	used := 0
	for pos := q.head; pos < q.tail; pos++ {
		if s := q.at(pos); s.used || s.dropped > 0 {
			used++
		}
	}
	size := max(firstRing, len(q.ring))
	if used > size/2 {
		size *= 2
	}
	old := *q
	q.ring, q.head, q.tail, q.mark = q.policy.newRing(size), 0, 0, -1
	for pos := old.head; pos < old.tail; pos++ {
		if pos == old.next {
			q.next = q.tail
		}
		if s := old.at(pos); s.used || s.dropped > 0 {
			if pos == old.mark {
				q.mark = q.tail
			}
			*q.at(q.tail) = *s
			q.tail++
		}
	}
	if old.next >= old.tail {
		q.next = q.tail
	}
	q.policy.putRing(old.ring)
}

const (
	firstRing = 16
	keepRing  = 64  // the longest ring that an empty queue holds on to
	burstRing = 512 // rings of this length come and go with every burst, and are used again
)

func (p *Policy[T]) newRing(size int) []slot[T] {
	if size == burstRing && p.Rings != nil {
		if ring, ok := p.Rings.Get().(*[burstRing]slot[T]); ok {
			return ring[:]
		}
	}
	return make([]slot[T], size)
}

func (p *Policy[T]) putRing(ring []slot[T]) {
	if len(ring) == burstRing && p.Rings != nil {
		clear(ring)
		p.Rings.Put((*[burstRing]slot[T])(ring))
	}
}
