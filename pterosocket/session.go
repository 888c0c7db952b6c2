package pterosocket

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pterosocket/pterosocket-go/internal/wire"
)

const (
	// dialTimeout bounds one websocket handshake.
	dialTimeout = 15 * time.Second
	// authTimeout is how long a daemon may take to answer an auth.
	authTimeout = 10 * time.Second
	// statusGrace is how long the first status may take after auth success before the connection counts as up without one.
	statusGrace = time.Second
)

// A session is one websocket connection from its handshake to its end: a reader, which is the goroutine that calls run, and an
// errgroup of those that work with it: a writer while something is to be written, a renewer while a token is being renewed, a pinger
// while a pong is awaited. An idle session is one goroutine, and timers. It knows nothing of the connections before and after it
// but through sessionConfig.
type session struct {
	sessionConfig
	conn   Conn
	hard   context.Context // ends everything at once
	ctx    context.Context // ends when the session does; also gracefully, with errClosing
	end    context.CancelCauseFunc
	queue  sendQueue
	pace   *pacer
	epoch  time.Time
	closed chan struct{} // closed when the connection has been

	crew      errgroup.Group
	crewMu    sync.Mutex
	dismissed bool // nobody joins the crew any more

	// The first token, and those after it.
	renewal  renewal
	answers  chan error            // the daemon's answer to the auth that was sent last: nil or an *authRefused; room for one
	awaiting atomic.Bool           // an auth has been sent and not been answered
	offered  atomic.Pointer[token] // the token of that auth

	authenticated atomic.Bool
	ended         atomic.Bool
	closing       atomic.Bool  // the connection is being closed
	expires       atomic.Int64 // the token's end, in time since epoch
	writing       sync.Mutex   // held while a message is being written

	frames atomic.Uint64 // frames read, a sign of life
	stats  atomic.Uint64 // those of them that were stats
	pings  pings

	standing sync.Once   // reports that the connection stands
	stood    atomic.Bool // it has been reported
	grace    *time.Timer // for the first status, on a first connection

	// The reader's.
	burst     burst
	tells     bool      // conn is a Waiter
	since     time.Time // of the first auth success
	renewed   time.Time // of the last one after that
	isUp      bool      // since the first auth success
	doubted   time.Time // when a token was last refused for a reason that nobody knows
	lost      bool      // the daemon may have answered lines with jwt error since the last auth success
	overtaken bool      // a refusal has come since the last renewal that may be about the token before
}

// sessionConfig is what a session is given.
type sessionConfig struct {
	owner      owner
	cfg        *Config
	tokens     *tokens
	token      *token // the one in use, or on its way to be; only the renewer's
	count      *counters
	recovery   *recovery
	reconnects int         // how many connections there were before; 0: lines cannot have been missed
	stands     func() bool // told once that the connection stands; false: too late, it is being given up
}

// owner is what a session tells of itself: the client, of which it knows no more.
type owner interface {
	emit(Event)                                               // hands an event on; never blocks
	answered(Event)                                           // hands on an answer to an auth, which is no answer to anything else
	authenticated(s *session, perms []Permission, known bool) // by the first token or a new one
	deauthenticated(s *session)                               // it takes no commands, for the time being or for ever
	offline() bool                                            // the server is known to be offline
}

// Why a session ended, when it was neither the daemon nor the network.
var (
	errClosing     = errors.New("closing")
	errMoved       = errors.New("the server has moved to another node")
	errTransferred = errors.New("a transfer has ended, and the server may be on another node now")
	errNoPong      = errors.New("the daemon answers no ping: the network or the daemon is gone")
	errNotRenewed  = errors.New("the daemon does not accept fresh tokens on this connection")
	errAuthTimeout = errors.New("the daemon did not answer the auth message")
)

