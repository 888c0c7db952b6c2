package pterosocket

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pterosocket/pterosocket-go/internal/pace"
	"github.com/pterosocket/pterosocket-go/internal/tokens"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// A session is one websocket connection from its handshake to its end. Three goroutines live as long as it does, in one
// errgroup under one context; the first that fails ends the others:
//
//	read   reads frames and hands them on. It never waits for anything else (reader.go)
//	write  is the only one that writes: auths first, then commands in order, and pings (writer.go)
//	renew  logs in, catches up on missed lines, and renews the token (renewer.go, catchup.go)
//
// When the context ends, close marks the session as closing and closes the connection, which ends read.
//
// shared belongs to whoever holds mu; the other fields are set before the goroutines start, are safe for concurrent
// use, or name the goroutine that owns them. Locks are taken in this order: console.mu, recording.mu, client.mu;
// session.mu and sendQueue.mu are taken last and nothing is called with them held.
type session struct {
	sessionConfig
	conn  Conn
	queue sendQueue
	pace  *pace.Pacer

	ending      atomic.Bool   // the phase is closing or closed; asked for each line
	frames      atomic.Uint64 // frames read, a sign of life
	stats       atomic.Uint64 // those of them that were stats
	firstStatus chan struct{} // gets a value with each status; room for one
	answers     chan error    // the daemon's answer to the auth in flight: nil or an *authRefused; room for one
	wake        chan struct{} // tells the renewer to look again; room for one
	writing     sync.Mutex    // held while a message is being written
	reader      readerState

	mu     sync.Mutex
	shared shared
}

// shared is what the goroutines share.
type shared struct {
	phase   phase
	token   *tokens.Token // the one in use, or, before the first auth success, on its way to be
	pending *tokens.Token // the one of the auth in flight; nil when that has been answered
	refused *tokens.Token // the last one that was refused
	wanted  string        // why to renew at once; "": there is no reason
	denied  time.Time     // when the daemon last said that a token was issued too early
	asked   *request      // for stats, the last one
	stood   bool          // the connection stands, or stood
}

// look returns a copy of what is shared.
func (s *session) look() shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shared
}

// update changes it.
func (s *session) update(change func(*shared)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.shared)
}

// phase is how far a session has come.
type phase uint8

const (
	dialed         phase = iota
	authenticating       // the first auth has been sent
	up                   // the daemon takes commands
	refused              // it does not until it gets a fresh token
	closing              // the context has ended
	closed               // the connection has been closed
)

// sessionConfig is what a session is given.
type sessionConfig struct {
	owner      owner
	cfg        *Config
	tokens     *tokens.Cache
	first      *tokens.Token // to log in with
	count      *counters
	console    *console
	dial       func(context.Context, *tokens.Token) (Conn, error)
	reconnects int             // how many connections there were before; 0: it is the first
	early      bool            // the first connection stands without a status too
	connecting context.Context // ends the session, unless it stands by then
	stands     func()          // told once that it stands
	soft       context.Context // ends the session: gracefully, if its cause is errClosing
	hard       context.Context // ends everything at once
}

// owner receives what a session reports. client implements it.
type owner interface {
	emit(Event)                                               // hands an event on; never blocks
	answered(Event)                                           // the same, for an answer to an auth, which answers nothing else
	authenticated(s *session, perms []Permission, known bool) // a token was accepted, the first or a new one
	deauthenticated(s *session)                               // no commands are taken, for the time being or for ever
	offline() bool                                            // the server is known to be offline
}

const (
	// dialTimeout bounds one websocket handshake.
	dialTimeout = 15 * time.Second
	// authTimeout is how long a daemon may take to answer an auth.
	authTimeout = 10 * time.Second
	// statusGrace is how long the first status may take before the first connection stands without one.
	statusGrace = time.Second
	// closeTimeout is how long a close handshake may take.
	closeTimeout = time.Second
)

