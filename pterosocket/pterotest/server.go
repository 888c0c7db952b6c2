package pterotest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a panel, a daemon with two nodes, and one game server. Its methods may be called from anywhere.
type Server struct {
	cfg    Config
	uuid   string
	origin string
	nodes  [2]string // base URLs of the nodes' websockets
	secret []byte

	http      []*http.Server
	memory    *memoryListener
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	goroutine sync.WaitGroup

	gameLock lock // one command after the other

	mu          sync.Mutex
	closed      bool
	permissions []string
	issued      int // tokens
	expired     int // tokens up to this number have ended
	denied      time.Time
	tokenFault  TokenFault
	panelFaults []*panelFault
	requests    int // for credentials
	suspended   bool
	deleted     bool
	revoked     bool
	node        int
	sockets     map[*socket]bool
	freezeNew   bool
	down        bool // the daemon answers nobody
	onReplay    func(history []string, send func(line string))

	state    string
	started  time.Time // when the game began to run
	run      int       // counts starts, so that what belongs to an earlier one ends
	acting   string    // the power action that is being carried out, during which others are refused
	stats    *Stats    // set by the user; nil: made up
	history  []string
	seen     []Message
	commands []string
	arrival  chan struct{} // closed and replaced whenever something arrives
	dropped  Dropped
}

// NewServer starts a Server. Close it.
func NewServer(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:         cfg,
		uuid:        "a0000001-1111-4111-8111-000000000001",
		secret:      []byte("a throw-away key of the fake node"),
		permissions: cfg.Permissions,
		sockets:     make(map[*socket]bool),
		state:       "running",
		started:     time.Now(),
		arrival:     make(chan struct{}),
		gameLock:    make(lock, 1),
	}
	if cfg.Offline {
		s.state = "offline"
	}
	// A daemon refuses tokens from before its start; this one has been up for a while.
	s.denied = s.now().Add(-time.Hour)
	s.ctx, s.cancel = context.WithCancel(context.Background()) // Close ends it
	listeners := []net.Listener{nil, nil, nil}
	if cfg.InMemory {
		s.memory = newMemoryListener()
		listeners = []net.Listener{s.memory}
		s.origin = "http://panel.test"
		s.nodes = [2]string{"ws://node1.test:8080", "ws://node2.test:8080"}
	} else {
		for i := range listeners {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				panic("pterotest: listening on loopback: " + err.Error())
			}
			listeners[i] = l
		}
		s.origin = "http://" + listeners[0].Addr().String()
		s.nodes = [2]string{"ws://" + listeners[1].Addr().String(), "ws://" + listeners[2].Addr().String()}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/client/servers/{server}/websocket", s.servePanel)
	mux.HandleFunc("GET /api/servers/{server}/ws", s.serveDaemon)
	handler := s.track(mux)
	for _, l := range listeners {
		srv := &http.Server{Handler: handler, ConnContext: withConn, ReadHeaderTimeout: time.Minute}
		s.http = append(s.http, srv)
		s.goroutine.Go(func() { _ = srv.Serve(faultListener{l, s}) })
	}
	s.goroutine.Go(s.tick)
	return s
}

// lock is a mutex that is held while waiting for something. Waiting for it is something that testing/synctest lets time
// pass for.
type lock chan struct{}

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

// track lets Close wait for handlers, and refuses new ones once it has begun.
func (s *Server) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
		s.goroutine.Add(1)
		s.mu.Unlock()
		defer s.goroutine.Done()
		next.ServeHTTP(w, r)
	})
}

// spawn runs f in a goroutine that Close waits for. It does nothing once Close has begun.
func (s *Server) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.goroutine.Go(f)
	}
}

// Close drops all connections and waits until every goroutine of the Server has ended, hooks of yours that are at work
// included.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	sockets := s.list()
	s.mu.Unlock()
	s.cancel()
	for _, k := range sockets {
		k.drop(false)
	}
	for _, srv := range s.http {
		_ = srv.Close()
	}
	s.goroutine.Wait()
}

// list returns the open sockets. s.mu is held.
func (s *Server) list() []*socket {
	sockets := make([]*socket, 0, len(s.sockets))
	for k := range s.sockets {
		sockets = append(sockets, k)
	}
	return sockets
}

// now is the time by the clocks of panel and daemon.
func (s *Server) now() time.Time { return time.Now().Add(s.cfg.ClockOffset) }

// Origin returns the panel's base URL, for pterosocket.Config.Origin.
func (s *Server) Origin() string { return s.origin }

// APIKey returns the key that the panel takes.
func (s *Server) APIKey() string { return s.cfg.APIKey }

// ServerID returns the server's short identifier. The panel takes the UUID as well.
func (s *Server) ServerID() string { return s.cfg.ServerID }

// Dialect returns the family that the Server is of.
func (s *Server) Dialect() Dialect { return s.cfg.Dialect }

// UUID returns the server's UUID.
func (s *Server) UUID() string { return s.uuid }

// Client returns an HTTP client that reaches the Server, whatever its network. It keeps no idle connections.
func (s *Server) Client() *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	if s.memory != nil {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.memory.dial(ctx) }
	}
	return &http.Client{Transport: transport}
}

func (s *Server) nodeURL(node int) string { return "http" + s.nodes[node][len("ws"):] }

func (s *Server) socketURL(node int) string { return s.nodes[node] + "/api/servers/" + s.uuid + "/ws" }

// wantedOrigin is what the daemon compares the Origin header with.
func (s *Server) wantedOrigin() string {
	if s.cfg.Origin != "" {
		return s.cfg.Origin
	}
	return s.origin
}
