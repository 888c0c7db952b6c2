package pterosocket

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A busyHandler knows for how long the user's log handler has been at work. One that calls Close must not wait for ever
// for the goroutine that waits for it.
type busyHandler struct {
	slog.Handler
	state *busyState
}

type busyState struct {
	mu    sync.Mutex
	since map[int]time.Time // when the calls began that have not returned
	next  int
}

// Handle calls the user's handler.
func (h *busyHandler) Handle(ctx context.Context, r slog.Record) error {
	s := h.state
	s.mu.Lock()
	call := s.next
	s.next++
	if s.since == nil {
		s.since = make(map[int]time.Time)
	}
	s.since[call] = time.Now()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.since, call)
	}()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that is known in the same way.
func (h *busyHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &busyHandler{h.Handler.WithAttrs(attrs), h.state}
}

// WithGroup returns a handler that is known in the same way.
func (h *busyHandler) WithGroup(name string) slog.Handler {
	return &busyHandler{h.Handler.WithGroup(name), h.state}
}

// stuck reports whether a call has not returned for d.
func (h *busyHandler) stuck(d time.Duration) bool {
	s := h.state
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, since := range s.since {
		if time.Since(since) >= d {
			return true
		}
	}
	return false
}
