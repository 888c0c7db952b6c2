package pterosocket

import (
	"context"
	"sync"
	"time"
)

// statsOverdue is how long a server that is not offline may be without stats before they are asked for.
const statsOverdue = 5 * time.Second

// pings is the state of a session's pinger from one ping to the next.
type pings struct {
	mu      sync.Mutex
	timer   *time.Timer // starts the next ping; nil before the first and after the end
	stats   uint64      // how many stats had come
	statsAt time.Time   // by then
	asked   *request    // for stats
}

// startPings lets the pinger find out that the daemon or the network has gone without a word: every PingInterval it pings, and when
// neither the pong nor any frame comes within min(PingInterval, 10 s), the session ends.
func (s *session) startPings() {
	if s.cfg.PingInterval <= 0 {
		return
	}
	p := &s.pings
	p.mu.Lock()
	defer p.mu.Unlock()
	p.statsAt = time.Now()
	p.timer = time.AfterFunc(s.cfg.PingInterval, func() { s.spawn(s.ping) })
}

func (s *session) stopPings() {
	p := &s.pings
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}

// ping is the pinger: one ping, until its answer.
func (s *session) ping() error {
	interval, start := s.cfg.PingInterval, time.Now()
	s.askForStats(start)
	frames := s.frames.Load()
	pong, cancel := context.WithTimeout(s.ctx, min(interval, 10*time.Second))
	defer cancel()
	err := s.conn.Ping(pong)
	switch {
	case err == nil:
		s.count.pingRTT.Store(int64(time.Since(start)))
	case s.ctx.Err() != nil:
		return nil
	case pong.Err() == nil: // most likely the connection is ending, and the reader tells how; if not, the next ping does
	case s.frames.Load() == frames:
		return errNoPong
	}
	s.pings.mu.Lock()
	defer s.pings.mu.Unlock()
	if s.pings.timer != nil {
		s.pings.timer.Reset(time.Until(start.Add(interval)))
	}
	return nil
}

// askForStats asks for the state of a server that sends no stats although it is not offline: both frames may have been lost that
// told that it is.
func (s *session) askForStats(now time.Time) {
	p := &s.pings
	if n := s.stats.Load(); n != p.stats {
		p.stats, p.statsAt = n, now
	} else if now.Sub(p.statsAt) > statsOverdue && s.isAuthenticated() && !s.owner.offline() && (p.asked == nil || !p.asked.pending()) {
		p.asked, p.statsAt = s.requestStats(), now
	}
}
