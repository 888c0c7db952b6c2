package pterotest

import (
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// TokenFault is a fault of the tokens that the panel issues.
type TokenFault int

// The faults.
const (
	GoodTokens   TokenFault = iota
	WrongServer             // for another server: auth success, then only "server uuid mismatch"; Calagopus refuses it
	BadSignature            // signed with another key: a masked daemon error; Calagopus says "invalid token"
)

// SetTokenFault makes the panel issue bad tokens from now on, or good ones again.
func (s *Server) SetTokenFault(f TokenFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokenFault = f
}

// ExpireTokens ends all tokens issued so far. Every frame becomes a jwt error, as after ten minutes.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = s.issued
}

// DenyTokens makes the daemon refuse all tokens issued so far. It also refuses those issued within this second, since
// tokens carry whole seconds.
func (s *Server) DenyTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = s.now()
}

// SetPermissions changes the user's permissions in tokens issued from now on.
func (s *Server) SetPermissions(permissions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.permissions = permissions
}

// Drop ends every connection without a close frame. The client reads EOF.
func (s *Server) Drop() { s.dropAll(false) }

// Reset ends every connection with a TCP reset. In memory it does the same as Drop.
func (s *Server) Reset() { s.dropAll(true) }

func (s *Server) dropAll(reset bool) {
	s.mu.Lock()
	sockets := s.list()
	s.mu.Unlock()
	for _, k := range sockets {
		k.drop(reset)
	}
}

// CloseAll ends every connection with a close frame.
func (s *Server) CloseAll(code int, reason string) {
	s.mu.Lock()
	sockets := s.list()
	s.mu.Unlock()
	for _, k := range sockets {
		s.spawn(func() { k.close(code, reason) })
	}
}

// Freeze silences the network of all present connections. Nothing arrives any more in either direction, and nobody is
// told. New connections are not affected.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.sockets {
		if k.raw != nil {
			k.raw.frozen.Store(true)
		}
	}
}

// FreezeNew does the same to connections made from now on, until it is called with false.
func (s *Server) FreezeNew(frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freezeNew = frozen
}

// SetDown drops the daemon's connections, and makes it answer no handshake until it is called with false. The panel
// goes on.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	if down {
		s.Drop()
	}
}

// RestartDaemon drops every connection and makes the daemon refuse the tokens issued so far, as a daemon does after its
// start.
func (s *Server) RestartDaemon() {
	s.DenyTokens()
	s.Drop()
}

// Suspend suspends the server: the panel answers 409, and the server stops. Pterodactyl keeps connections open. Pelican
// drops them and closes new ones with 4409. What Calagopus does is not known: here it drops them.
func (s *Server) Suspend() {
	s.mu.Lock()
	s.suspended = true
	s.mu.Unlock()
	if s.State() != "offline" {
		s.stop()
	}
	if s.cfg.Dialect != Pterodactyl {
		s.Drop()
	}
}

// Unsuspend lifts the suspension. The server stays offline until somebody starts it.
func (s *Server) Unsuspend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspended = false
}

// Suspended reports whether the server is suspended.
func (s *Server) Suspended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suspended
}

// Delete deletes the server. If announce is set, the daemon sends its deleted event, which real daemons do not always
// send. Pterodactyl closes with 1001. The others just drop.
func (s *Server) Delete(announce bool) {
	s.mu.Lock()
	s.deleted = true
	sockets := s.list()
	s.mu.Unlock()
	for _, k := range sockets {
		s.spawn(func() {
			if announce {
				_ = k.send(wire.Deleted, "null")
			}
			if s.cfg.Dialect == Pterodactyl {
				k.close(1001, "server deleted")
			} else {
				k.drop(false)
			}
		})
	}
}

// Revoke takes away the user's access to the server: the panel answers 404. Pterodactyl refuses the user's tokens on
// the open connection. Pelican drops every user's connection. Calagopus closes with 1000 "permission revoked".
func (s *Server) Revoke() {
	s.mu.Lock()
	s.revoked = true
	s.denied = s.now()
	s.mu.Unlock()
	switch s.cfg.Dialect {
	case Pelican:
		s.Drop()
	case Calagopus:
		s.CloseAll(1000, "permission revoked")
	}
}

// Restore gives the user access to the server again.
func (s *Server) Restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = false
}
