package pterosocket

import (
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/replay"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	// holdFor is how long live lines are held back at most while a replay is expected.
	holdFor = time.Second
	// quietAfter ends a replay that has begun: its lines come in one go.
	quietAfter = 100 * time.Millisecond
	// quietUnsure ends it when there is nothing to recognise a replay by.
	quietUnsure = 250 * time.Millisecond
	// maxHeld and maxHeldBytes bound what is held back.
	maxHeld      = 20_000
	maxHeldBytes = 8 << 20
	// lateFor is how long after a replay has been given up it is still recognised.
	lateFor = 10 * time.Second
)

// A recovery stands between the reader and the consumer. After a reconnect it asks for the daemon's history, holds live lines
// back until that has come, and hands on what was missed before them. It outlives the connections, since it knows what was seen.
//
// Lines are handed on with mu held, so that those of the reader and those that a timer releases keep their order; handing on never
// blocks.
type recovery struct {
	to    lineOwner
	count *counters

	mu      sync.Mutex
	seen    replay.Seen
	holding bool
	first   bool // a first connection: there is no gap to report
	offline bool // the server was said to be offline: nothing will come
	began   time.Time
	held    []replay.Line
	bytes   int
	sure    bool     // a line of the replay has been recognised
	request *request // for the replay
	timer   *time.Timer
	late    *lateReplay   // nil: none is looked for
	recall  *recall       // Commands.History is what lines are held back for
	idle    chan struct{} // closed while nothing is held back
}

// lineOwner is what lines, and reports of gaps, are handed on to: the client.
type lineOwner interface {
	emit(Event)
	emitLines([]Event)
}

func newRecovery(to lineOwner, count *counters) *recovery {
	return &recovery{to: to, count: count, idle: closedChannel}
}

// closedChannel is one that has been closed.
var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// begin holds lines back from now on and asks s for the daemon's history. With first it is not about a gap.
func (r *recovery) begin(s *session, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupt()
	r.hold()
	r.first = first
	r.request = newRequest(wire.SendLogs, wire.AppendFrame(nil, wire.SendLogs, ""))
	s.queue.add(r.request)
}

// isHolding reports whether a replay is being waited for.
func (r *recovery) isHolding() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holding
}

// hold begins to hold lines back.
func (r *recovery) hold() {
	r.holding, r.first, r.offline, r.sure = true, false, false, false
	r.began = time.Now()
	r.held, r.bytes = nil, 0
	r.unwatch()
	r.idle = make(chan struct{})
	r.timer = time.AfterFunc(quietAfter, r.check)
}

// gap reports that lines may be missing here, where no history is asked for.
func (r *recovery) gap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reportGap()
}

func (r *recovery) reportGap() {
	r.count.gaps.Add(1)
	r.to.emit(Gap{})
}

// live hands console lines on, or holds them back. It takes the events as they are in their interfaces, which need not be made anew.
func (r *recovery) live(lines []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.holding && r.late == nil {
		for _, ev := range lines {
			r.seen.Add(ev.(ConsoleOutput).Line)
		}
		r.to.emitLines(lines)
		return
	}
	for _, ev := range lines {
		r.line(ev)
	}
}

func (r *recovery) line(boxed Event) {
	ev := boxed.(ConsoleOutput)
	if !r.holding {
		if r.late != nil && r.late.take(r, ev) {
			return
		}
		r.seen.Add(ev.Line)
		r.to.emit(boxed)
		return
	}
	r.held = append(r.held, replay.Line{Text: ev.Line, At: time.Now()})
	r.bytes += len(ev.Line)
	if !r.sure {
		last, ok := r.seen.Last()
		r.sure = ok && replay.Key(ev.Line) == last
	}
	if len(r.held) >= maxHeld || r.bytes >= maxHeldBytes {
		r.release()
	}
}

func (r *recovery) handOn(ev ConsoleOutput) {
	r.seen.Add(ev.Line)
	r.to.emit(ev)
}

// serverOffline ends the wait: an offline server's history is not sent.
func (r *recovery) serverOffline() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holding {
		r.offline = true
		r.release()
	}
}

// check is the timer's: it releases what is held when the replay is over or does not come.
func (r *recovery) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.holding {
		if r.late != nil {
			r.late.check(r)
		}
		return
	}
	now := time.Now()
	wait := r.patience().Sub(now)
	if wait <= 0 {
		r.release()
		return
	}
	r.timer.Reset(min(wait, quietAfter))
}

// patience returns until when lines are held back.
func (r *recovery) patience() time.Time {
	if r.recall != nil {
		return r.recall.patience(r)
	}
	until := r.began.Add(holdFor)
	if n := len(r.held); n > 0 {
		quiet := r.held[n-1].At
		if _, known := r.seen.Last(); !known {
			until = earliest(until, quiet.Add(quietUnsure))
		} else if r.sure {
			until = earliest(until, quiet.Add(quietAfter))
		}
	}
	return until
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// release hands on what was missed, and what was held back behind it.
func (r *recovery) release() {
	r.stopHolding()
	if r.recall != nil {
		r.recall.release(r)
		return
	}
	asked := r.withdraw()
	before := r.seen.Keys()
	lines, continuous := replay.Merge(before, r.held)
	r.held = nil
	if !continuous && !r.first && (!r.offline || len(lines) > 0) {
		r.reportGap()
	}
	for _, l := range lines {
		if l.Replayed {
			r.count.linesReplayed.Add(1)
		}
		r.handOn(ConsoleOutput{Line: l.Text, Replayed: l.Replayed})
	}
	if asked && len(lines) == 0 && !continuous && !r.offline { // the replay has not come, and may still come
		r.watch(before, nil, lateFor, false)
	}
}

func (r *recovery) stopHolding() {
	r.holding = false
	r.timer.Stop()
	close(r.idle)
}

// withdraw takes the request for the replay back, and reports whether it is too late for that.
func (r *recovery) withdraw() (sent bool) {
	if r.request.claim() {
		r.request.settle(ErrNotSent)
		return false
	}
	return true
}

// interrupt ends the wait before its time: the connection is lost, or another replay is asked for.
func (r *recovery) interrupt() {
	switch {
	case !r.holding:
		return
	case r.recall != nil:
		r.recall.err = errInterrupted
		r.release()
		return
	}
	seen := r.seen.Keys()
	if _, continuous := replay.Merge(seen, r.held); continuous || r.first {
		r.release()
		return
	}
	// The replay has not come, or not to where it would go on from what was seen. The next one may show that nothing is missing; but
	// what has come live must not wait for that.
	r.stopHolding()
	r.withdraw()
	lines := replay.Unknown(seen, r.held)
	r.held = nil
	if len(lines) > 0 {
		r.reportGap()
	}
	for _, l := range lines {
		r.handOn(ConsoleOutput{Line: l.Text})
	}
}

// end is called when a connection is lost: what is held back is handed on.
func (r *recovery) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupt()
	r.unwatch()
	if r.timer != nil {
		r.timer.Stop()
	}
}

// forget forgets what was seen, before anybody has seen it.
func (r *recovery) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.Forget()
}
