package pterotest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// servePanel answers GET /api/client/servers/{server}/websocket.
func (s *Server) servePanel(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	var fault *panelFault
	if len(s.panelFaults) > 0 {
		if fault = s.panelFaults[0]; fault.once {
			s.panelFaults = s.panelFaults[1:]
		}
	}
	known := (r.PathValue("server") == s.cfg.ServerID || r.PathValue("server") == s.uuid) && !s.deleted && !s.revoked
	allowed := (&claims{Permissions: s.permissions}).can("websocket.connect")
	suspended, node := s.suspended, s.node
	s.mu.Unlock()
	s.announce()

	if fault != nil && fault.handle(w, r) {
		s.mu.Lock()
		s.panelFaults = slices.DeleteFunc(s.panelFaults, func(f *panelFault) bool { return f == fault && !f.stays })
		s.mu.Unlock()
		return
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer "+s.cfg.APIKey:
		panelError(w, http.StatusUnauthorized, "AuthenticationException", "Unauthenticated.")
	case !known:
		panelError(w, http.StatusNotFound, "NotFoundHttpException", "The requested resource could not be found on the server.")
	case !allowed:
		panelError(w, http.StatusForbidden, "HttpForbiddenException", "You do not have permission to connect to this server's websocket.")
	case suspended:
		panelError(w, http.StatusConflict, "ServerStateConflictException", "This server is currently suspended and the functionality requested is unavailable.")
	default:
		s.answer(w, s.sign(), s.socketURL(node))
	}
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

// FailPanel makes the panel's next answer this one: an error of the panel for a status below 500, a proxy's page
// otherwise. Several calls queue up.
func (s *Server) FailPanel(status int, detail string) {
	s.addPanelFault(true, func(w http.ResponseWriter, _ *http.Request) bool {
		if status >= 500 {
			http.Error(w, "<html><h1>"+detail+"</h1></html>", status)
		} else {
			panelError(w, status, "PterotestException", detail)
		}
		return true
	})
}

// RateLimitPanel makes the panel's next answer 429 with this Retry-After, in whole seconds.
func (s *Server) RateLimitPanel(after time.Duration) {
	s.addPanelFault(true, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
		panelError(w, http.StatusTooManyRequests, "TooManyRequestsHttpException", "Too Many Attempts.")
		return true
	})
}

// HandlePanel puts handle before the panel: it gets requests for credentials until it returns true for one, having
// answered it, and is forgotten then. A request for which it returns false is answered as usual. Several handlers queue
// up. InterceptPanel is for one that stays.
func (s *Server) HandlePanel(handle func(http.ResponseWriter, *http.Request) bool) {
	s.addPanelFault(false, handle)
}

// InterceptPanel does the same with a handler that stays until ResetPanel, whatever it returns: a limit, for example.
func (s *Server) InterceptPanel(handle func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panelFaults = append(s.panelFaults, &panelFault{stays: true, handle: handle})
}

// panelFault stands before the panel.
type panelFault struct {
	once   bool // for one request only
	stays  bool // until ResetPanel
	handle func(http.ResponseWriter, *http.Request) bool
}

func (s *Server) addPanelFault(once bool, handle func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panelFaults = append(s.panelFaults, &panelFault{once: once, handle: handle})
}

// ResetPanel forgets what FailPanel, RateLimitPanel, HandlePanel and InterceptPanel have queued.
func (s *Server) ResetPanel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panelFaults = nil
}

// CredentialRequests returns how often the panel was asked for a token.
func (s *Server) CredentialRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}
