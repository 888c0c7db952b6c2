package pterosocket

import (
	"context"
	"errors"
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
	// statsOverdue is how long a server that is not offline may be without stats before they are asked for.
	statsOverdue = 5 * time.Second
)

// A session is one websocket connection from its handshake to its end: an errgroup of a reader, a writer, a renewer and a
// pinger. It knows nothing of the connections before and after it but through the hooks in sessionConfig.
type session struct {
	sessionConfig
	conn   Conn
	socket string
	hard   context.Context // ends everything at once; the errgroup's context also ends gracefully
	queue  *sendQueue
	pace   *pacer
	group  *errgroup.Group
	ctx    context.Context // the group's: ends when the session does
	end    context.CancelCauseFunc

	// Reader to renewer.
	answers  chan error            // the daemon's answer to the auth that was sent last: nil or an *authRefused; room for one
	triggers chan string           // why to renew at once; room for one
	awaiting atomic.Bool           // an auth has been sent and not been answered
	offered  atomic.Pointer[token] // the token of that auth

	// Reader to writer.
	throttled chan struct{}

	authenticated atomic.Bool
	ended         atomic.Bool
	closing       atomic.Bool  // the writer closes the connection
	expires       atomic.Int64 // the token's end, in time since epoch
	epoch         time.Time

	up     chan struct{} // closed with the first auth success
	status chan struct{} // closed with the first status
	frames atomic.Uint64 // frames read, a sign of life
	stats  atomic.Uint64 // those of them that were stats

	burst     burst     // the reader's
	started   bool      // a Start event has been emitted
	since     time.Time // of the first auth success
	renewed   time.Time // of the last one after that
	lost      bool      // the daemon may have answered lines with jwt error since the last auth success
	isUp      bool
	overtaken bool // a refusal has come since the last renewal that may be about the token before
	isStatus  bool
}

// sessionConfig is what a session is given.
type sessionConfig struct {
	cfg      *Config
	tokens   *tokens
	token    *token // the one in use, or on its way to be; only the renewer's
	count    *counters
	emit     func(Event)                                      // hands an event on; never blocks
	auth     func(s *session, perms []Permission, known bool) // authenticated, by the first token or a new one
	deauth   func(s *session)                                 // it takes no commands, for the time being or for ever
	answered func(Event)                                      // hands on an answer to an auth, which is no answer to anything else
	offline  func() bool                                      // the server is known to be offline
	recovery *recovery
	again    bool         // a reconnect: lines may have been missed
	start    func() Event // returns the Start event
}

// Why a session ended, when it was neither the daemon nor the network.
var (
	errClosing     = errors.New("closing")
	errMoved       = errors.New("the server has moved to another node")
	errTransferred = errors.New("the server may have moved to another node")
	errNoPong      = errors.New("the daemon answers no ping: the network or the daemon is gone")
	errNotRenewed  = errors.New("the daemon does not accept fresh tokens on this connection")
	errAuthTimeout = errors.New("the daemon did not answer the auth message")
)

// openSession starts the goroutines of a session on conn. soft ends it gracefully, hard at once.
func openSession(soft, hard context.Context, conn Conn, sc sessionConfig) *session {
	s := &session{
		sessionConfig: sc,
		conn:          conn,
		socket:        sc.token.Socket,
		hard:          hard,
		queue:         newSendQueue(),
		pace:          newPacer(sc.cfg.Limits),
		answers:       make(chan error, 1),
		triggers:      make(chan string, 1),
		throttled:     make(chan struct{}, 1),
		epoch:         time.Now(),
		up:            make(chan struct{}),
		status:        make(chan struct{}),
	}
	soft, s.end = context.WithCancelCause(soft)
	group, ctx := errgroup.WithContext(soft)
	s.group, s.ctx = group, ctx
	group.Go(func() error { return s.read() })
	group.Go(func() error { return s.write(ctx) })
	group.Go(func() error { return s.renew(ctx) })
	if sc.cfg.PingInterval > 0 {
		group.Go(func() error { return s.ping(ctx) })
	}
	return s
}

// wait returns why the session ended, when all of its goroutines have.
func (s *session) wait() error {
	err := s.clean(s.group.Wait())
	s.end(nil)
	s.authenticated.Store(false)
	s.recovery.end()
	return err
}

// down notes that the session takes no commands any more, for ever.
func (s *session) down() {
	s.ended.Store(true)
	s.authenticated.Store(false)
	s.deauth(s)
}

// clean removes the session's secrets from an error of a peer or a library that quotes them.
func (s *session) clean(err error) error {
	secrets := []string{s.tokens.secret, s.token.Token}
	if tok := s.offered.Load(); tok != nil {
		secrets = append(secrets, tok.Token)
	}
	return redact(err, secrets...)
}

// abort ends the session at once, and returns why it should have been up by now but is not.
func (s *session) abort() error {
	s.end(errAuthTimeout)
	_ = s.wait()
	return errAuthTimeout
}

// wasUp reports whether the session has been authenticated.
func (s *session) wasUp() bool {
	select {
	case <-s.up:
		return true
	default:
		return false
	}
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

// ping finds out that the daemon or the network has gone without a word. Every PingInterval it pings; when neither the pong nor
// any frame comes within min(PingInterval, 10 s), the session ends.
func (s *session) ping(ctx context.Context) error {
	interval := s.cfg.PingInterval
	stats, statsAt := s.stats.Load(), time.Now()
	var asked *request // for stats
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		// A server that is not offline sends stats each second, unless both frames were lost that told that it is.
		if now := s.stats.Load(); now != stats {
			stats, statsAt = now, time.Now()
		} else if time.Since(statsAt) > statsOverdue && s.isAuthenticated() && !s.offline() && (asked == nil || !asked.pending()) {
			asked, statsAt = s.requestStats(), time.Now()
		}
		frames, start := s.frames.Load(), time.Now()
		pong, cancel := context.WithTimeout(ctx, min(interval, 10*time.Second))
		err := s.conn.Ping(pong)
		timedOut := pong.Err() != nil
		cancel()
		switch {
		case err == nil:
			s.count.pingRTT.Store(int64(time.Since(start)))
		case ctx.Err() != nil:
			return nil
		case !timedOut: // the connection is ending, and the reader tells how
		case s.frames.Load() == frames:
			return errNoPong
		}
	}
}
