package pterotest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// serveList answers GET /api/client, on Calagopus GET /api/client/servers: the servers, page by page.
func (h *host) serveList(w http.ResponseWriter, r *http.Request, _ *Server) {
	query := r.URL.Query()
	everything := query.Get("type") == "admin-all" || query.Get("other") == "true"
	var servers []map[string]any
	for _, s := range h.all() {
		if entry := s.listed(everything); entry != nil && (!everything || h.cfg.Admin) {
			servers = append(servers, entry)
		}
	}
	number := func(name string, def, most int) int {
		n, err := strconv.Atoi(query.Get(name))
		if err != nil || n < 1 {
			return def
		}
		return min(n, most)
	}
	size, page := number("per_page", 50, 100), number("page", 1, 1<<20)
	total := len(servers)
	pages := max(1, (total+size-1)/size)
	from := min((page-1)*size, total)
	servers = servers[from:min(from+size, total)]

	w.Header().Set("Content-Type", "application/json")
	if h.cfg.Dialect == Calagopus {
		if servers == nil {
			servers = []map[string]any{}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"servers": map[string]any{"total": total, "per_page": size, "page": page, "data": servers}})
		return
	}
	list := make([]any, len(servers))
	for i, s := range servers {
		list[i] = map[string]any{"object": "server", "attributes": s}
	}
	data, _ := json.Marshal(map[string]any{
		"object": "list",
		"data":   list,
		"meta": map[string]any{"pagination": map[string]any{
			"total": total, "count": len(list), "per_page": size, "current_page": page, "total_pages": pages, "links": map[string]any{},
		}},
	})
	_, _ = w.Write([]byte(strings.ReplaceAll(string(data), "/", `\/`))) // PHP escapes slashes
}

// serveDetails answers GET /api/client/servers/{server}.
func (h *host) serveDetails(w http.ResponseWriter, _ *http.Request, s *Server) {
	var entry map[string]any
	if s != nil {
		entry = s.listed(h.cfg.Admin)
	}
	if entry == nil {
		unknownToPanel(w)
		return
	}
	answer := map[string]any{"object": "server", "attributes": entry}
	if h.cfg.Dialect == Calagopus {
		answer = map[string]any{"server": entry}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// listed returns the server's entry in a list; nil if it is not in it. everything: it is an administrator's list.
func (s *Server) listed(everything bool) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted || (s.other || s.revoked) && !everything {
		return nil
	}
	var status any // nil: there is nothing to tell
	switch {
	case s.suspended:
		status = "suspended"
	case s.installing:
		status = "installing"
	}
	node := "Node " + strconv.Itoa(s.home[s.node]+1)
	limits := map[string]any{"memory": 1024, "swap": 0, "disk": 5120, "io": 500, "cpu": 100}
	if s.cfg.Dialect == Calagopus {
		return map[string]any{
			"uuid": s.uuid, "uuid_short": s.id, "name": s.name, "description": s.description, "node_name": node, "status": status,
			"is_owner": !s.other, "is_suspended": s.suspended, "is_transferring": false, "permissions": s.permissions, "limits": limits,
		}
	}
	return map[string]any{
		"identifier": s.id, "internal_id": 1, "uuid": s.uuid, "name": s.name, "description": s.description, "node": node, "status": status,
		"is_suspended": s.suspended, "is_installing": s.installing, "is_transferring": false, "server_owner": !s.other, "limits": limits,
	}
}

// SetName renames the server.
func (s *Server) SetName(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = name
}

// SetInstalling makes the panel say that the server is being installed: in lists, and with 409 to a request for
// credentials.
func (s *Server) SetInstalling(installing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installing = installing
}

// RestartNode restarts the daemon of a node. This drops the connections of all of its servers. See
// Server.RestartDaemon.
func (h *host) RestartNode(node int) {
	h.onNode(node, (*Server).RestartDaemon)
}

// SetNodeDown makes the daemon of a node answer nobody until it is called with false. See Server.SetDown.
func (h *host) SetNodeDown(node int, down bool) {
	h.onNode(node, func(s *Server) { s.SetDown(down) })
}

// onNode does something to all servers of a node.
func (h *host) onNode(node int, f func(*Server)) {
	for _, s := range h.all() {
		s.mu.Lock()
		here := s.home[s.node] == node
		s.mu.Unlock()
		if here {
			f(s)
		}
	}
}
