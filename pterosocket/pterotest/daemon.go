package pterotest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/transport"
)

const maxSockets = 30 // of one server, Pelican

// serveDaemon answers GET /api/servers/{uuid}/ws, and serves the websocket until it ends.
func (s *Server) serveDaemon(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	unknown := r.PathValue("server") != s.uuid || s.deleted || r.Host != s.nodes[s.node][len("ws://"):]
	open, suspended := len(s.sockets), s.suspended
	freeze, down := s.freezeNew, s.down
	s.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler) // EOF instead of an answer
	}

	id := newUUID()
	h := w.Header()
	h.Set("X-Request-Id", id)
	h.Set("Access-Control-Allow-Origin", s.wantedOrigin())
	switch {
	case unknown: // checked before the Origin
		unknownToDaemon(w)
		return
	case s.cfg.Dialect != Calagopus && !s.cfg.AnyOrigin && r.Header.Get("Origin") != s.wantedOrigin():
		refuse(w, http.StatusForbidden, "Forbidden", id)
		return
	case s.cfg.Dialect == Pelican && open >= maxSockets:
		h.Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "Too many open websocket connections."})
		return
	case s.cfg.Dialect == Calagopus && open >= maxSockets:
		h.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error":"too many websocket connections"}`)
		return
	case r.Header.Get("Upgrade") == "":
		refuse(w, http.StatusBadRequest, "Bad Request", id)
		return
	}
	for name := range h { // a daemon's 101 has none of them
		h.Del(name)
	}
	raw := connOf(r)
	conn, err := transport.Accept(w, r, raw, s.cfg.Dialect == Pelican)
	if err != nil {
		return
	}
	if suspended && s.cfg.Dialect == Pelican {
		ctx, cancel := context.WithTimeout(s.ctx, time.Second)
		defer cancel()
		_ = conn.Close(ctx, 4409, "server is suspended")
		return
	}
	k := newSocket(s, conn, raw)
	if freeze {
		raw.frozen.Store(true)
	}
	s.mu.Lock()
	s.sockets[k] = true
	s.mu.Unlock()
	if s.isClosed() { // Close may not have seen it
		conn.Abort()
	}
	s.announce()
	k.serve()
	s.mu.Lock()
	delete(s.sockets, k)
	s.mu.Unlock()
	s.announce()
}

func unknownToDaemon(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"error":"The requested resource does not exist on this instance."}`)
}

// refuse answers as the daemons' websocket library does.
func refuse(w http.ResponseWriter, status int, text, id string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Sec-Websocket-Version", "13")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s\n{\"error\":\"An unexpected error was encountered while processing this request\",\"request_id\":%q}", text, id)
}
