package pterosocket

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A busyHandler knows how long the user's log handler has been at work. A handler that calls Close must not wait
// forever for the goroutine that waits for the handler.
type busyHandler struct {
	slog.Handler
	calls *sync.Map // those that have not returned; each key points to the time of its start
}

// Handle calls the user's handler.
func (h *busyHandler) Handle(ctx context.Context, r slog.Record) error {
	began := time.Now()
	h.calls.Store(&began, nil)
	defer h.calls.Delete(&began)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler whose calls are known too.
func (h *busyHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &busyHandler{h.Handler.WithAttrs(attrs), h.calls}
}

// WithGroup returns a handler whose calls are known too.
func (h *busyHandler) WithGroup(name string) slog.Handler {
	return &busyHandler{h.Handler.WithGroup(name), h.calls}
}

// stuck reports whether a call has been running for d.
func (h *busyHandler) stuck(d time.Duration) bool {
	for began := range h.calls.Range {
		if time.Since(*began.(*time.Time)) >= d {
			return true
		}
	}
	return false
}
