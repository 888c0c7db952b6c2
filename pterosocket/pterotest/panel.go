package pterotest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// panel lets a request pass what stands before the panel, its check of the key and its limits.
func (h *host) panel(next func(w http.ResponseWriter, r *http.Request, s *Server)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := h.find(r.PathValue("server")) // nil: unknown, or not about a server
		h.shared.Lock()
		isForToken := strings.HasSuffix(r.URL.Path, "/websocket")
		if isForToken {
			h.requests++
		}
		var fault *panelFault
		if len(h.panelFaults) > 0 {
			if fault = h.panelFaults[0]; fault.once {
				h.panelFaults = h.panelFaults[1:]
			}
		}
		first := h.servers[0]
		h.shared.Unlock()
		cmp.Or(s, first).announce()
		if fault != nil && fault.handle(w, r) {
			h.shared.Lock()
			h.panelFaults = slices.DeleteFunc(h.panelFaults, func(f *panelFault) bool { return f == fault && !f.stays })
			h.shared.Unlock()
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+h.cfg.APIKey {
			panelError(w, http.StatusUnauthorized, "AuthenticationException", "Unauthenticated.")
			return
		}
		limited := "" // by the limit of one server's tokens
		if isForToken {
			limited = r.PathValue("server")
		}
		if h.limiter.allows(w, limited, h.cfg.Dialect) {
			next(w, r, s)
		}
	}
}

// serveCredentials answers GET /api/client/servers/{server}/websocket.
func (h *host) serveCredentials(w http.ResponseWriter, _ *http.Request, s *Server) {
	if s == nil {
		unknownToPanel(w)
		return
	}
	s.mu.Lock()
	known := !s.deleted && !s.revoked
	allowed := (&claims{Permissions: s.permissions}).can("websocket.connect")
	suspended, installing, node := s.suspended, s.installing, s.node
	s.mu.Unlock()
	switch {
	case !known:
		unknownToPanel(w)
	case !allowed:
		panelError(w, http.StatusForbidden, "HttpForbiddenException", "You do not have permission to connect to this server's websocket.")
	case suspended:
		panelError(w, http.StatusConflict, "ServerStateConflictException", "This server is currently suspended and the functionality requested is unavailable.")
	case installing:
		panelError(w, http.StatusConflict, "ServerStateConflictException", "This server has not yet completed its installation process, please try again later.")
	default:
		s.answer(w, s.sign(), s.socketURL(node))
	}
}

func unknownToPanel(w http.ResponseWriter) {
	panelError(w, http.StatusNotFound, "NotFoundHttpException", "The requested resource could not be found on the server.")
}

func (s *Server) answer(w http.ResponseWriter, token, socket string) {
	w.Header().Set("Content-Type", "application/json")
	if s.cfg.Dialect == Calagopus {
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token, "url": socket})
		return
	}
	data, _ := json.Marshal(map[string]any{"object": "websocket_token", "data": map[string]string{"token": token, "socket": socket}})
	_, _ = w.Write([]byte(strings.ReplaceAll(string(data), "/", `\/`))) // PHP escapes slashes
}

func panelError(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "status": strconv.Itoa(status), "detail": detail}}})
}

// FailPanel makes the panel's next answer fail with status. A status below 500 comes as an error of the panel, any
// other as a proxy's page. Several calls queue up.
func (h *host) FailPanel(status int, detail string) {
	h.addPanelFault(true, func(w http.ResponseWriter, _ *http.Request) bool {
		if status >= 500 {
			http.Error(w, "<html><h1>"+detail+"</h1></html>", status)
		} else {
			panelError(w, status, "PterotestException", detail)
		}
		return true
	})
}

// RateLimitPanel makes the panel's next answer a 429 with this Retry-After, in whole seconds.
func (h *host) RateLimitPanel(after time.Duration) {
	h.addPanelFault(true, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
		panelError(w, http.StatusTooManyRequests, "TooManyRequestsHttpException", "Too Many Attempts.")
		return true
	})
}

// HandlePanel puts handle in front of the panel. handle gets every request to the panel. If it returns false, the panel
// answers the request as usual. If it has answered the request itself, it returns true and is then forgotten. Several
// handlers queue up. For a handler that stays, use InterceptPanel.
func (h *host) HandlePanel(handle func(http.ResponseWriter, *http.Request) bool) {
	h.addPanelFault(false, handle)
}

// InterceptPanel works like HandlePanel, but the handler stays until ResetPanel, whatever it returns. It can be a
// limit, for example.
func (h *host) InterceptPanel(handle func(http.ResponseWriter, *http.Request) bool) {
	h.shared.Lock()
	defer h.shared.Unlock()
	h.panelFaults = append(h.panelFaults, &panelFault{stays: true, handle: handle})
}

// panelFault stands before the panel.
type panelFault struct {
	once   bool // for one request only
	stays  bool // until ResetPanel
	handle func(http.ResponseWriter, *http.Request) bool
}

func (h *host) addPanelFault(once bool, handle func(http.ResponseWriter, *http.Request) bool) {
	h.shared.Lock()
	defer h.shared.Unlock()
	h.panelFaults = append(h.panelFaults, &panelFault{once: once, handle: handle})
}

// ResetPanel forgets everything that FailPanel, RateLimitPanel, HandlePanel and InterceptPanel have queued.
func (h *host) ResetPanel() {
	h.shared.Lock()
	defer h.shared.Unlock()
	h.panelFaults = nil
}

// CredentialRequests returns how often the panel was asked for a token, for all servers together.
func (h *host) CredentialRequests() int {
	h.shared.Lock()
	defer h.shared.Unlock()
	return h.requests
}
