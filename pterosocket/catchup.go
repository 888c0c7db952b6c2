package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pterosocket/pterosocket-go/internal/replay"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	// readingFor bounds the reading of a log in all, and firstLineFor the wait for its first line.
	readingFor   = 5 * time.Second
	firstLineFor = 2 * time.Second
	// holdFor is how long a live line is held back at most while missed ones are looked for.
	holdFor = time.Second
)

// Why a log could not be read.
var (
	errOffline  = fmt.Errorf("%w: its log is not sent", ErrServerOffline)
	errOverflow = errors.New("too many lines have come while the log was read")
	errNoLog    = errors.New("no line of the log has come")
	errHeld     = errors.New("the log took too long")
)

// catchUp finds out what was missed, if lines are held back for that, and releases them behind it.
func (s *session) catchUp(ctx context.Context) {
	held, seen := s.console.holding()
	if held == nil {
		return
	}
	reading, err := s.readLog(ctx, held, seen, holdFor)
	if ctx.Err() != nil {
		return // run's end sees to what is held back
	}
	if err != nil {
		s.cfg.Logger.Info("missed lines could not be looked for", "error", s.clean(err))
	}
	s.console.release(reading, err)
}

// readLog reads the daemon's log on a second connection and separates it from the live lines there, which the recording
// has from the session's own. hold is how long the first live line may wait; 0: for ever. With an error it returns what
// is known nevertheless.
//
// The second connection has the same URL and token. It lives in two goroutines that end before readLog returns.
func (s *session) readLog(ctx context.Context, r *recording, seen []uint64, hold time.Duration) (replay.Reading, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		reading replay.Reading
		group   errgroup.Group
		conns   = make(chan Conn, 1)
		err     error
	)
	group.Go(func() error {
		err := s.second(ctx, r, conns)
		r.change(func() { r.err = err })
		return nil
	})
	group.Go(func() error {
		defer cancel()
		l := logReader{session: s, recording: r, seen: seen, hold: hold, began: time.Now(), conns: conns}
		reading, err = l.run(ctx)
		return nil
	})
	_ = group.Wait()
	return reading, err
}

// second opens the second connection and reads from it until ctx ends.
func (s *session) second(ctx context.Context, r *recording, conns chan<- Conn) error {
	tok := s.current()
	conn, err := s.dial(ctx, tok)
	if err != nil {
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	ended := make(chan struct{})
	defer func() { <-ended }()
	closeConn := func() { defer close(ended); _ = conn.Close(over, closeNormal, "") }
	defer func(stop func() bool) {
		if stop() {
			closeConn()
		}
	}(context.AfterFunc(ctx, closeConn))

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
				if !r.up {
					r.up = true
					conns <- conn
				}
			})
		case Status:
			r.change(func() { r.offline = ev.State == StateOffline })
		case JWTError:
			return &authRefused{ev.Message}
		case DaemonError:
			if withoutEventID(ev.Message) == ev.Message {
				continue // it is no answer to this connection
			}
			return errors.New(printable(withoutEventID(ev.Message), 200))
		}
	}
}

// A logReader asks for the log, once or twice, and reads the answer.
type logReader struct {
	*session
	recording *recording
	seen      []uint64
	hold      time.Duration // how long the first live line may wait; 0: for ever
	began     time.Time
	conns     <-chan Conn // gets the second connection once it is authenticated

	conn    Conn
	asked   time.Time       // zero: not yet, or to be asked once more
	settled bool            // a pong has come since the replay has become quiet
	first   *replay.Reading // of two
}

// run reads the log.
func (l *logReader) run(ctx context.Context) (replay.Reading, error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, reading, err := l.step(ctx)
		if err != nil && l.first != nil {
			return *l.first, nil // which is close
		}
		if err != nil || reading != nil {
			if reading == nil {
				reading = new(replay.Reading)
			}
			return *reading, err
		}
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-l.recording.news:
		case <-ctx.Done():
			if l.first != nil {
				return *l.first, nil
			}
			return replay.Reading{}, context.Cause(ctx)
		}
	}
}

// step does what is to be done now, and returns when to look again at the latest, or the reading.
func (l *logReader) step(ctx context.Context) (next time.Time, done *replay.Reading, err error) {
	r, now := l.recording, time.Now()
	r.mu.Lock()
	c := &r.collector
	latest := l.began.Add(readingFor)
	if l.hold > 0 && len(r.live) > 0 {
		latest = r.live[0].At.Add(l.hold)
	}
	switch {
	case r.overflow:
		err = errOverflow
	case r.err != nil:
		err = fmt.Errorf("reading the log: %w", r.err)
	case !now.Before(latest) && c.Begun(): // the rest is too late
		snapshot, live := *c, r.live
		r.mu.Unlock()
		reading := snapshot.Lay(l.seen, live)
		reading.Reaches = false
		return now, &reading, nil
	case !now.Before(latest):
		err = errHeld
	case !c.Begun() && (r.offline || l.owner.offline()):
		err = errOffline
	}
	if err != nil {
		r.mu.Unlock()
		return now, nil, err
	}
	if l.conn == nil {
		select {
		case l.conn = <-l.conns:
			c.Ready(now, r.began)
		default:
			r.mu.Unlock()
			return latest, nil, nil
		}
	}
	if l.asked.IsZero() {
		at := c.AskAt()
		if now.Before(at) {
			r.mu.Unlock()
			return earliest(at, latest), nil, nil
		}
		l.asked = now
		c.Asked(now)
		r.mu.Unlock()
		err := l.conn.Write(ctx, wire.AppendFrame(nil, wire.SendLogs, ""))
		return earliest(now.Add(firstLineFor), latest), nil, err
	}
	defer func() { done = l.after(done) }()
	at := l.asked.Add(firstLineFor)
	if c.Begun() {
		at = c.DoneAt()
	}
	switch {
	case now.Before(at):
		l.settled = false
		r.mu.Unlock()
		return earliest(at, latest), nil, nil
	case !c.Begun():
		r.mu.Unlock()
		return now, nil, errNoLog
	case !l.settled:
		// It is quiet. Is it the network that holds something back? The pong comes behind what the daemon has sent before.
		r.mu.Unlock()
		err := l.conn.Ping(ctx)
		l.settled = true
		return time.Now(), nil, err
	}
	snapshot, live := *c, r.live
	r.mu.Unlock()
	reading := snapshot.Lay(l.seen, live)
	return now, &reading, nil
}

// after decides whether a reading will do. If another one is nearly as likely, the log is read once more.
func (l *logReader) after(reading *replay.Reading) *replay.Reading {
	switch {
	case reading == nil:
		return nil
	case l.first != nil:
		confirmed := l.first.Confirm(*reading)
		return &confirmed
	case !reading.Close:
		return reading
	}
	l.first, l.asked, l.settled = reading, time.Time{}, false
	r := l.recording
	r.mu.Lock()
	defer r.mu.Unlock()
	r.collector.Again(time.Now())
	return nil
}
