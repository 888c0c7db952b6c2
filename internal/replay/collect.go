package replay

import "time"

const (
	// awaitLive is how long the first live line is waited for. A daemon may subscribe a connection to the live output well
	// after it has accepted the token; once a line has come, it has.
	awaitLive = 200 * time.Millisecond
	// calm is how long the live output should have been silent when the log is asked for, so that hardly any line falls
	// into the replay; awaitCalm is how long such a moment is waited for.
	calm      = 3 * time.Millisecond
	awaitCalm = 50 * time.Millisecond
	// quiet ends a replay: its lines come in one go.
	quiet = 100 * time.Millisecond
)

// A Line is one that has arrived.
type Line struct {
	Text string
	At   time.Time
}

// A Collector says when to ask for the log, and when the replay has come to its end, by the times at which lines
// arrive: live ones on the first connection, and everything on the second.
type Collector struct {
	live     int       // lines on the first connection
	lastLive time.Time // the last of them
	ready    time.Time // since when the log can be asked for
	asked    time.Time
	before   []Line    // the second connection's last lines before it was asked
	second   []Line    // and since
	most     int       // how many lines the second connection has had more than the first
	end      int       // how many lines of second had come by then
	endAt    time.Time // and when
}

// Ready notes that the log can be asked for from now on. began is when the first connection was told to be subscribed;
// zero when it is known to be.
func (c *Collector) Ready(now, began time.Time) {
	c.ready = now
	if c.live == 0 && !began.IsZero() && began.Add(awaitLive).After(now) {
		c.ready = began.Add(awaitLive)
	}
}

// Live notes that n lines have come on the first connection.
func (c *Collector) Live(n int, now time.Time) {
	if c.live == 0 && now.Before(c.ready) {
		c.ready = now // it is subscribed
	}
	c.live += n
	c.lastLive = now
}

// AskAt returns when to ask, if nothing else comes.
func (c *Collector) AskAt() time.Time {
	at := c.lastLive.Add(calm)
	if at.Before(c.ready) {
		return c.ready
	}
	if latest := c.ready.Add(awaitCalm); at.After(latest) {
		return latest
	}
	return at
}

// Asked notes that the log is being asked for, for the first time or once more.
func (c *Collector) Asked(now time.Time) {
	before := c.before
	if !c.asked.IsZero() {
		before = c.second[c.end:] // live, all but a few perhaps
	}
	before = before[max(0, len(before)-keepBefore):]
	*c = Collector{live: c.live, lastLive: c.lastLive, ready: c.ready, asked: now, before: before, most: -c.live, endAt: now}
}

// keepBefore is how many lines are kept that came on the second connection before the question.
const keepBefore = 32

// Second notes that a line has come on the second connection.
func (c *Collector) Second(text string, now time.Time) {
	if c.asked.IsZero() {
		if len(c.before) >= 2*keepBefore {
			c.before = append(c.before[:0], c.before[keepBefore:]...)
		}
		c.before = append(c.before, Line{text, now})
		return
	}
	c.second = append(c.second, Line{text, now})
	// Lines are never silent on a busy server. But live lines come on both connections, so it is the replay that makes the
	// second have more and more beyond the first.
	if more := len(c.second) - c.live; more > c.most {
		c.most, c.end, c.endAt = more, len(c.second), now
	}
}

// Begun reports whether a line of the replay has come.
func (c *Collector) Begun() bool { return c.end > 0 }

// DoneAt returns when the replay that has begun is over, if nothing else comes.
func (c *Collector) DoneAt() time.Time { return c.endAt.Add(quiet) }

// Again notes that the log is to be asked for once more.
func (c *Collector) Again(now time.Time) { c.ready = now }

// Lay reads what has been collected, with the live lines that have come by DoneAt. Of what came on the second
// connection behind the replay's end the last part is left out: it may not have come on the first yet.
func (c *Collector) Lay(seen []uint64, live []Line) Reading {
	end := c.end
	for end < len(c.second) && c.second[end].At.Before(c.endAt.Add(quiet/2)) {
		end++
	}
	return Lay(seen, c.before, c.second[:end], live, c.asked)
}
