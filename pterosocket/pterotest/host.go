package pterotest

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A host is what the servers of one panel share: the panel itself, the machines of its daemons, and the network.
type host struct {
	cfg       Config
	origin    string
	secret    []byte
	memory    *memoryListener
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	goroutine sync.WaitGroup

	shared      sync.Mutex
	closed      bool
	http        []*http.Server
	handler     http.Handler
	nodes       []string  // base URLs of the nodes' websockets
	servers     []*Server // in the order in which they were added
	panelFaults []*panelFault
	requests    int // for credentials
	limiter     panelLimiter
}

func newHost(cfg Config) *host {
	h := &host{cfg: cfg, secret: []byte("a throw-away key of the fake node")}
	h.limiter.limit = cfg.PanelLimit
	h.ctx, h.cancel = context.WithCancel(context.Background()) // Close ends it
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/client/servers/{server}/websocket", h.panel(h.serveCredentials))
	if cfg.Dialect == Calagopus {
		mux.HandleFunc("GET /api/client/servers", h.panel(h.serveList))
	} else {
		mux.HandleFunc("GET /api/client", h.panel(h.serveList))
	}
	mux.HandleFunc("GET /api/client/servers/{server}", h.panel(h.serveDetails))
	mux.HandleFunc("GET /api/servers/{server}/ws", h.serveDaemons)
	h.handler = h.track(mux)
	if cfg.InMemory {
		h.memory = newMemoryListener()
		h.origin = "http://panel.test"
		h.serve(h.memory)
	} else {
		h.origin = "http://" + h.listen()
	}
	return h
}

// listen opens a port on loopback, and returns its address.
func (h *host) listen() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("pterotest: listening on loopback: " + err.Error())
	}
	h.serve(l)
	return l.Addr().String()
}

func (h *host) serve(l net.Listener) {
	srv := &http.Server{Handler: h.handler, ConnContext: withConn, ReadHeaderTimeout: time.Minute}
	h.http = append(h.http, srv)
	h.goroutine.Go(func() { _ = srv.Serve(faultListener{l, h}) })
}

// node returns the base URL of a node's websockets. The node is made when it is asked for first. h.shared is held.
func (h *host) node(n int) string {
	for len(h.nodes) <= n {
		url := "ws://node" + strconv.Itoa(len(h.nodes)+1) + ".test:8080"
		if h.memory == nil {
			url = "ws://" + h.listen()
		}
		h.nodes = append(h.nodes, url)
	}
	return h.nodes[n]
}

// find returns the server with this identifier or UUID; nil if there is none.
func (h *host) find(id string) *Server {
	h.shared.Lock()
	defer h.shared.Unlock()
	for _, s := range h.servers {
		if s.id == id || s.uuid == id {
			return s
		}
	}
	return nil
}

// all returns the servers.
func (h *host) all() []*Server {
	h.shared.Lock()
	defer h.shared.Unlock()
	return append([]*Server(nil), h.servers...)
}

// track lets Close wait for handlers, and refuses new ones once it has begun.
func (h *host) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.shared.Lock()
		if h.closed {
			h.shared.Unlock()
			panic(http.ErrAbortHandler)
		}
		h.goroutine.Add(1)
		h.shared.Unlock()
		defer h.goroutine.Done()
		next.ServeHTTP(w, r)
	})
}

// spawn runs f in a goroutine that Close waits for. It does nothing once Close has begun.
func (h *host) spawn(f func()) {
	h.shared.Lock()
	defer h.shared.Unlock()
	if !h.closed {
		h.goroutine.Go(f)
	}
}

// isClosed reports whether Close has begun.
func (h *host) isClosed() bool {
	h.shared.Lock()
	defer h.shared.Unlock()
	return h.closed
}

// Close ends the panel and its daemons with all of their servers. It drops all connections and waits until every
// goroutine has ended, including your hooks that are at work.
func (h *host) Close() {
	h.shared.Lock()
	h.closed = true
	h.shared.Unlock()
	h.cancel()
	for _, s := range h.all() {
		s.Drop()
	}
	for _, srv := range h.http {
		_ = srv.Close()
	}
	h.goroutine.Wait()
}

// now is the time by the clocks of panel and daemon.
func (h *host) now() time.Time { return time.Now().Add(h.cfg.ClockOffset) }

// Origin returns the panel's base URL, for pterosocket.Config.Origin.
func (h *host) Origin() string { return h.origin }

// APIKey returns the key that the panel accepts.
func (h *host) APIKey() string { return h.cfg.APIKey }

// Dialect returns the family of the panel and the daemons.
func (h *host) Dialect() Dialect { return h.cfg.Dialect }

// Client returns an HTTP client that reaches the panel and the daemons, on loopback and in memory. It keeps no idle
// connections.
func (h *host) Client() *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	if h.memory != nil {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return h.memory.dial(ctx) }
	}
	return &http.Client{Transport: transport}
}

// wantedOrigin is what the daemons compare the Origin header with.
func (h *host) wantedOrigin() string {
	if h.cfg.Origin != "" {
		return h.cfg.Origin
	}
	return h.origin
}
