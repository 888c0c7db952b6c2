package pterosocket

import (
	"time"

	"github.com/pterosocket/pterosocket-go/internal/replay"
)

// A lateReplay recognises a replay that comes after it has been given up, when its gap has been reported and live lines go through
// again: lines that were handed on before must not be handed on twice.
//
// It is a replay when a line that was seen before the loss comes again, and the one that was seen behind it comes next. Until that
// is certain the first of them is held back, for quietAfter at most.
type lateReplay struct {
	until   time.Time
	before  []uint64        // seen before the loss, in order
	known   map[uint64]bool // handed on, before or since
	next    int             // the position in before of the line that would come next; 0: no line has come
	running bool            // it is certain
	held    *ConsoleOutput
	heldAt  time.Time
}

func (l *lateReplay) active() bool { return !l.until.IsZero() }

// watch begins to look for the replay.
func (l *lateReplay) watch(before []uint64, since []replay.Line) {
	if len(before) == 0 {
		return
	}
	*l = lateReplay{until: time.Now().Add(lateFor), before: before, known: make(map[uint64]bool, len(before)+len(since))}
	for _, key := range before {
		l.known[key] = true
	}
	for _, line := range since {
		l.known[replay.Key(line.Text)] = true
	}
}

// take looks at a line. It reports whether it has dealt with it.
func (l *lateReplay) take(r *recovery, ev ConsoleOutput) bool {
	now := time.Now()
	if now.After(l.until) || l.running && now.Sub(l.heldAt) > quietUnsure {
		l.flush(r)
		*l = lateReplay{}
		return false
	}
	key := replay.Key(ev.Line)
	if ev.Line == "" || replay.OfDaemon(ev.Line) {
		return false
	}
	switch {
	case l.running:
		l.heldAt = now
		if l.known[key] {
			return true
		}
		// Missed, or live: either way it has not been handed on.
		l.known[key] = true
		r.handOn(ConsoleOutput{Line: ev.Line, Replayed: true})
		return true
	case l.held != nil && l.next < len(l.before) && key == l.before[l.next]:
		l.running, l.held, l.heldAt = true, nil, now
		return true
	}
	l.flush(r)
	for i, k := range l.before {
		if k != key {
			continue
		}
		l.next, l.held, l.heldAt = i+1, &ev, now
		l.running = i == len(l.before)-1 && len(l.before) == 1
		if l.running {
			l.held = nil
			return true
		}
		r.timer.Reset(quietAfter)
		return true
	}
	l.known[key] = true
	return false
}

// check is the timer's: a line that nothing has followed was a live one.
func (l *lateReplay) check(r *recovery) {
	if l.held == nil {
		return
	}
	if wait := time.Until(l.heldAt.Add(quietAfter)); wait > 0 {
		r.timer.Reset(wait)
		return
	}
	l.flush(r)
}

func (l *lateReplay) flush(r *recovery) {
	if l.held != nil {
		ev := *l.held
		l.held = nil
		r.handOn(ev)
	}
}
