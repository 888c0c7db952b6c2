package pterosocket

import (
	"sync"
	"time"
)

const (
	// maxLines limits how many console lines are handed on together. It is about as many as a transport reads at once.
	// A wake-up of the consumer costs as much as twenty lines.
	maxLines = 256
	// maxText limits how much text a single kept line keeps in memory, since lines that came together share memory.
	// Only a longer line keeps more.
	maxText = 4 << 10
)

// A burst is what the reader has read and not handed on yet. Lines that arrived together are handed on together. This
// saves allocations, locks and wake-ups. Nothing stays in the burst while the reader waits for the network.
type burst struct {
	most          int // how many lines are handed on together at most
	frames, bytes uint64
	lines         *lines // borrowed; nil: none
}

// linesFor returns how many lines may be handed on together to a queue of this size. That is a small part of the queue.
// Otherwise the queue would overflow before its consumer had a chance.
func linesFor(queue int) int { return max(1, min(maxLines, queue/8)) }

// lines are the console lines of a burst.
type lines struct {
	events []Event // the first lines, as events
	text   []byte  // the text of the other lines
	ends   []int   // where each of the other lines ends in text
}

var linesPool = sync.Pool{New: func() any {
	return &lines{make([]Event, 0, maxLines), make([]byte, 0, maxText), make([]int, 0, maxLines)}
}}

// add appends a line, and reports whether there is no room for another.
func (b *burst) add(line []byte) (full bool) {
	if b.lines == nil {
		b.lines = linesPool.Get().(*lines)
	}
	l := b.lines
	if len(l.text)+len(line) > maxText {
		l.box()
	}
	l.text = append(l.text, line...)
	l.ends = append(l.ends, len(l.text))
	return len(l.events)+len(l.ends) >= b.most
}

// box turns the other lines into events.
func (l *lines) box() {
	all, start := string(l.text), 0
	for _, end := range l.ends {
		l.events = append(l.events, ConsoleOutput{Line: all[start:end]})
		start = end
	}
	l.text, l.ends = l.text[:0], l.ends[:0]
}

// take empties l and returns its lines as events, which are valid until the next add.
func (l *lines) take() []Event {
	l.box()
	events := l.events
	l.events = events[:0]
	return events
}

// release gives back what was borrowed. No lines may be in it.
func (b *burst) release() {
	if b.lines != nil && cap(b.lines.text) <= 2*maxText {
		linesPool.Put(b.lines)
	}
	b.lines = nil
}

// beforeWait is called by the connection's Read when it is about to wait. Closing the connection may read too, in
// another goroutine. From then on the reader keeps nothing back.
func (s *session) beforeWait() {
	if !s.isEnding() {
		s.flush()
		s.reader.burst.release()
	}
}

// flush hands on what was kept back.
func (s *session) flush() {
	b := &s.reader.burst
	if b.frames == 0 {
		return
	}
	s.frames.Add(b.frames)
	s.count.eventsReceived.Add(b.frames)
	s.count.bytesReceived.Add(b.bytes)
	s.count.lastFrame.Store(time.Now().UnixNano())
	b.frames, b.bytes = 0, 0
	if b.lines == nil {
		return
	}
	if events := b.lines.take(); len(events) > 0 {
		s.console.live(events)
		clear(events)
	}
}
