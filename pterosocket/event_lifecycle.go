package pterosocket

import "time"

// Start: the first auth of a connection has been sent to the daemon at Socket. Reconnects is 0 the first time, and then
// how often the connection had to be made anew.
type Start struct {
	Socket     string `json:"socket"`
	Reconnects int    `json:"reconnects"`
}

// Close: a connection that stood is gone. Code and Reason are the close frame's, 1006 and "" if there was none; Err
// says why. Unless Final, the library comes back by itself, first after RetryIn. With Final the channel is closed
// behind it: Err is then nil if Commands.Close or Shutdown was called, and Dropped is how many events had been received
// and were given up, of which no Lagged has told, since nothing took them.
type Close struct {
	Code    int
	Reason  string
	Err     error
	Final   bool
	RetryIn time.Duration
	Dropped int
}

// Error: something failed and the library goes on, or a frame was skipped that could not be read.
type Error struct{ Err error }

// AuthSuccess: the daemon has accepted a token: once a connection, and again with each renewal. Permissions are the
// token's.
type AuthSuccess struct {
	Permissions []Permission `json:"permissions"`
}

// TokenExpiring: the daemon says that the token ends soon. The library renews it by itself.
type TokenExpiring struct{}

// TokenExpired: the daemon says that the token has ended. The library renews it by itself.
type TokenExpired struct{}

// JWTError: the daemon refused a token, or answered a frame or a line with that refusal. A flood of equal ones is one
// event until the next AuthSuccess.
type JWTError struct {
	Message string `json:"message"`
}

// Throttled: the daemon has dropped messages of this connection because there were too many. Event is "global" or the
// event's name.
type Throttled struct {
	Event string `json:"throttled"`
}

// Lagged: Dropped older events were given up at this place because the consumer was slow.
type Lagged struct {
	Dropped int `json:"dropped"`
}

// Gap: after a reconnect, console lines may be missing at this place.
type Gap struct{}

// Unknown: an event that this package has no type for. Event is the daemon's name for it.
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