// Why a session ended, when it was neither the daemon nor the network.
var (
	errClosing     = errors.New("closing")
	errElsewhere   = errors.New("the daemon does not know the server; the panel is asked where it is now")
	errMoved       = errors.New("the server has moved to another node")
	errTransferred = errors.New("a transfer has ended, and the server may be on another node now")
	errNoPong      = errors.New("the daemon answers no ping: the network or the daemon is gone")
	errProbed      = errors.New("the daemon is up again; a fresh token is needed")
	errSurplus     = errors.New("the fleet's budget of requests does not keep this server alive")
	errNotRenewed  = errors.New("the daemon does not accept fresh tokens on this connection")
	errAuthTimeout = errors.New("the daemon did not answer the auth message")
)

func newSession(conn Conn, sc sessionConfig) *session {
	return &session{
		sessionConfig: sc,
		conn:          conn,
		pace:          pace.New(sc.cfg.Limits.Unlimited || sc.first.Unlimited),
		firstStatus:   make(chan struct{}, 1),
		answers:       make(chan error, 1),
		wake:          make(chan struct{}, 1),
		queue:         sendQueue{wake: make(chan struct{}, 1)},
		reader:        readerState{burst: burst{most: linesFor(sc.cfg.QueueSize)}},
		shared:        shared{token: sc.first},
	}
}

// start begins the session's life. ended is told why it has ended when nothing of it is left, by the goroutine that has
// closed the connection and that goes on with what follows: so no stack waits for the end all the while.
func (s *session) start(ended func(error)) {
	g, ctx := errgroup.WithContext(s.soft)
	if w, ok := s.conn.(Waiter); ok { // before close can be reading
		s.reader.batches = true
		w.OnWait(s.beforeWait)
	}
	g.Go(s.read)
	g.Go(func() error { return s.write(ctx) })
	g.Go(func() error { return s.renew(ctx) })
	context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		s.close(cause)
		_ = g.Wait()
		if held, _ := s.console.holding(); s.reader.isUp && held == nil {
			s.console.missing()
		}
		s.console.end()
		ended(s.clean(cause))
	})
}

// close closes the connection, which ends the reader: with a close handshake when Commands.Close asked for it, at once
// otherwise.
func (s *session) close(cause error) {
	s.update(func(p *shared) { p.phase = closing })
	s.ending.Store(true)
	s.owner.deauthenticated(s) // first, so that whoever fails below and waits with Ready waits for the next connection
	why := ErrNotConnected
	if cause == errClosing || s.hard.Err() != nil { // the value itself
		why = ErrClosed
	}
	s.queue.close(why)
	s.writing.Lock() // a write in progress is completed
	defer s.writing.Unlock()
	ctx, cancel := context.WithTimeout(s.hard, closeTimeout)
	defer cancel()
	if cause != errClosing {
		cancel()
	}
	_ = s.conn.Close(ctx, closeNormal, "")
	s.update(func(p *shared) { p.phase = closed })
}

// isEnding reports whether the session's context has ended.
func (s *session) isEnding() bool { return s.ending.Load() }

// isAuthenticated reports whether the daemon takes commands: it has accepted a token that has not ended since.
func (s *session) isAuthenticated() bool {
	p := s.look()
	return p.phase == up && time.Now().Before(p.token.Expires)
}

// lasted returns how long ago a token was first accepted. The session has ended.
func (s *session) lasted() time.Duration {
	if !s.reader.isUp {
		return 0
	}
	return time.Since(s.reader.since)
}

// clean removes the session's secrets from an error of a peer or a library that quotes them.
func (s *session) clean(err error) error {
	p := s.look()
	secrets := []string{s.cfg.APIKey, p.token.Token, s.first.Token}
	for _, tok := range []*tokens.Token{p.pending, p.refused} {
		if tok != nil {
			secrets = append(secrets, tok.Token)
		}
	}
	return redact(err, secrets...)
}

// cleanText does the same with a peer's text.
func (s *session) cleanText(text string) string { return s.clean(errors.New(text)).Error() }

// requestStats asks for the state, which a daemon does not tell again by itself; once at a time.
func (s *session) requestStats() {
	r := newRequest(wire.SendStats, wire.AppendFrame(nil, wire.SendStats, ""))
	var waits bool
	s.update(func(p *shared) {
		if waits = p.asked != nil && p.asked.isWaiting(); !waits {
			p.asked = r
		}
	})
	if !waits {
		s.queue.add(r)
	}
}
