package pterosocket

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// read is the reader: it reads frames until the connection ends and never waits for anything else, since a daemon drops what a
// reader is 10 ms late for, in silence.
func (s *session) read() error {
	var decoder wire.Decoder
	defer s.flush()
	for {
		data, err := s.conn.Read(s.cfg.ReadLimit)
		if err != nil {
			if !errors.Is(err, ErrFrameTooLong) {
				return fmt.Errorf("reading from the daemon: %w", err)
			}
			s.burst.frames++
			s.flush()
			s.count.framesSkipped.Add(1)
			s.owner.emit(Error{Err: fmt.Errorf("a frame of more than %d bytes was skipped; Config.ReadLimit sets the limit", s.cfg.ReadLimit)})
			continue
		}
		s.burst.frames++
		s.burst.bytes += uint64(len(data))
		if line, ok := decoder.Line(data); ok {
			if s.burst.add(line) || !s.tells || s.closing.Load() {
				s.flush()
			}
			continue
		}
		s.flush()
		frame, err := decoder.Decode(data)
		if err != nil {
			s.count.framesSkipped.Add(1)
			s.owner.emit(Error{Err: fmt.Errorf("the daemon sent a frame that cannot be read, %q: %w", printable(string(data[:min(len(data), 80)]), 80), err)})
			continue
		}
		if err := s.handle(toEvent(frame)); err != nil {
			return err
		}
	}
}

// handle does what an event that is not a console line asks of the session, and hands it on. An error ends the session.
func (s *session) handle(ev Event) error {
	switch ev := ev.(type) {
	case ConsoleOutput: // of an unusual form
		s.recovery.live([]Event{ev})
		return nil
	case AuthSuccess:
		s.onAuthSuccess(ev)
		return nil
	case Stats:
		s.stats.Add(1)
		if ev.State == StateOffline {
			s.recovery.serverOffline()
		}
	case Status:
		if ev.State == StateOffline {
			s.recovery.serverOffline()
		}
		s.owner.emit(ev)
		if s.isUp {
			s.stand()
			if s.grace != nil {
				s.grace.Stop()
				s.grace = nil
			}
		}
		return nil
	case JWTError:
		s.owner.emit(ev)
		return s.onJWTError(ev.Message)
	case DaemonError:
		// The answer to an auth, unless another message can be meant: those too are answered with jwt error while no token is good.
		if text := withoutEventID(ev.Message); s.awaiting.Load() && text != ev.Message && (unreadable(text) || !s.isAuthenticated()) {
			s.answer(&authRefused{ev.Message})
			s.owner.answered(ev)
			return nil
		}
	case TokenExpiring:
		if !s.isFresh() {
			s.trigger(ev.Name())
		}
	case TokenExpired: // from here on lines are lost
		if !s.isFresh() {
			s.refused(ev.Name())
		} else if !s.overtaken {
			s.overtaken = true
			s.recoverOvertaken() // and if it is the fresh token that has ended, Calagopus closes the connection for what is sent now
		}
	case Throttled:
		s.pace.throttled(time.Now())
	case TransferStatus:
		s.owner.emit(ev)
		return s.onTransfer(ev.Status)
	}
	s.owner.emit(ev)
	return nil
}

func (s *session) onAuthSuccess(ev AuthSuccess) {
	// What was refused before this frame was refused for the old token.
	s.renewal.satisfied()
	tok := s.offered.Load()
	if tok == nil {
		return // before any auth: no daemon does it
	}
	known := true
	if len(ev.Permissions) == 0 { // only Calagopus sends them
		ev.Permissions, known = tok.permissions, tok.knows
	}
	s.expires.Store(int64(tok.expires.Sub(s.epoch)))
	s.authenticated.Store(true)
	first := !s.isUp
	if !first {
		s.renewed = time.Now()
	}
	lost := first && s.reconnects > 0 || s.lost
	s.lost, s.overtaken = false, false
	// Lines are held back before anybody can send, so that no answer is taken for an old line; and sending is possible before the
	// consumer hears of it.
	switch {
	case lost && !s.cfg.NoResume:
		s.recovery.begin(s, false)
	case first && s.cfg.History:
		s.recovery.begin(s, true)
	}
	s.owner.authenticated(s, ev.Permissions, known)
	s.owner.emit(ev)
	if lost && s.cfg.NoResume {
		s.recovery.gap()
	}
	if lost && !first { // a status may be among what was lost
		s.requestStats()
	}
	s.answer(nil)
	if first {
		s.isUp = true
		s.since = time.Now()
		if s.reconnects > 0 {
			s.stand()
		} else {
			s.grace = time.AfterFunc(statusGrace, s.stand)
		}
	}
}

// onJWTError handles both forms: the answer to an auth, and, without an event id, what comes in place of every frame once the
// token in use has ended.
func (s *session) onJWTError(message string) error {
	// Before the first auth success nothing else can be answered. Calagopus answers an auth with "invalid token: ...".
	isAnswer := !s.isUp || incurable(message) || strings.HasPrefix(message, "Error Event [") || strings.HasPrefix(message, "invalid token")
	if isAnswer && s.awaiting.Load() {
		s.answer(&authRefused{message})
		return nil
	}
	if incurable(message) || !curable(message) && s.hasNotHelped() {
		return &authRefused{message}
	}
	if !curable(message) && !s.isFresh() {
		s.doubted = time.Now() // nobody knows what it means; a fresh token may help, or not
	}
	if s.isFresh() && !s.overtaken {
		s.overtaken = true
		s.recoverOvertaken()
		return nil
	}
	s.refused(message)
	return nil
}

// hasNotHelped reports that a token has just been renewed because of a refusal that nobody knows, in vain.
func (s *session) hasNotHelped() bool {
	ago := time.Since(s.renewed)
	return !s.doubted.IsZero() && !s.renewed.Before(s.doubted) && ago > freshFor && ago < time.Minute
}

// recoverOvertaken deals with the first refusal behind a renewal. Most likely a frame was checked against the token before, and its
// refusal overtaken by the auth success. If not, another follows soon. What the frame was, perhaps a line, is recovered.
func (s *session) recoverOvertaken() {
	switch {
	case s.cfg.NoResume:
		s.recovery.gap()
	case !s.recovery.isHolding():
		s.recovery.begin(s, false)
	}
	s.requestStats() // or a status
}

// freshFor is how long after a renewal a warning, or a single refusal, is taken to be about the token before.
const freshFor = 2 * time.Second

// isFresh reports whether the token has just been renewed.
func (s *session) isFresh() bool { return time.Since(s.renewed) < freshFor }

// refused notes that the daemon takes and tells nothing until it gets a fresh token.
func (s *session) refused(why string) {
	s.lost = true
	if s.authenticated.Swap(false) {
		s.owner.deauthenticated(s)
		s.queue.fail(ErrNotConnected, nil)
	}
	s.trigger(why)
}

// onTransfer ends the session when the server may be found on another node.
func (s *session) onTransfer(status string) error {
	switch status {
	case "starting", "pending", "processing", "success":
		return nil
	}
	return fmt.Errorf("%w: transfer status %q", errTransferred, printable(status, 40))
}

// answer tells the renewer what came of its auth.
func (s *session) answer(err error) {
	if !s.awaiting.CompareAndSwap(true, false) {
		return
	}
	select {
	case s.answers <- err:
	default:
	}
}
