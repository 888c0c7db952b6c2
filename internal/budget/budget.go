// Package budget shares a panel's limit on requests among all who ask it with one key: one after the other, evenly
// spaced, the most urgent first.
package budget

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Urgency orders the requests that wait.
type Urgency uint8

// The urgencies, the most urgent first.
const (
	Renewal   Urgency = iota // a connection stands, and its token ends
	Reconnect                // a connection stood
	First                    // a server has not been connected yet
	Refresh                  // of a list
)

const (
	// Default is what is taken to be allowed in a minute until an answer has told the limit.
	Default = 180
	// window is after what time a panel counts from nothing again, at the latest.
	window = time.Minute
)

// A Budget hands out turns. Its methods may be called from anywhere.
type Budget struct {
	mu       sync.Mutex
	fixed    int // requests a minute that the user wants; 0: three quarters of the limit
	learned  int // what the panel allows in a minute; 0: it has not said
	waiting  turns
	last     time.Time // when the last turn was handed out
	used     uint64    // turns so far
	closed   time.Time // until then there are no turns at all: a 429 said so
	narrow   time.Time // until then there are turns for renewals only: others have used nearly all
	timer    *time.Timer
	sequence uint64
}

// New returns a Budget of so many requests a minute; 0: three quarters of what the panel says that its limit is.
func New(perMinute int) *Budget { return &Budget{fixed: perMinute} }

// PerMinute returns how many turns there are in a minute.
func (b *Budget) PerMinute() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.perMinute()
}

// Limit returns how many requests a minute the panel allows the user; 0: it has not said.
func (b *Budget) Limit() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.learned
}

func (b *Budget) perMinute() int {
	switch {
	case b.fixed > 0:
		return b.fixed
	case b.learned > 0:
		return max(1, b.learned*3/4)
	}
	return Default
}

// SetPerMinute changes how many turns there are in a minute; 0: see New.
func (b *Budget) SetPerMinute(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fixed = n
	b.hand()
}

// Learn notes what an answer told of the user's limit: so many requests in each window, of which so many are left.
func (b *Budget) Learn(limit, remaining int, every time.Duration) {
	if limit <= 0 || every <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.learned = int(float64(min(limit, 1e6)) * float64(time.Minute) / float64(every))
	if remaining <= limit/10 {
		b.narrow = time.Now().Add(min(every, window))
	}
	b.hand()
}

// Close hands out no turns for d, since a panel has answered 429.
func (b *Budget) Close(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(d); until.After(b.closed) {
		b.closed = until
	}
	b.hand()
}

// Wait waits for a turn, or until ctx ends, whose cause it returns then. Of equal urgency the earliest due goes first.
func (b *Budget) Wait(ctx context.Context, u Urgency, due time.Time) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.mu.Lock()
	b.sequence++
	t := &turn{urgency: u, due: due, sequence: b.sequence, came: make(chan struct{})}
	heap.Push(&b.waiting, t)
	b.hand()
	b.mu.Unlock()
	select {
	case <-t.came:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.index < 0 { // its turn has come in the same moment, and is lost
		return context.Cause(ctx)
	}
	heap.Remove(&b.waiting, t.index)
	b.hand()
	return context.Cause(ctx)
}

// Take takes a turn that is not waited for: those that come later wait the longer.
func (b *Budget) Take() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.last.Before(now) {
		b.last = now.Add(-b.spacing())
	}
	b.last = b.last.Add(b.spacing())
	b.used++
	b.hand()
}

// spacing is the time from one turn to the next.
func (b *Budget) spacing() time.Duration { return time.Minute / time.Duration(b.perMinute()) }

// Use returns how many turns there have been, and how many wait for one.
func (b *Budget) Use() (used uint64, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, len(b.waiting)
}

// hand hands out the turn that is due, if one is, and sees to it that the next is. b.mu is held.
func (b *Budget) hand() {
	if b.timer != nil {
		b.timer.Stop()
	}
	for len(b.waiting) > 0 {
		now := time.Now()
		at := b.last.Add(b.spacing())
		if b.closed.After(at) {
			at = b.closed
		}
		if b.waiting[0].urgency != Renewal && b.narrow.After(at) {
			at = b.narrow
		}
		if at.After(now) {
			b.timer = time.AfterFunc(at.Sub(now), func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.hand()
			})
			return
		}
		b.last = now
		b.used++
		close(heap.Pop(&b.waiting).(*turn).came)
	}
}

// A turn is one that waits.
type turn struct {
	urgency  Urgency
	due      time.Time
	sequence uint64
	came     chan struct{}
	index    int // in the heap; -1: no longer
}

// turns is a heap of those who wait, the most urgent first.
type turns []*turn

func (q turns) Len() int { return len(q) }

func (q turns) Less(i, j int) bool {
	a, b := q[i], q[j]
	switch {
	case a.urgency != b.urgency:
		return a.urgency < b.urgency
	case !a.due.Equal(b.due):
		return a.due.Before(b.due)
	}
	return a.sequence < b.sequence
}

func (q turns) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for the heap.
func (q *turns) Push(x any) {
	t := x.(*turn)
	t.index = len(*q)
	*q = append(*q, t)
}

// Pop is for the heap.
func (q *turns) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.index = -1
	return t
}
