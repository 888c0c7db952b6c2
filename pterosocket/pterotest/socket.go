package pterotest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/transport"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	fragment     = 4 << 10 // a daemon's write buffer: longer frames arrive in pieces
	queueLimit   = 1 << 16 // frames that wait for a client that does not read; beyond, they are dropped and counted
	slowReader   = 10 * time.Millisecond
	sinkQueue    = 8 // events that a daemon keeps for one client
	expiryTicker = 30 * time.Second
	authPatience = 30 * time.Second // how long Calagopus waits for an auth; the figure is a guess
	writeTimeout = 10 * time.Second
)

// A socket is one websocket of a client.
type socket struct {
	s      *Server
	conn   *transport.Conn
	raw    *faultConn
	ctx    context.Context
	cancel context.CancelFunc

	write    lock // frames of message goroutines and of the pump do not mix
	messages sync.WaitGroup
	limits   *limits // nil: none

	mu         sync.Mutex
	claims     *claims
	subscribed bool
	queue      []outgoing // what the server's events have put here for the pump
	wake       chan struct{}
	writing    time.Time // since when the pump has been writing a frame; zero: it is not
	overdue    bool      // Calagopus: the token has ended, the next frame ends the socket
}

type outgoing struct {
	event string
	args  []string
}

func newSocket(s *Server, conn *transport.Conn, raw *faultConn) *socket {
	k := &socket{s: s, conn: conn, raw: raw, write: make(lock, 1), wake: make(chan struct{}, 1)}
	k.ctx, k.cancel = context.WithCancel(s.ctx)
	if s.cfg.Limits || s.cfg.Dialect == Pelican && !s.cfg.NoLimits {
		k.limits = newLimits()
	}
	return k
}

// serve reads messages until the socket ends. Each is handled in a goroutine of its own, as in the daemons.
func (k *socket) serve() {
	defer k.conn.Abort()
	var pump sync.WaitGroup
	defer pump.Wait()
	defer k.messages.Wait()
	defer k.cancel()
	pump.Go(k.pump)
	pump.Go(k.watchToken)
	if k.s.cfg.Dialect == Calagopus {
		pump.Go(k.keepAlive)
		pump.Go(k.awaitAuth)
	}
	limit := int64(1 << 24)
	if k.s.cfg.Dialect == Pelican {
		limit = 4096
	}
	for {
		data, err := k.conn.Read(limit)
		if errors.Is(err, transport.ErrTooLong) {
			if k.s.cfg.Dialect == Pelican {
				k.close(1009, "")
			}
			return
		}
		if err != nil {
			return
		}
		if !k.admit(data) {
			continue
		}
		message := bytes.Clone(data) // it is handled while the next is read
		k.messages.Go(func() {
			if k.s.cfg.Reorder {
				time.Sleep(schedulingDelay())
			}
			k.handle(message)
		})
	}
}

// schedulingDelay is how late a message's goroutine is. Of messages 1 ms apart about a tenth are handled in the wrong
// order then, of those 2 ms apart few, of those 5 ms apart none, as was measured.
func schedulingDelay() time.Duration {
	return time.Duration(min(mathrand.ExpFloat64()*float64(600*time.Microsecond), float64(4900*time.Microsecond)))
}

// admit applies the limits of the daemons that have them.
func (k *socket) admit(data []byte) bool {
	if k.limits == nil {
		return true
	}
	var d wire.Decoder
	event := ""
	if frame, err := d.Decode(data); err == nil {
		event = frame.Event
	}
	limited, tell := k.limits.admit(event)
	if limited == "" {
		return true
	}
	k.s.countDropped(limited, event)
	if tell {
		k.sendNow(wire.Throttled, limited)
	}
	return false
}

// push queues an event for the pump. It reports false when the event is dropped because the client does not read.
func (k *socket) push(event string, args ...string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.subscribed {
		return true
	}
	if len(k.queue) >= queueLimit || k.s.cfg.DropSlowReaders && k.late(event) {
		return false
	}
	k.queue = append(k.queue, outgoing{event, args})
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return true
}

