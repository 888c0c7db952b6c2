package delivery

import "sync"

// A Mux merges what several sources have for one consumer. It takes one event from each source that has something
// queued, in turn, so one that floods delays the others by one event at a time. Sources share the room: one may use
// what the others leave free, and when there is none, the source with the longest queue gives up its oldest event.
//
// An event goes straight into the channel while that has room and nothing is queued. Otherwise it is queued, and a
// goroutine that exists only while something is queued sends. A source's newest event of class Latest is queued behind
// everything, in the place of one that is queued, unless one of class Keep is queued behind that.
type Mux[T any] struct {
	exit[T]
	limits Limits
	done   sync.WaitGroup

	mu      sync.Mutex
	queued  Limits       // in all sources
	turns   []*Source[T] // those with something queued but sent, the next first
	sent    *Source[T]   // the one whose turn it is; nil: nothing is queued anywhere
	victim  *Source[T]   // the one with the longest queue, when that was looked for
	more    int          // how many events more it gives up before that is looked for again
	dropped uint64
}

// Limits are numbers of events and of bytes.
type Limits struct{ Events, Bytes int }

// A Source is one of those who have events for a Mux.
type Source[T any] struct {
	mux     *Mux[T]
	queue   queue[T]
	dropped uint64
}

// muxChannel is how many events the channel of a Mux holds at most: with one event of each other source they are what
// a line waits for.
const muxChannel = 64

// NewMux returns a Mux in which so much is queued at most, of all sources together.
func NewMux[T any](l Limits) *Mux[T] {
	return &Mux[T]{exit: newExit[T](max(1, min(muxChannel, l.Events/share))), limits: l}
}

// Source returns one more source. Its Policy bounds what it may have queued by itself.
func (m *Mux[T]) Source(p Policy[T]) *Source[T] { return &Source[T]{mux: m, queue: newQueue(p)} }

// Push hands an event on. It never waits for the consumer.
func (s *Source[T]) Push(v T) { s.push(s.queue.policy.Class(v), v) }

// PushAll hands on events of class Shed that have come together.
func (s *Source[T]) PushAll(vs []T) { s.push(Shed, vs...) }

func (s *Source[T]) push(class Class, vs ...T) {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.mux.patience != nil {
		return
	}
	for _, v := range vs {
		s.add(class, v)
	}
}

// add sends v, or queues it.
func (s *Source[T]) add(class Class, v T) {
	m, q := s.mux, &s.queue
	if m.sent == nil {
		select {
		case m.events <- v:
			return
		default:
		}
	}
	wasEmpty := !q.hasMore()
	s.change(func() {
		switch class {
		case Latest:
			q.setLatest(v)
		case Keep:
			q.keepLatest()
			fallthrough
		default:
			q.pushed++
			q.push(class, v)
		}
		for q.full(0) && q.drop() {
			s.dropped++
			m.dropped++
		}
	})
	switch {
	case m.sent == nil:
		m.sent = s
		m.done.Go(m.send)
	case wasEmpty && m.sent != s:
		m.turns = append(m.turns, s)
	}
	m.makeRoom()
}

// change does something with the queue, and counts what has changed.
func (s *Source[T]) change(f func()) {
	q, all := &s.queue, &s.mux.queued
	events, bytes := q.events, q.bytes
	f()
	all.Events += q.events - events
	all.Bytes += q.bytes - bytes
}

// makeRoom lets the longest queue give up events while more is queued than should be.
func (m *Mux[T]) makeRoom() {
	for m.queued.Events+len(m.events) > m.limits.Events || m.queued.Bytes > m.limits.Bytes {
		if m.more == 0 || m.victim.queue.isEmpty() {
			if m.victim = m.longest(); m.victim == nil { // nothing but what is being sent
				return
			}
			m.more = 1 + m.victim.queue.events/64
		}
		m.more--
		m.victim.change(func() { m.victim.queue.drop() })
		m.victim.dropped++
		m.dropped++
	}
}

// longest returns the source with the longest queue: in bytes, if there are too many of these, or else in events.
func (m *Mux[T]) longest() (found *Source[T]) {
	isHeavy := m.queued.Bytes > m.limits.Bytes
	most := 0
	look := func(s *Source[T]) {
		n := s.queue.events
		if isHeavy {
			n = s.queue.bytes
		}
		if n > most && !s.queue.isEmpty() {
			found, most = s, n
		}
	}
	look(m.sent)
	for _, s := range m.turns {
		look(s)
	}
	return found
}

// send is the goroutine that waits for the consumer, until nothing is queued any more or patience has ended.
func (m *Mux[T]) send() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		s := m.sent
		if p, ok := s.queue.next(); ok {
			select {
			case m.events <- p.value:
			default:
				m.mu.Unlock()
				sent := m.offer(p.value)
				m.mu.Lock()
				if !sent {
					return
				}
			}
			s.change(func() { s.queue.pass(p) })
		}
		if s.queue.hasMore() {
			m.turns = append(m.turns, s)
		}
		if len(m.turns) == 0 {
			m.sent, m.turns = nil, nil
			return
		}
		m.sent, m.turns[0] = m.turns[0], nil
		m.turns = m.turns[1:]
	}
}

// Dropped returns how many events were given up so far.
func (m *Mux[T]) Dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

// Dropped returns how many of the source's events were given up so far.
func (s *Source[T]) Dropped() uint64 {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	return s.dropped
}

// Limit changes how many events the source may have queued.
func (s *Source[T]) Limit(events int) {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	s.queue.policy.Events = events
}

// Queued returns how much of the source is queued.
func (s *Source[T]) Queued() Limits {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	return Limits{s.queue.events, s.queue.bytes}
}

// Close ends the Mux: nothing is pushed any more. It delivers what is queued for as long as patience allows, gives up
// the rest, and closes the channel. It returns how many events were given up and not told of.
func (m *Mux[T]) Close(patience func() Patience) (dropped int) {
	m.mu.Lock()
	m.patience = patience
	close(m.end)
	m.mu.Unlock()
	m.done.Wait()
	defer close(m.events)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sent != nil {
		m.turns = append(m.turns, m.sent)
	}
	for _, s := range m.turns {
		var untold, given int
		s.change(func() { untold, given = s.queue.clear() })
		s.dropped += uint64(given)
		m.dropped += uint64(given)
		dropped += untold
	}
	return dropped
}
