package pterosocket

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/replay"
)

// A console stands between the reader and the consumer. It hands console lines on and remembers the last of them. It
// holds lines back while missed ones are looked for (catchup.go). It outlives the connections, since it knows what was
// seen.
//
// Lines are handed on with mu held, so the reader's lines and the released ones keep their order. Handing on never
// blocks.
type console struct {
	to    lineOwner
	count *counters
	limit int // how many lines may be held back

	mu         sync.Mutex
	seen       replay.Seen
	held       *recording   // what is held back; nil: lines go on as they come
	recordings []*recording // held, and those of History
	// The server was offline when lines began to be missing, so none are missing.
	wasOffline bool
	// The next catch-up has no earlier lines to continue from, so it reports no Gap before its lines.
	anew bool
	// Every line of the log is new, so lines are missing if it cannot be read: Config.After is empty, not nil.
	wantsAll bool
}

// lineOwner receives lines and reports of gaps. client implements it.
type lineOwner interface {
	observeLines([]Event) // lines have arrived
	deliverLines([]Event) // lines are handed on
	deliver(Event)        // one line or gap is handed on
	offline() bool
}

// newConsole returns a console for a consumer whose queue has this size. after holds the last lines that the consumer
// already has.
func newConsole(to lineOwner, count *counters, queue int, after []string) *console {
	c := &console{to: to, count: count, limit: max(1, queue/2)}
	c.start(after)
	return c
}

// start forgets everything but after. It is for the time before any consumer has seen anything.
func (c *console) start(after []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Forget()
	for _, line := range after[max(0, len(after)-replay.Remember):] {
		c.seen.Add(line)
	}
	c.anew, c.wantsAll = len(after) == 0, after != nil && len(after) == 0
	c.wasOffline = false
}

// live hands on console lines that have just arrived, or holds them back.
func (c *console) live(lines []Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to.observeLines(lines)
	if len(c.recordings) > 0 {
		now := time.Now()
		for _, r := range c.recordings {
			r.addLive(lines, now)
		}
		if c.held != nil {
			return
		}
	}
	for _, ev := range lines {
		c.seen.Add(ev.(ConsoleOutput).Line)
	}
	c.count.lines.Add(uint64(len(lines)))
	c.to.deliverLines(lines)
}

// hold starts to hold lines back. late says that the connection may not be subscribed to the live output yet.
func (c *console) hold(late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		return
	}
	c.held = newRecording(c.limit)
	if late {
		c.held.began = time.Now()
	}
	c.recordings = append(c.recordings, c.held)
}

// missing notes that lines may be missing from now on.
func (c *console) missing() {
	offline := c.to.offline()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wasOffline = offline
	c.anew = false
}

// holding returns what is held back and the keys of what was seen before. Both are nil if lines go on as they come.
func (c *console) holding() (held *recording, seen []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return nil, nil
	}
	return c.held, c.seen.Keys()
}

// isHolding reports whether lines are held back.
func (c *console) isHolding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held != nil
}

// changed tells the readers of logs that the server's state may have changed.
func (c *console) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.recordings {
		signal(r.news)
	}
}

// release hands on the missed lines, and then the lines that were held back.
func (c *console) release(r replay.Reading, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return
	}
	held := c.held
	c.stop(held)
	c.held = nil
	r = r.Certain()
	before, behind := !r.Joins || r.Close, !r.Reaches
	switch {
	case c.anew:
		before, behind = c.wantsAll && err != nil, behind && err == nil
	case errors.Is(err, errOffline) && c.wasOffline:
		before, behind = false, false
	}
	c.anew, c.wasOffline = false, false
	if before {
		c.reportGap()
	}
	for _, line := range r.Missed {
		c.count.linesReplayed.Add(1)
		c.handOn(ConsoleOutput{Line: line, Replayed: true})
	}
	if behind && !before {
		c.reportGap()
	}
	for _, line := range held.live {
		c.handOn(ConsoleOutput{Line: line.Text})
	}
}

func (c *console) handOn(ev ConsoleOutput) {
	c.seen.Add(ev.Line)
	c.count.lines.Add(1)
	c.to.deliver(ev)
}

// gap reports that lines may be missing here.
func (c *console) gap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reportGap()
}

func (c *console) reportGap() {
	c.count.gaps.Add(1)
	c.to.deliver(Gap{})
}

// end is called when a connection has been lost. It hands on what is held back. What was missed before that is unknown.
// If no line is held back, the next connection can still find out.
func (c *console) end() {
	held, _ := c.holding()
	switch {
	case held == nil:
	case held.isEmpty():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stop(held)
		c.held = nil
	default:
		c.release(replay.Reading{}, ErrInterrupted)
		c.missing()
	}
}

// record gives r a copy of the live lines from now on, until unrecord.
func (c *console) record(r *recording) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recordings = append(c.recordings, r)
}

// unrecord stops that.
func (c *console) unrecord(r *recording) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop(r)
}

func (c *console) stop(r *recording) {
	c.recordings = slices.DeleteFunc(c.recordings, func(other *recording) bool { return other == r })
}
