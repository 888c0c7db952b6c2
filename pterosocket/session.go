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
// errgroup under one context. The first one that fails ends the others:
//
//	read   reads frames and hands them on. It never waits for anything else (reader.go)
//	write  is the only one that writes: auths first, then commands in order, and pings (writer.go)
//	renew  logs in, catches up on missed lines, and renews the token (renewer.go, catchup.go)
//
// Go starts a new stack with the average size in use of all stacks, rounded up to a power of two. That average is just
// below 2 KiB, the least. So these three keep little on the stack while they wait: functions of their own do the work in
// between.
//
// When the context ends, close marks the session as closing and closes the connection. That ends read.
//
// mu guards shared. The other fields are set before the goroutines start, are safe for concurrent use, or are named
// after the goroutine that owns them. Locks are taken in this order: console.mu, recording.mu, client.mu. session.mu
// and sendQueue.mu are taken last, and no other lock is taken while they are held.
type session struct {
	sessionConfig
	conn  Conn
	queue sendQueue
	pace  *pace.Pacer

	ending      atomic.Bool   // the phase is closing or closed; read for each line
	frames      atomic.Uint64 // frames read, a sign of life
	stats       atomic.Uint64 // how many of them were stats
	firstStatus chan struct{} // gets a value with each status; room for one
	answers     chan error    // the daemon's answer to the auth in flight: nil or an *authRefused; room for one
	wake        chan struct{} // tells the renewer to look again; room for one
	writing     sync.Mutex    // held while a message is being written
	reader      readerState
	watch       statsWatch // of the writer

	mu     sync.Mutex
	shared shared
}

// shared is what the goroutines share.
type shared struct {
	phase   phase
	token   *tokens.Token // the one in use; before the first auth success, the one to log in with
	pending *tokens.Token // the one of the auth in flight; nil: there is none
	refused *tokens.Token // the last one that was refused
	wanted  string        // why to renew at once; "": there is no reason
	denied  time.Time     // when the daemon last said that a token was issued too early
	asked   *request      // the last request for stats
	stood   bool          // the connection is, or was, established
}

// look returns a copy of what is shared.
func (s *session) look() shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shared
}

// update changes what is shared.
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
	refused              // it takes none until it gets a fresh token
	closing              // the context has ended
	closed               // the connection has been closed
)

// sessionConfig is what a session is given.
type sessionConfig struct {
	owner      owner
	cfg        *Config
	tokens     *tokens.Cache
	first      *tokens.Token // the token to log in with
	count      *counters
	console    *console
	dial       func(context.Context, *tokens.Token) (Conn, error)
	reconnects int             // how many connections came before; 0: none
	connecting context.Context // ends the session, unless it is established by then
	stands     func()          // called once, when the connection is established
	soft       context.Context // ends the session: gracefully, if its cause is errClosing
	hard       context.Context // ends everything at once
}

// owner receives what a session reports. client implements it.
type owner interface {
	emit(Event)                                               // hands an event on; never blocks
	answered(Event)                                           // hands an answer to an auth to the consumer alone
	authenticated(s *session, perms []Permission, known bool) // a token was accepted, the first or a new one
	deauthenticated(s *session)                               // no commands are taken, for now or for good
	offline() bool                                            // the server is known to be offline
}

const (
	// dialTimeout limits one websocket handshake.
	dialTimeout = 15 * time.Second
	// authTimeout is how long a daemon may take to answer an auth.
	authTimeout = 10 * time.Second
	// statusGrace is how long the first connection waits for its first status. Then it is established without one.
	statusGrace = time.Second
	// closeTimeout is how long a close handshake may take.
	closeTimeout = time.Second
)

// Why a session or an attempt ended, other than an error of the connection or of the panel.
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

// start starts the session's goroutines. When nothing of the session is left, it calls ended with the reason. It does
// so in the goroutine that has closed the connection, which then goes on with what follows. So no stack waits for the
// end all the while.
func (s *session) start(ended func(error)) {
	g, ctx := errgroup.WithContext(s.soft)
	if w, ok := s.conn.(Waiter); ok { // before close can read
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

// close closes the connection, which ends the reader. If Commands.Close asked for it, it does a close handshake.
// Otherwise it closes at once.
func (s *session) close(cause error) {
	s.update(func(p *shared) { p.phase = closing })
	s.ending.Store(true)
	s.owner.deauthenticated(s) // first, so that a caller that fails below and then calls Ready waits for the next one
	why := ErrNotConnected
	if cause == errClosing || s.hard.Err() != nil { // not wrapped
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

// isAuthenticated reports whether the daemon takes commands: it has accepted a token, which has not ended since.
func (s *session) isAuthenticated() bool {
	p := s.look()
	return p.phase == up && time.Now().Before(p.token.Expires)
}

// lasted returns how long ago a token was first accepted. Call it only after the session has ended.
func (s *session) lasted() time.Duration {
	if !s.reader.isUp {
		return 0
	}
	return time.Since(s.reader.since)
}

// clean removes the session's secrets from err, in case a peer or a library quotes them.
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

// cleanText does the same for a peer's text.
func (s *session) cleanText(text string) string { return s.clean(errors.New(text)).Error() }

// requestStats asks for stats to learn the state, which a daemon does not repeat by itself. Only one request waits at a
// time.
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
