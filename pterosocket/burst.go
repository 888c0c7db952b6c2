package pterosocket

import "sync"

// maxLines and maxText bound how many console lines are handed on together. A line that the consumer keeps keeps the texts of the others.
const (
	maxLines = 32
	maxText  = 4 << 10
)

// A burst is what the reader has read and not handed on yet. Lines that have arrived together are handed on together, which spares
// allocations, locks and wake-ups; nothing stays in it while the reader waits for the network.
type burst struct {
	frames, bytes uint64
	lines         *lines // borrowed; nil: none
}

// lines are the console lines of a burst.
type lines struct {
	n      int
	text   []byte        // of all of them
	ends   [maxLines]int // where each ends in text
	events [maxLines]Event
}

var linesPool = sync.Pool{New: func() any { return &lines{text: make([]byte, 0, 2*maxText)} }}

// add appends a line, and reports whether there is no room for another.
func (b *burst) add(line []byte) (full bool) {
	if b.lines == nil {
		b.lines = linesPool.Get().(*lines)
	}
	l := b.lines
	l.text = append(l.text, line...)
	l.ends[l.n] = len(l.text)
	l.n++
	return l.n == maxLines || len(l.text) >= maxText
}

// take empties l and returns its lines as events, which are valid until the next add.
func (l *lines) take() []Event {
	all, start := string(l.text), 0
	for i, end := range l.ends[:l.n] {
		l.events[i] = ConsoleOutput{Line: all[start:end]}
		start = end
	}
	events := l.events[:l.n]
	l.text, l.n = l.text[:0], 0
	return events
}

// release gives back what has been borrowed. There are no lines in it.
func (b *burst) release() {
	if b.lines != nil && cap(b.lines.text) <= 2*maxText {
		clear(b.lines.events[:])
		linesPool.Put(b.lines)
	}
	b.lines = nil
}

// beforeWait is called by the connection's Read when it is about to wait. Closing the connection may read as well, in another
// goroutine; from then on the reader keeps nothing back by itself.
func (s *session) beforeWait() {
	if !s.closing.Load() {
		s.flush()
		s.burst.release()
	}
}

// flush hands on what has been kept back.
func (s *session) flush() {
	b := &s.burst
	if b.frames == 0 {
		return
	}
	s.frames.Add(b.frames)
	s.count.eventsReceived.Add(b.frames)
	s.count.bytesReceived.Add(b.bytes)
	b.frames, b.bytes = 0, 0
	if b.lines != nil && b.lines.n > 0 {
		s.recovery.live(b.lines.take())
	}
}
