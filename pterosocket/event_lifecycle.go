package pterosocket

import "time"

// Start reports that the first auth message of a connection was sent to the daemon. Socket is the daemon's URL.
// Reconnects is 0 for the first connection. After that it counts the reconnects so far, including this one.
type Start struct {
	Socket     string `json:"socket"`
	Reconnects int    `json:"reconnects"`
}

// Close reports that a connection was lost or, with Final set, that the library has stopped for good. Code and Reason
// are those of the close frame, or 1006 and "" if there was none. Err says why. Unless Final is set, the library
// reconnects by itself. Its first attempt comes after RetryIn.
//
// If Final is set, the channel is closed after this event. Err is then nil if Commands.Close or Shutdown was called.
// Dropped counts the events that were received but given up because nothing took them. No Lagged event counts these.
type Close struct {
	Code    int
	Reason  string
	Err     error
	Final   bool
	RetryIn time.Duration
	Dropped int
}

// Error reports that something failed while the library goes on, or that it skipped a frame that was too long or
// unreadable.
type Error struct{ Err error }

// AuthSuccess reports that the daemon accepted a token: once for each connection, and again after each renewal.
// Permissions are those of the token.
type AuthSuccess struct {
	Permissions []Permission `json:"permissions"`
}

// TokenExpiring is the daemon's warning that the token ends soon. The library renews it by itself.
type TokenExpiring struct{}

// TokenExpired is the daemon's notice that the token has ended. The library renews it by itself.
type TokenExpired struct{}

// JWTError reports that the daemon refused a token, or that it sent this refusal instead of an answer or a console
// line. Equal refusals are reported only once until the next AuthSuccess.
type JWTError struct {
	Message string `json:"message"`
}

// Throttled reports that the daemon dropped messages of this connection because there were too many. Event names the
// limit: "global", or the name of the event that was sent too often.
type Throttled struct {
	Event string `json:"throttled"`
}

// Lagged reports that Dropped older events were given up at this place because the consumer was too slow.
type Lagged struct {
	Dropped int `json:"dropped"`
}

// Gap reports that console lines may be missing at this place, for example after a reconnect.
type Gap struct{}

// Unknown is a daemon's event that this package has no type for. Event is the daemon's name for it.
type Unknown struct {
	Event string   `json:"daemon_event"`
	Args  []string `json:"args"`
}

func (Start) Name() string         { return "start" }
func (Close) Name() string         { return "close" }
func (Error) Name() string         { return "error" }
func (AuthSuccess) Name() string   { return "auth_success" }
func (TokenExpiring) Name() string { return "token_expiring" }
func (TokenExpired) Name() string  { return "token_expired" }
func (JWTError) Name() string      { return "jwt_error" }
func (Throttled) Name() string     { return "throttled" }
func (Lagged) Name() string        { return "lagged" }
func (Gap) Name() string           { return "gap" }
func (e Unknown) Name() string     { return underscored(e.Event) }

func (Start) sealed()         {}
func (Close) sealed()         {}
func (Error) sealed()         {}
func (AuthSuccess) sealed()   {}
func (TokenExpiring) sealed() {}
func (TokenExpired) sealed()  {}
func (JWTError) sealed()      {}
func (Throttled) sealed()     {}
func (Lagged) sealed()        {}
func (Gap) sealed()           {}
func (Unknown) sealed()       {}
