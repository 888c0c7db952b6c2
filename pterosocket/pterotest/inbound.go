package pterotest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// Message is a message that a client sent.
type Message struct {
	Event string
	Args  []string
	Raw   string
	At    time.Time // when it arrived
}

// handle does what one message asks for. It runs in a goroutine of its own, so messages overtake each other.
func (k *socket) handle(data []byte) {
	var m struct {
		Event string
		Args  []string
	}
	valid := json.Unmarshal(data, &m) == nil
	msg := Message{Event: m.Event, Args: m.Args, Raw: string(data), At: time.Now()}
	k.s.record(msg)
	if !valid || k.s.cfg.Dialect == Calagopus && m.Args == nil {
		return
	}
	if k.s.cfg.OnMessage != nil {
		k.s.cfg.OnMessage(msg)
	}
	arg := strings.Join(m.Args, "")
	if k.s.cfg.Dialect == Calagopus {
		arg = append(m.Args, "")[0]
		if m.Event != wire.Auth && k.isOverdue() {
			k.close(1000, "token expired")
			return
		}
	}
	if err := k.act(m.Event, arg); err != nil {
		k.sendError(err)
	}
}

// act carries out one message. What a daemon ignores it ignores.
func (k *socket) act(event, arg string) error {
	if event == wire.Auth {
		return k.authenticate(arg)
	}
	c := k.token()
	if err := k.s.check(c); err != nil {
		return k.sendNow(wire.JWTError, err.Error())
	}
	switch event {
	case wire.SetState:
		return k.s.power(c, arg)
	case wire.SendCommand:
		if c.can("control.console") {
			k.s.command(arg)
		}
	case wire.SendLogs:
		return k.replay()
	case wire.SendStats:
		return k.send(wire.Stats, k.s.currentStats().structOrder())
	}
	return nil
}

func (k *socket) authenticate(text string) error {
	c, err := k.s.parse(text)
	if err != nil {
		if k.s.cfg.Dialect == Calagopus {
			return k.sendNow(wire.JWTError, "invalid token: "+calagopusReason(err))
		}
		return err
	}
	k.mu.Lock()
	first := k.claims == nil
	k.claims = c
	k.overdue = false
	k.mu.Unlock()
	var args []string
	if k.s.cfg.Dialect == Calagopus {
		args = c.Permissions
	}
	if err := k.sendNow(wire.AuthSuccess, args...); err != nil {
		return nil
	}
	if !first { // a renewal: nothing else is sent again
		k.s.announce()
		return nil
	}
	k.mu.Lock()
	k.subscribed = true
	k.mu.Unlock()
	k.s.announce()
	stats := k.s.currentStats()
	if err := k.send(wire.Status, stats.State); err != nil {
		return nil
	}
	if stats.State == "offline" {
		_ = k.send(wire.Stats, stats.structOrder())
	}
	return nil
}

// replay sends the recent lines, in the midst of which live ones may come.
func (k *socket) replay() error {
	lines, hook := k.s.replayed()
	if hook != nil {
		hook(lines, func(line string) { _ = k.send(wire.ConsoleOutput, line) })
		return nil
	}
	for _, line := range lines {
		if k.send(wire.ConsoleOutput, line) != nil {
			return nil
		}
	}
	return nil
}

func (k *socket) isSubscribed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.subscribed
}

func (k *socket) isOverdue() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.overdue
}

func calagopusReason(err error) string {
	switch {
	case errors.Is(err, errExpired):
		return "token expired"
	case errors.Is(err, errDenied):
		return "token created too far in past"
	case errors.Is(err, errWrongServer):
		return "server mismatch"
	}
	return "signature"
}

// expire is what Calagopus does with a token that has ended: it says so, sends no console any more, and closes at the
// next frame.
func (k *socket) expire() {
	k.mu.Lock()
	told := k.overdue
	k.overdue = true
	k.mu.Unlock()
	if !told {
		_ = k.sendNow(wire.TokenExpired)
	}
}

// sendExpired is send's way with a bad token on Calagopus: stats go on, the rest is not sent.
func (k *socket) sendExpired(err error, event string, args []string) error {
	if errors.Is(err, errNoJWT) {
		return nil
	}
	k.expire()
	if event == wire.Stats {
		return k.sendNow(event, args...)
	}
	return nil
}

// keepAlive pings every 30 s and drops a client after two missed pongs (Calagopus).
func (k *socket) keepAlive() {
	ticker := time.NewTicker(30 * time.Second)
	defer ticker.Stop()
	missed := 0
	for {
		select {
		case <-ticker.C:
		case <-k.ctx.Done():
			return
		}
		if k.pingOnce() {
			missed = 0
		} else if missed++; missed == 2 {
			k.drop(false)
			return
		}
	}
}

// awaitAuth closes a socket that does not authenticate itself (Calagopus).
func (k *socket) awaitAuth() {
	timer := time.NewTimer(authPatience)
	defer timer.Stop()
	select {
	case <-timer.C:
		if k.token() == nil {
			k.close(1000, "authentication timeout")
		}
	case <-k.ctx.Done():
	}
}

// record notes what a client sent.
func (s *Server) record(m Message) {
	s.mu.Lock()
	s.seen = append(s.seen, m)
	s.mu.Unlock()
	s.announce()
}

// announce wakes Wait.
func (s *Server) announce() {
	s.mu.Lock()
	close(s.arrival)
	s.arrival = make(chan struct{})
	s.mu.Unlock()
}

// Received returns the messages that clients have sent so far, in order of arrival.
func (s *Server) Received() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// ForgetReceived empties what Received returns. It is for long tests.
func (s *Server) ForgetReceived() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}
