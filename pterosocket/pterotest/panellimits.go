package pterotest

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// serverLimit is how many tokens the panel gives out for one server in a minute.
const serverLimit = 5

// A panelLimiter limits the user's requests as Laravel does: in windows that begin with their first request.
type panelLimiter struct {
	limit int // of the user; 0: there are no limits

	mu      sync.Mutex
	user    window
	servers map[string]*window
	refused int
}

type window struct {
	ends time.Time
	used int
}

// take counts a request, and reports how many are left; negative: it is one too many.
func (w *window) take(now time.Time, length time.Duration, limit int) (left int) {
	if !now.Before(w.ends) {
		*w = window{ends: now.Add(length)}
	}
	if w.used < limit+1 {
		w.used++
	}
	return limit - w.used
}

// allows counts a request, about a server if it names one, writes the headers, and answers it if it is one too many.
func (l *panelLimiter) allows(w http.ResponseWriter, server string, d Dialect) bool {
	if l.limit == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now, length := time.Now(), time.Minute
	if d == Calagopus {
		length = 30 * time.Second
	}
	limit, left, ends := l.limit, l.user.take(now, length, l.limit), l.user.ends
	if left >= 0 && server != "" {
		if l.servers == nil {
			l.servers = make(map[string]*window)
		}
		if l.servers[server] == nil {
			l.servers[server] = new(window)
		}
		own := l.servers[server]
		if n := own.take(now, time.Minute, serverLimit); n < left {
			limit, left, ends = serverLimit, n, own.ends
		}
	}
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, left)))
	if left >= 0 {
		return true
	}
	l.refused++
	h.Set("Retry-After", strconv.Itoa(int(ends.Sub(now)/time.Second)+1))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(ends.Unix()+1, 10))
	panelError(w, http.StatusTooManyRequests, "ThrottleRequestsException", "Too Many Attempts.")
	return false
}

// RefusedRequests returns how many requests the panel has answered with 429 because of its limits.
func (h *host) RefusedRequests() int {
	h.limiter.mu.Lock()
	defer h.limiter.mu.Unlock()
	return h.limiter.refused
}
