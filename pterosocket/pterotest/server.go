package pterotest

import (
	"cmp"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Server is one game server, with its panel and the two nodes between which it may move. AddServer adds more servers to
// the panel. All methods are safe for concurrent use.
type Server struct {
	*host
	cfg   Config
	id    string
	uuid  string
	other bool      // it is not the user's own
	nodes [2]string // base URLs of the nodes' websockets

	gameLock lock // one command after the other

	mu          sync.Mutex
	name        string
	description string
	permissions []string
	issued      int // tokens
	expired     int // tokens up to this number have ended
	denied      time.Time
	tokenFault  TokenFault
	suspended   bool
	installing  bool
	deleted     bool
	revoked     bool
	node        int
	home        [2]int // the numbers of nodes
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

// NewServer starts a panel and its daemons, with one server. The caller must call Close.
func NewServer(cfg Config) *Server {
	cfg = cfg.withDefaults()
	return newHost(cfg).add(cfg, ServerConfig{ID: cfg.ServerID, Offline: cfg.Offline})
}

// ServerConfig says what an additional server is like.
type ServerConfig struct {
	ID, UUID          string // "": made up
	Name, Description string // name "": "Server" and its number; description "": none
	Node              int    // the number of its node; 0 and 1 are those of the first server
	Other             bool   // it belongs to another user, so only administrators find it in a list
	Offline           bool   // it is offline at the start, not running
	// Game and Stats are as in Config. Nil: the Config's.
	Game  func(command string) []string
	Stats func(state string, uptime time.Duration) Stats
}

// AddServer adds a server to the panel of s. For everything that sc does not say, the Config of s applies. The new
// server ends with s: Close of either ends both.
func (s *Server) AddServer(sc ServerConfig) *Server {
	cfg := s.host.cfg
	if sc.Game != nil {
		cfg.Game = sc.Game
	}
	if sc.Stats != nil {
		cfg.Stats = sc.Stats
	}
	return s.add(cfg, sc)
}

func (h *host) add(cfg Config, sc ServerConfig) *Server {
	h.shared.Lock()
	defer h.shared.Unlock()
	n := len(h.servers) + 1
	s := &Server{
		host:        h,
		cfg:         cfg,
		uuid:        cmp.Or(sc.UUID, fmt.Sprintf("a%07d-1111-4111-8111-%012d", n, n)),
		name:        cmp.Or(sc.Name, fmt.Sprint("Server ", n)),
		description: sc.Description,
		other:       sc.Other,
		home:        [2]int{sc.Node, sc.Node ^ 1},
		permissions: cfg.Permissions,
		sockets:     make(map[*socket]bool),
		state:       "running",
		started:     time.Now(),
		arrival:     make(chan struct{}),
		gameLock:    make(lock, 1),
	}
	s.id = cmp.Or(sc.ID, s.uuid[:8])
	s.nodes = [2]string{h.node(s.home[0]), h.node(s.home[1])}
	if sc.Offline {
		s.state = "offline"
	}
	// A daemon refuses tokens from before its start; this one has been up for a while.
	s.denied = h.now().Add(-time.Hour)
	h.servers = append(h.servers, s)
	if !h.closed {
		h.goroutine.Go(s.tick)
	}
	return s
}

// lock is a mutex that is held while waiting for something. Waiting for it is something that testing/synctest lets time
// pass for.
type lock chan struct{}

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

// list returns the open sockets. s.mu is held.
func (s *Server) list() []*socket {
	sockets := make([]*socket, 0, len(s.sockets))
	for k := range s.sockets {
		sockets = append(sockets, k)
	}
	return sockets
}

// ServerID returns the server's short identifier. The panel also takes the UUID.
func (s *Server) ServerID() string { return s.id }

// UUID returns the server's UUID.
func (s *Server) UUID() string { return s.uuid }

func (s *Server) nodeURL(node int) string { return "http" + s.nodes[node][len("ws"):] }

func (s *Server) socketURL(node int) string { return s.nodes[node] + "/api/servers/" + s.uuid + "/ws" }

// serveDaemons answers GET /api/servers/{uuid}/ws.
func (h *host) serveDaemons(w http.ResponseWriter, r *http.Request) {
	s := h.find(r.PathValue("server"))
	if s == nil {
		unknownToDaemon(w)
		return
	}
	s.serveDaemon(w, r)
}