// newSession returns a session on conn. soft ends it gracefully, hard at once. It must be run.
func newSession(soft, hard context.Context, conn Conn, sc sessionConfig) *session {
	s := &session{
		sessionConfig: sc,
		conn:          conn,
		hard:          hard,
		pace:          newPacer(sc.cfg.Limits),
		epoch:         time.Now(),
		closed:        make(chan struct{}),
		answers:       make(chan error, 1),
		burst:         burst{most: linesFor(sc.cfg.QueueSize)},
	}
	s.ctx, s.end = context.WithCancelCause(soft)
	s.queue.start = func() { s.spawn(s.write) }
	s.renewal.running = true // the first renewer is the one that run starts
	return s
}

// run is the session's life: it returns why that ended, when nothing of it is left.
func (s *session) run() error {
	if w, ok := s.conn.(Waiter); ok { // before shut can be reading
		s.tells = true
		w.OnWait(s.beforeWait)
	}
	context.AfterFunc(s.ctx, s.shut)
	s.spawn(s.logIn)
	s.startPings()
	s.end(s.read())
	<-s.closed
	s.crewMu.Lock()
	s.dismissed = true
	s.crewMu.Unlock()
	s.stopPings()
	s.standing.Do(func() {}) // too late for that
	if s.grace != nil {
		s.grace.Stop()
	}
	_ = s.crew.Wait() // errors have gone to end
	s.renewal.stop()
	s.authenticated.Store(false)
	s.recovery.end()
	return s.clean(context.Cause(s.ctx))
}

// spawn lets f run until the session's end at the latest. An error ends the session. Once that has ended, f is not called.
func (s *session) spawn(f func() error) {
	s.crewMu.Lock()
	defer s.crewMu.Unlock()
	if s.dismissed {
		return
	}
	s.crew.Go(func() error {
		if err := f(); err != nil {
			s.end(err)
		}
		return nil
	})
}

// shut closes the connection at the session's end, which ends the reader.
func (s *session) shut() {
	defer close(s.closed)
	s.down() // first, so that whoever fails below and waits with Ready waits for the next connection
	err := ErrNotConnected
	if context.Cause(s.ctx) == errClosing || s.hard.Err() != nil { // the value itself
		err = ErrClosed
	}
	s.queue.fail(err, err)
	s.writing.Lock() // a message that has begun comes to its end
	defer s.writing.Unlock()
	s.closing.Store(true)
	s.closeConn()
}

// closeConn ends the connection: with a close handshake when Commands.Close asked for it, at once otherwise.
func (s *session) closeConn() {
	deadline := s.hard
	if context.Cause(s.ctx) != errClosing { // the value itself
		ended, cancel := context.WithCancel(s.hard)
		cancel()
		deadline = ended
	}
	bounded, cancel := context.WithTimeout(deadline, closeTimeout)
	defer cancel()
	_ = s.conn.Close(bounded, closeNormal, "")
}

// down notes that the session takes no commands any more, for ever.
func (s *session) down() {
	s.ended.Store(true)
	s.authenticated.Store(false)
	s.owner.deauthenticated(s)
}

// stand reports that the connection stands, unless that has been done.
func (s *session) stand() {
	s.standing.Do(func() {
		s.stood.Store(s.stands())
		s.stands = nil // and what it holds
	})
}

// clean removes the session's secrets from an error of a peer or a library that quotes them.
func (s *session) clean(err error) error {
	secrets := []string{s.tokens.secret, s.token.Token}
	if tok := s.offered.Load(); tok != nil {
		secrets = append(secrets, tok.Token)
	}
	return redact(err, secrets...)
}

// isAuthenticated reports whether the daemon takes commands: it has accepted a token that has not ended since.
func (s *session) isAuthenticated() bool {
	return s.authenticated.Load() && time.Since(s.epoch) < time.Duration(s.expires.Load())
}

// requestStats asks for the state, which a daemon does not tell again by itself.
func (s *session) requestStats() *request {
	r := newRequest(wire.SendStats, wire.AppendFrame(nil, wire.SendStats, ""))
	s.queue.add(r)
	return r
}
