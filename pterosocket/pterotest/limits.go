package pterotest

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// limits are what Pelican and Pterodactyl 1.12 allow one connection, measured; with the limiter that they use.
type limits struct {
	mu     sync.Mutex
	global *rate.Limiter
	kinds  map[string]*rate.Limiter
	told   map[string]bool // a throttled frame has been sent for the current stretch
}

func newLimits() *limits {
	return &limits{
		global: rate.NewLimiter(5, 10),
		kinds: map[string]*rate.Limiter{
			wire.SendCommand: rate.NewLimiter(1, 10),
			wire.Auth:        rate.NewLimiter(rate.Every(5*time.Second), 2),
			wire.SendLogs:    rate.NewLimiter(rate.Every(5*time.Second), 2),
			"":               rate.NewLimiter(1, 4),
		},
		told: make(map[string]bool),
	}
}

// admit returns "" when a message may pass, and otherwise what is exceeded: "global" or the event. tell: say so to the
// client, which happens once for a stretch of throttling.
func (l *limits) admit(event string) (exceeded string, tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := event
	if _, ok := l.kinds[name]; !ok {
		name = ""
	}
	switch {
	case !l.global.Allow():
		exceeded = "global"
	case !l.kinds[name].Allow():
		exceeded = event
		l.told["global"] = false
	default:
		l.told["global"], l.told[event] = false, false
		return "", false
	}
	tell = !l.told[exceeded]
	l.told[exceeded] = true
	return exceeded, tell
}

// Dropped counts what the daemon dropped without handling it.
type Dropped struct {
	Global      int            // messages over the limit for all messages; exceeding it can crash a real Pelican daemon
	ByEvent     map[string]int // messages over the limit for their event
	SlowReaders int            // frames for a client that did not read
}

// Dropped returns the counts of what was dropped so far.
func (s *Server) Dropped() Dropped {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dropped
	d.ByEvent = make(map[string]int, len(s.dropped.ByEvent))
	for event, n := range s.dropped.ByEvent {
		d.ByEvent[event] = n
	}
	return d
}

func (s *Server) countDropped(limit, event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit == "global" {
		s.dropped.Global++
		return
	}
	if s.dropped.ByEvent == nil {
		s.dropped.ByEvent = make(map[string]int)
	}
	s.dropped.ByEvent[event]++
}
