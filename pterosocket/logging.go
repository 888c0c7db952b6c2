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
	calls *sync.Map // those that have not returned; the keys point to when they began
}

// Handle calls the user's handler.
func (h *busyHandler) Handle(ctx context.Context, r slog.Record) error {
	began := time.Now()
	h.calls.Store(&began, nil)
	defer h.calls.Delete(&began)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that is known in the same way.
func (h *busyHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &busyHandler{h.Handler.WithAttrs(attrs), h.calls}
}

// WithGroup returns a handler that is known in the same way.
func (h *busyHandler) WithGroup(name string) slog.Handler {
	return &busyHandler{h.Handler.WithGroup(name), h.calls}
}

// stuck reports whether a call has not returned for d.
func (h *busyHandler) stuck(d time.Duration) bool {
	for began := range h.calls.Range {
		if time.Since(*began.(*time.Time)) >= d {
			return true
		}
	}
	return false
}
