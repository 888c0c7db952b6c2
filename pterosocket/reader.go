package pterosocket

import (
	"errors"
	"fmt"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// readerState is what the reader alone uses.
type readerState struct {
	burst   burst
	batches bool      // the connection tells when it is about to wait, so lines can be kept until then
	since   time.Time // when a token was first accepted
	renewed time.Time // when a token after the first was last accepted
	doubted time.Time // when a token was last refused for an unknown reason
	isUp    bool      // a token has been accepted
	lost    bool      // the daemon may have sent jwt errors instead of lines since a token was last accepted
	// Since the last renewal a refusal has come that may be about the token before.
	overtaken bool
}

// read is the reader. It reads frames until the connection ends. It never waits for anything else: a daemon drops in
// silence what a reader is 10 ms late for.
func (s *session) read() error {
	r := &s.reader
	var decoder wire.Decoder
	defer s.flush()
	for {
		data, err := s.conn.Read(s.cfg.ReadLimit)
		if err != nil {
			if err = s.readFailed(err); err != nil {
				return err
			}
			continue
		}
		r.burst.frames++
		r.burst.bytes += uint64(len(data))
		if line, ok := decoder.Line(data); ok {
			if r.burst.add(line) || !r.batches || s.isEnding() {
				s.flush()
			}
			continue
		}
		s.flush()
		frame, err := decoder.Decode(data)
		if err != nil {
			s.decodeFailed(data, err)
			continue
		}
		if err := s.handle(toEvent(frame)); err != nil {
			return err
		}
	}
}

// readFailed reports a frame that was too long. It returns any other error, which ends the session.
func (s *session) readFailed(err error) error {
	if !errors.Is(err, ErrFrameTooLong) {
		return fmt.Errorf("reading from the daemon: %w", err)
	}
	s.reader.burst.frames++
	s.flush()
	s.count.framesSkipped.Add(1)
	s.owner.emit(Error{Err: fmt.Errorf("a frame of more than %d bytes was skipped; Config.ReadLimit sets the limit",
		s.cfg.ReadLimit)})
	return nil
}

// decodeFailed reports a frame that cannot be read.
func (s *session) decodeFailed(data []byte, err error) {
	s.count.framesSkipped.Add(1)
	s.owner.emit(Error{Err: fmt.Errorf("the daemon sent a frame that cannot be read, %q: %w",
		printable(s.cleanText(string(data[:min(len(data), 4<<10)])), 80), err)})
}

// handle does what an event other than a console line requires of the session, and hands the event on. An error ends
// the session.
func (s *session) handle(ev Event) error {
	switch ev := ev.(type) {
	case ConsoleOutput: // in an unusual form
		s.console.live([]Event{ev})
		return nil
	case AuthSuccess:
		s.onAuthSuccess(ev)
		return nil
	case Stats:
		s.stats.Add(1)
	case Status:
		s.owner.emit(ev)
		signal(s.firstStatus)
		s.console.changed()
		return nil
	case JWTError:
		ev.Message = s.cleanText(ev.Message)
		err := s.onJWTError(ev.Message) // first, so that a consumer of the event finds no commands taken
		s.owner.emit(ev)
		return err
	case DaemonError:
		ev.Message = s.cleanText(ev.Message)
		// This is the answer to the auth, unless it can be about another message. It cannot while no token is valid:
		// other messages are then answered with jwt errors.
		text := withoutEventID(ev.Message)
		if text != ev.Message && s.look().pending != nil && (unreadable(text) || !s.isAuthenticated()) {
			s.answer(&authRefused{ev.Message})
			s.owner.answered(ev)
			return nil
		}
		s.owner.emit(ev)
		return nil
	case TokenExpiring:
		if !s.isFresh() {
			s.trigger(ev.Name())
		}
	case TokenExpired: // from here on lines are lost
		if !s.isFresh() {
			s.onRefused(ev.Name())
		} else if !s.reader.overtaken {
			// If the fresh token itself has ended, Calagopus closes the connection because of what is sent now.
			s.recoverOvertaken()
		}
	case Throttled:
		s.pace.Throttled(time.Now())
	case TransferStatus:
		s.owner.emit(ev)
		return s.onTransfer(ev.Status)
	}
	s.owner.emit(ev)
	return nil
}

func (s *session) onAuthSuccess(ev AuthSuccess) {
	tok := s.look().pending
	if tok == nil || s.isEnding() { // no auth is in flight
		return
	}
	// All refusals before this frame were about the old token.
	s.update(func(p *shared) { p.token, p.pending, p.wanted = tok, nil, "" })

	r, known := &s.reader, true
	if len(ev.Permissions) == 0 { // only Calagopus sends them
		ev.Permissions, known = permissions(tok.Permissions), tok.Permissions != nil
	}
	first := !r.isUp
	r.isUp = true
	if first {
		r.since = time.Now()
	} else {
		r.renewed = time.Now()
		s.count.renewals.Add(1)
	}
	lost := first && s.reconnects > 0 || r.lost
	r.lost, r.overtaken = false, false
	// Hold lines back before the consumer hears that the connection is up.
	switch {
	case lost && !s.cfg.NoResume:
		s.console.hold(first)
	case first && s.reconnects == 0 && (s.cfg.History || s.cfg.After != nil):
		s.console.hold(first)
	}
	s.update(func(p *shared) {
		if p.phase < closing {
			p.phase = up
		}
	})
	s.owner.authenticated(s, ev.Permissions, known)
	s.owner.emit(ev)
	if lost && s.cfg.NoResume {
		s.console.gap()
	}
	if lost && !first { // a status may have been lost
		s.requestStats()
	}
	s.tell(nil)
}

// onJWTError handles both kinds of jwt errors: the answer to an auth, and, without an event id, what comes instead of
// every frame once the token in use has ended.
func (s *session) onJWTError(message string) error {
	r := &s.reader
	if s.look().pending != nil && (!r.isUp || incurable(message) || isAnswer(message)) {
		s.answer(&authRefused{message})
		return nil
	}
	if incurable(message) || !curable(message) && r.hasNotHelped() {
		return &authRefused{message}
	}
	if !curable(message) && !s.isFresh() {
		r.doubted = time.Now() // for an unknown reason: a fresh token may or may not help
	}
	if denied(message) {
		s.update(func(p *shared) { p.denied = time.Now() })
	}
	if s.isFresh() && !r.overtaken {
		s.recoverOvertaken()
		return nil
	}
	s.onRefused(message)
	return nil
}

// hasNotHelped reports whether a token was just renewed because of a refusal for an unknown reason, and in vain.
func (r *readerState) hasNotHelped() bool {
	ago := time.Since(r.renewed)
	return !r.doubted.IsZero() && !r.renewed.Before(r.doubted) && ago > freshFor && ago < time.Minute
}

// recoverOvertaken handles the first refusal after a renewal. Most likely the daemon checked a frame against the token
// before, and the auth success overtook the refusal. If not, another refusal follows soon. The frame may have been a
// line, so it is recovered.
func (s *session) recoverOvertaken() {
	s.reader.overtaken = true
	if s.cfg.NoResume {
		s.console.gap()
	} else {
		s.console.hold(false)
		signal(s.wake)
	}
	s.requestStats() // the frame may have been a status
}

// freshFor is how long after a renewal a warning or a single refusal is taken to be about the token before.
const freshFor = 2 * time.Second

// isFresh reports whether the token has just been renewed.
func (s *session) isFresh() bool { return time.Since(s.reader.renewed) < freshFor }

// onRefused notes that the daemon takes no commands and sends nothing until it gets a fresh token.
func (s *session) onRefused(why string) {
	s.reader.lost = true
	var was phase
	s.update(func(p *shared) {
		if was = p.phase; was == up {
			p.phase = refused
		}
	})
	if was == up {
		s.console.missing()
		s.owner.deauthenticated(s)
		s.queue.fail(ErrNotConnected)
	}
	s.trigger(why)
}

// onTransfer ends the session if the server may be on another node now.
func (s *session) onTransfer(status string) error {
	switch status {
	case "starting", "pending", "processing", "success", "cancelling":
		return nil
	}
	return fmt.Errorf("%w: transfer status %q", errTransferred, printable(status, 40))
}

// answer tells the renewer that the auth in flight was refused.
func (s *session) answer(err error) {
	s.update(func(p *shared) { p.refused, p.pending = p.pending, nil })
	s.tell(err)
}

func (s *session) tell(answer error) {
	select {
	case s.answers <- answer:
	default:
	}
}

// signal puts a value into a channel with room for one, if it is empty.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