// late reports whether the client is too late with reading for an event, with a full queue: by 10 ms for what is
// printed, by hardly anything for the rest. k.mu is held.
func (k *socket) late(event string) bool {
	if k.writing.IsZero() || len(k.queue) < sinkQueue {
		return false
	}
	patience := time.Millisecond
	if event == wire.ConsoleOutput || event == wire.InstallOutput {
		patience = slowReader
	}
	return time.Since(k.writing) > patience
}

// pump sends what the server's events have queued.
func (k *socket) pump() {
	for {
		k.mu.Lock()
		queue := k.queue
		k.queue = nil
		k.mu.Unlock()
		for _, out := range queue {
			k.setWriting(time.Now())
			if k.send(out.event, out.args...) != nil {
				k.cancel()
				return
			}
		}
		k.setWriting(time.Time{})
		if len(queue) > 0 {
			continue
		}
		select {
		case <-k.wake:
		case <-k.ctx.Done():
			return
		}
	}
}

func (k *socket) setWriting(since time.Time) {
	if k.s.cfg.DropSlowReaders {
		k.mu.Lock()
		k.writing = since
		k.mu.Unlock()
	}
}

// watchToken tells of a token's approaching end, every 30 seconds.
func (k *socket) watchToken() {
	ticker := time.NewTicker(expiryTicker)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-k.ctx.Done():
			return
		}
		c := k.token()
		if c == nil {
			continue
		}
		switch left := c.ExpiresAt.Unix() - k.s.now().Unix(); {
		case left <= 0 && k.s.cfg.Dialect == Calagopus:
			k.expire()
		case left <= 0:
			_ = k.send(wire.TokenExpired) // which its own check turns into a jwt error, but within the very second
		case left <= 60 && k.s.cfg.Dialect != Calagopus:
			_ = k.send(wire.TokenExpiring)
		}
	}
}

func (k *socket) token() *claims {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.claims
}

// send sends a frame, or, if the token is not good any more, a jwt error in its place. What the user may not see is not
// sent.
func (k *socket) send(event string, args ...string) error {
	c := k.token()
	if err := k.s.check(c); err != nil {
		if k.s.cfg.Dialect == Calagopus {
			return k.sendExpired(err, event, args)
		}
		return k.sendNow(wire.JWTError, err.Error())
	}
	name, _, _ := strings.Cut(event, ":")
	switch {
	case name == wire.InstallOutput && !c.can("admin.websocket.install"),
		name == wire.BackupCompleted && !c.can("backup.read"),
		name == wire.TransferLogs && !c.can("admin.websocket.transfer"):
		return nil
	}
	return k.sendNow(event, args...)
}

// sendNow sends a frame whatever the token.
func (k *socket) sendNow(event string, args ...string) error {
	return k.sendFrame(wire.AppendDaemonFrame(nil, event, args...))
}

func (k *socket) sendFrame(frame []byte) error {
	k.write.Lock()
	defer k.write.Unlock()
	timeout := writeTimeout
	if k.s.cfg.DropSlowReaders {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(k.ctx, timeout)
	defer cancel()
	if len(frame) > fragment {
		return k.conn.WriteFragmented(ctx, frame, fragment)
	}
	return k.conn.Write(ctx, frame)
}

// sendError answers a message that failed, masked unless it is about the token or the user may read such things.
func (k *socket) sendError(err error) {
	event, text := wire.DaemonError, "an unexpected error was encountered while handling this request"
	if jwtError := isJWTError(err); jwtError || k.token() != nil && k.token().can("admin.websocket.errors") {
		text = err.Error()
		if jwtError {
			event = wire.JWTError
		}
	}
	_ = k.sendNow(event, fmt.Sprintf("Error Event [%s]: %s", newUUID(), text))
}

// pingOnce reports whether the client answers a ping before the next is due.
func (k *socket) pingOnce() bool {
	ctx, cancel := context.WithTimeout(k.ctx, 25*time.Second)
	defer cancel()
	return k.conn.Ping(ctx) == nil
}

// close closes with a close frame.
func (k *socket) close(code int, reason string) {
	ctx, cancel := context.WithTimeout(k.s.ctx, time.Second)
	defer cancel()
	_ = k.conn.Close(ctx, code, reason)
	k.cancel()
}

// drop ends the socket without a close frame.
func (k *socket) drop(reset bool) {
	if reset && k.raw != nil {
		k.raw.reset()
	}
	k.conn.Abort()
	k.cancel()
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
