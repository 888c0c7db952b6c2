// Package pace says when the next message to a daemon may be sent, so that the daemon does not drop it.
package pace

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// Settle is the least time between the sign that a daemon has started to handle one message and the next message. A
// daemon handles each message in a goroutine of its own, and answers pings in the loop that starts them. Of messages
// that were sent 5 ms after the pong of a ping behind the one before, none was handled in the wrong order, even under
// load (measured).
const Settle = 5 * time.Millisecond

// A Pacer keeps the limits that Pelican and Pterodactyl 1.12 have for each connection, with their own arithmetic, but a
// little below them: messages that leave at a steady rate can arrive in a bunch.
//
//	all messages    burst 10, then 5 a second    here  8, then 4.5; the last two of the burst are for urgent ones
//	send command    burst 10, then 1 a second    here  8, then one in 1.05 s
//	auth, send logs burst 2, then one in 5 s     here  2, then one in 6 s, each
//	any other       burst 4, then 1 a second     here  3, then one in 1.05 s, all together
//
// Only Throttled may be called concurrently with the others.
type Pacer struct {
	all   *rate.Limiter    // nil: no limits
	kinds [4]*rate.Limiter // for commands, auth, send logs and others; made when they are needed

	slow atomic.Pointer[time.Time] // no command before this time, since the daemon said throttled; nil: it has not
}

// reserve is what ordinary messages leave of the limit for all, so that an urgent one never waits for them.
const reserve = 2

// throttlePause is how long a daemon that said throttled is left alone.
const throttlePause = 2 * time.Second

// New returns a Pacer; with unlimited, one for a daemon that has no limits.
func New(unlimited bool) *Pacer {
	if unlimited {
		return new(Pacer)
	}
	return &Pacer{all: rate.NewLimiter(4.5, 8)}
}

func (p *Pacer) kind(event string) *rate.Limiter {
	which, every, burst := 0, 1050*time.Millisecond, 3
	switch event {
	case wire.SendCommand:
		which, burst = 1, 8
	case wire.Auth:
		which, every, burst = 2, 6*time.Second, 2
	case wire.SendLogs:
		which, every, burst = 3, 6*time.Second, 2
	}
	if p.kinds[which] == nil {
		p.kinds[which] = rate.NewLimiter(rate.Every(every), burst)
	}
	return p.kinds[which]
}

// Delay returns how long to wait before a message of this event may be sent; 0 when it may go at once.
func (p *Pacer) Delay(now time.Time, event string, urgent bool) time.Duration {
	var wait time.Duration
	need := 1.0
	if !urgent {
		need += reserve
		if slow := p.slow.Load(); slow != nil {
			wait = slow.Sub(now)
		}
	}
	if p.all == nil {
		return max(0, wait)
	}
	return max(0, wait, missing(p.all, now, need), missing(p.kind(event), now, 1))
}

// missing returns how long it takes until l has so many tokens.
func missing(l *rate.Limiter, now time.Time, tokens float64) time.Duration {
	short := tokens - l.TokensAt(now)
	if short <= 0 {
		return 0
	}
	return time.Duration(short/float64(l.Limit())*float64(time.Second)) + time.Microsecond
}

// Spend counts a message that is about to be sent.
func (p *Pacer) Spend(now time.Time, event string) {
	if p.all == nil {
		return
	}
	p.all.AllowN(now, 1)
	p.kind(event).AllowN(now, 1)
}

// Throttled notes that the daemon dropped a message.
func (p *Pacer) Throttled(now time.Time) {
	slow := now.Add(throttlePause)
	p.slow.Store(&slow)
}
