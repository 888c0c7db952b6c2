package pterosocket

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// spacing is the least time between the end of one message and the start of the next. A daemon handles each in a goroutine of
// its own: of two that come back to back it runs many in the wrong order, of two 5 ms apart none, even under load (measured).
const spacing = 5 * time.Millisecond

// A pacer says when the next message may be sent, so that a daemon neither reorders nor drops it. It keeps the limits that
// Pelican and Pterodactyl 1.12 have for each connection, with their own arithmetic, but a little below them: messages that leave
// at a steady rate can arrive in a bunch.
//
//	all messages    burst 10, then 5 a second    here  8, then 4.5; the last two of the burst are for auth
//	send command    burst 10, then 1 a second    here  8, then one in 1.05 s
//	auth, send logs burst 2, then one in 5 s     here  2, then one in 6 s, each
//	any other       burst 4, then 1 a second     here  3, then one in 1.05 s, all together
//
// It is the writer's, but for throttled.
type pacer struct {
	unlimited bool
	last      time.Time // when the last message had been written
	all       *rate.Limiter
	kinds     [4]*rate.Limiter // for commands, auth, send logs and others; made when they are needed

	mu   sync.Mutex
	slow time.Time // no command before this time, since the daemon said throttled
}

// reserve is what commands leave of the limit for all messages, so that an auth never waits for them.
const reserve = 2

// throttlePause is how long a daemon that said throttled is left alone.
const throttlePause = 2 * time.Second

func newPacer(l Limits) *pacer {
	p := &pacer{unlimited: l.Unlimited}
	if !l.Unlimited {
		p.all = rate.NewLimiter(4.5, 8)
	}
	return p
}

func (p *pacer) kind(event string) *rate.Limiter {
	which, every, burst := 0, 1050*time.Millisecond, 3
	switch event {
	case wire.SendCommand:
		which, burst = 1, 8
	case wire.Auth:
		which, every, burst = 2, 6*time.Second, 2
	case wire.SendLogs:
		which, every, burst = 3, 6*time.Second, 2
	}
	l := p.kinds[which]
	if l == nil {
		l = rate.NewLimiter(rate.Every(every), burst)
		p.kinds[which] = l
	}
	return l
}

// delay returns how long to wait before a message of this event may be sent; 0 when it may go at once.
func (p *pacer) delay(now time.Time, event string) time.Duration {
	wait := p.last.Add(spacing).Sub(now)
	if p.last.IsZero() {
		wait = 0
	}
	need := 1.0
	if event != wire.Auth {
		need += reserve
		p.mu.Lock()
		wait = max(wait, p.slow.Sub(now))
		p.mu.Unlock()
	}
	if p.unlimited {
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

// spend counts a message that is about to be sent.
func (p *pacer) spend(now time.Time, event string) {
	if p.unlimited {
		return
	}
	p.all.AllowN(now, 1)
	p.kind(event).AllowN(now, 1)
}

// wrote notes when a message had been written.
func (p *pacer) wrote(now time.Time) { p.last = now }

// throttled notes that the daemon dropped a message.
func (p *pacer) throttled(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = now.Add(throttlePause)
}
