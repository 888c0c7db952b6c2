package pterosocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/replay"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	// readingFor limits the reading of a log in all, and firstLineFor the wait for its first line.
	readingFor   = 5 * time.Second
	firstLineFor = 2 * time.Second
	// holdFor is how long a live line is held back at most while the missed lines are looked for.
	holdFor = time.Second
)

// Why a log could not be read.
var (
	errOffline  = fmt.Errorf("%w: its log is not sent", ErrServerOffline)
	errOverflow = errors.New("too many lines have come while the log was read")
	errNoLog    = errors.New("no line of the log has come")
	errHeld     = errors.New("the log took too long")
)

// catchUp finds the missed lines, if lines are held back for that. It hands them on, and then releases the held lines.
func (s *session) catchUp(ctx context.Context) {
	held, seen := s.console.holding()
	if held == nil {
		return
	}
	reading, err := s.readLog(ctx, held, seen, holdFor)
	if ctx.Err() != nil {
		return // the session is ending, and console.end deals with what is held back
	}
	if err != nil {
		s.cfg.Logger.Info("missed lines could not be looked for", "error", s.clean(err))
	}
	s.console.release(reading, err)
}

// readLog reads the daemon's log on a second connection. It separates the log from the live lines there, which the
// recording also has from the session's own connection. hold is how long the first live line may wait. 0: forever. With
// an error the reading is empty.
//
// The second connection uses the same URL and token. It has ended when readLog returns.
func (s *session) readLog(ctx context.Context, r *recording, seen []uint64, hold time.Duration) (replay.Reading, error) {
	second, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := s.readSecond(second, r)
		r.change(func() { r.err = cmp.Or(r.err, fmt.Errorf("reading the log: %w", err)) })
	}()
	defer func() { <-ended }()
	defer cancel()
	l := logReader{session: s, recording: r, seen: seen, hold: hold, began: time.Now()}
	return l.run(ctx)
}

// readSecond opens the second connection and reads from it until ctx ends.
func (s *session) readSecond(ctx context.Context, r *recording) error {
	tok := s.look().token
	conn, err := s.dial(ctx, tok)
	if err != nil {
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	closeConn := sync.OnceFunc(func() { _ = conn.Close(over, closeNormal, "") })
	defer closeConn()
	defer context.AfterFunc(ctx, closeConn)()
	if err := conn.Write(ctx, wire.AppendFrame(nil, wire.Auth, tok.Token)); err != nil {
		return err
	}
	var decoder wire.Decoder
	for {
		data, err := conn.Read(s.cfg.ReadLimit)
		if errors.Is(err, ErrFrameTooLong) {
			continue
		}
		if err != nil {
			return err
		}
		if line, ok := decoder.Line(data); ok {
			r.addSecond(string(line), time.Now())
			continue
		}
		frame, err := decoder.Decode(data)
		if err != nil {
			continue
		}
		switch ev := toEvent(frame).(type) {
		case ConsoleOutput:
			r.addSecond(ev.Line, time.Now())
		case AuthSuccess:
			r.change(func() {
				if r.conn == nil {
					r.conn = conn
					r.collector.Ready(time.Now(), r.began)
				}
			})
		case Status:
			r.change(func() { r.offline = ev.State == StateOffline })
		case JWTError:
			return &authRefused{s.cleanText(ev.Message)}
		case DaemonError:
			if text := withoutEventID(ev.Message); text != ev.Message { // it is an answer to this connection
				return errors.New(printable(s.cleanText(text), 200))
			}
		}
	}
}

// A logReader asks for the log once or twice, and reads the answer.
type logReader struct {
	*session
	recording *recording
	seen      []uint64
	hold      time.Duration // how long the first live line may wait; 0: forever
	began     time.Time

	asked   time.Time       // when it last asked; zero: not yet, or it is to ask again
	settled bool            // a ping was sent since the replay went quiet
	first   *replay.Reading // the first reading, if it was uncertain
	busy    <-chan error    // gets the outcome of the write or ping under way; nil: there is none
	enough  context.CancelFunc
}

// A task is what a logReader does next.
type task uint8

const (
	await   task = iota // wait for what comes
	ask                 // ask for the log
	ping                // get what the network holds back: the pong comes after what the daemon sent before
	lay                 // lay the pieces over each other
	layLate             // the same, but the replay may not have ended
)

// run reads the log.
func (l *logReader) run(ctx context.Context) (replay.Reading, error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer func() {
		if l.busy != nil {
			l.enough()
			<-l.busy
		}
	}()
	for {
		next, at, err := l.next(time.Now())
		switch {
		case err != nil:
		case next == await:
			timer.Reset(time.Until(at))
			select {
			case <-timer.C:
			case <-l.recording.news:
			case err = <-l.busy:
				l.enough()
				l.busy = nil
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		case next == ask:
			l.busy, l.enough = beside(ctx, func(ctx context.Context) error {
				return l.recording.conn.Write(ctx, wire.AppendFrame(nil, wire.SendLogs, ""))
			})
		case next == ping:
			l.settled = true
			l.busy, l.enough = beside(ctx, l.recording.conn.Ping)
		default:
			reading := l.recording.lay(l.seen)
			reading.Reaches = reading.Reaches && next == lay
			if next == lay && l.first == nil && reading.Close { // another interpretation is nearly as likely
				l.first, l.asked, l.settled = &reading, time.Time{}, false
				l.recording.change(func() { l.recording.collector.Again(time.Now()) })
				continue
			}
			if next == lay && l.first != nil {
				reading = l.first.Confirm(reading)
			}
			return reading, nil
		}
		switch {
		case err != nil && l.first != nil: // better than none
			return *l.first, nil
		case err != nil:
			return replay.Reading{}, err
		}
	}
}

// next returns what to do now, or until when to wait for what comes.
func (l *logReader) next(now time.Time) (next task, at time.Time, err error) {
	r := l.recording
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.collector
	latest := l.began.Add(readingFor)
	if l.hold > 0 && len(r.live) > 0 {
		latest = l.began.Add(l.hold + max(0, r.live[0].At.Sub(l.began)))
	}
	isLate := !now.Before(latest)
	switch {
	case r.err != nil:
		return await, now, r.err
	case isLate && c.Begun():
		return layLate, now, nil
	case isLate:
		return await, now, errHeld
	case !c.Begun() && (r.offline || l.owner.offline()):
		return await, now, errOffline
	case r.conn == nil, l.busy != nil:
		return await, latest, nil
	case l.asked.IsZero() && now.Before(c.AskAt()):
		return await, earliest(c.AskAt(), latest), nil
	case l.asked.IsZero():
		l.asked = now
		c.Asked(now)
		return ask, now, nil
	}
	at = l.asked.Add(firstLineFor)
	if c.Begun() {
		at = c.DoneAt()
	}
	switch {
	case now.Before(at):
		l.settled = false
		return await, earliest(at, latest), nil
	case !c.Begun():
		return await, now, errNoLog
	case !l.settled:
		return ping, now, nil
	}
	return lay, now, nil
}
