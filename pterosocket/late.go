package pterosocket

import (
	"time"

	"github.com/pterosocket/pterosocket-go/internal/replay"
)

// A lateReplay recognises a replay that comes after it has been given up, when live lines go through again: lines that were handed
// on before should not be handed on twice.
//
// It is a replay when a line that was seen before comes again, and the one that was seen behind it comes next; until that is certain
// the first of them is held back, for quietAfter at most. From there on only what repeats the seen lines in their very order is
// left out; behind the last of them, what was handed on since is left out, each line once, and the rest is what was missed. The
// first line that does not fit ends it: in doubt a line is delivered.
type lateReplay struct {
	until  time.Time
	before []uint64       // seen before, in order
	since  map[uint64]int // handed on since
	next   int            // the position in before of the line that should come next; 0: no line has come
	sure   bool
	show   bool // hand the repeated lines on all the same, as replayed ones: no gap was reported that would allow to leave them out
	held   *ConsoleOutput
	at     time.Time // of the last line
}

// watch begins to look for the replay, for this long.
func (r *recovery) watch(before []uint64, since []replay.Line, d time.Duration, show bool) {
	r.late = &lateReplay{until: time.Now().Add(d), before: before, since: make(map[uint64]int), show: show}
	for _, line := range since {
		r.late.since[replay.Key(line.Text)]++
	}
}

// unwatch gives up looking for it.
func (r *recovery) unwatch() {
	if r.late != nil {
		r.late.flush(r)
		r.late = nil
	}
}

// take looks at a line. It reports whether it has dealt with it.
func (l *lateReplay) take(r *recovery, ev ConsoleOutput) bool {
	now := time.Now()
	if now.After(l.until) || l.sure && now.Sub(l.at) > quietUnsure {
		r.unwatch()
		return false
	}
	if ev.Line == "" || replay.OfDaemon(ev.Line) {
		return false
	}
	key := replay.Key(ev.Line)
	l.at = now
	switch {
	case l.sure && l.next < len(l.before):
		if key == l.before[l.next] {
			l.next++
			l.repeated(r, ev)
			return true
		}
		r.late = nil // something else
		return false
	case l.sure:
		if l.since[key] > 0 {
			l.since[key]--
			l.repeated(r, ev)
			return true
		}
		r.handOn(ConsoleOutput{Line: ev.Line, Replayed: true})
		return true
	case l.held != nil && l.next < len(l.before) && key == l.before[l.next]:
		l.repeated(r, *l.held)
		l.repeated(r, ev)
		l.sure, l.held = true, nil
		l.next++
		return true
	}
	l.flush(r)
	for i, k := range l.before {
		if k == key && i+1 < len(l.before) {
			l.next, l.held = i+1, &ev
			r.timer.Reset(quietAfter)
			return true
		}
	}
	l.since[key]++
	return false
}

// repeated deals with a line that has been handed on before.
func (l *lateReplay) repeated(r *recovery, ev ConsoleOutput) {
	if l.show {
		r.to.emit(ConsoleOutput{Line: ev.Line, Replayed: true})
	}
}

// check is the timer's: a line that nothing has followed was a live one.
func (l *lateReplay) check(r *recovery) {
	if l.held == nil {
		return
	}
	if wait := time.Until(l.at.Add(quietAfter)); wait > 0 {
		r.timer.Reset(wait)
		return
	}
	l.flush(r)
}

func (l *lateReplay) flush(r *recovery) {
	if l.held != nil {
		ev := *l.held
		l.held = nil
		l.since[replay.Key(ev.Line)]++
		r.handOn(ev)
	}
}
