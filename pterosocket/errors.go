package pterosocket

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/panel"
)

// Errors of sending. If a method that sends fails and its message certainly did not reach the wire, its error wraps
// ErrNotSent.
var (
	// ErrNotSent means that nothing was sent. It is safe to try again.
	ErrNotSent = errors.New("not sent")
	// ErrUncertain means that the connection died, or the call's context ended, in the middle of writing. The daemon
	// may or may not get the message.
	ErrUncertain = errors.New("interrupted while sending; the daemon may or may not have got it")

	// ErrNotConnected means that there is no authenticated connection at the moment. Wait with Commands.Ready.
	ErrNotConnected = fmt.Errorf("%w: not connected; wait with Ready", ErrNotSent)
	// ErrPermission means that the token does not allow the message, and that the daemon would have ignored it in
	// silence. See PermissionError.
	ErrPermission = fmt.Errorf("%w: permission missing", ErrNotSent)
	// ErrServerOffline means that the server is known to be offline, and that the daemon would have ignored the message
	// in silence. Start the server first.
	ErrServerOffline = fmt.Errorf("%w: the server is offline; start it first", ErrNotSent)
	// ErrInvalidCommand means that the message holds a line break, NUL or invalid UTF-8, or is longer than a daemon
	// takes. Write also returns it for a packet that is auth or has no event.
	ErrInvalidCommand = fmt.Errorf("%w: invalid command", ErrNotSent)
	// ErrQueueFull means that 1,024 packets are waiting for their turn. Send more slowly, or wait for the results.
	ErrQueueFull = fmt.Errorf("%w: 1,024 packets are waiting already; wait for their results", ErrNotSent)
	// ErrInvalidPowerAction means that the action is none of start, stop, restart and kill.
	ErrInvalidPowerAction = fmt.Errorf("%w: invalid power action; use start, stop, restart or kill", ErrNotSent)
)

// Errors that come after a command was sent, or at the end of a connection.
var (
	// ErrInterrupted means that the connection was lost, or that lines are missing, before Run or Power had its answer.
	// The command was sent.
	ErrInterrupted = errors.New("interrupted: the connection was lost, or lines are missing, before the answer was complete")
	// ErrPowerRefused means that the daemon refused a power action, or that the server went offline instead of
	// starting.
	ErrPowerRefused = errors.New("the power action has failed")
	// ErrEventsDropped means that some received events were not delivered at the end, because the consumer took nothing
	// any more. For a connection outside a fleet, Close.Dropped tells how many.
	ErrEventsDropped = errors.New("events were given up at the end, because nothing received them")
)

// Errors of connecting. They come from Connect, as the Err of a Close event, and from Commands.Err.
var (
	// ErrInvalidConfig means that a field of Config is missing or wrong. The message says which.
	ErrInvalidConfig = errors.New("invalid config")
	// ErrUnauthorized means that the panel does not accept the API key.
	ErrUnauthorized = errors.New("the API key was not accepted")
	// ErrForbidden means that the API key is not allowed to open this server's websocket.
	ErrForbidden = errors.New("not allowed")
	// ErrServerNotFound means that the panel or the daemon does not know the server, or that the server was deleted.
	ErrServerNotFound = errors.New("server not found")
	// ErrConflict means that the server is suspended, installing, being restored or being transferred. Once connected,
	// the library waits until that is over.
	ErrConflict = errors.New("the server is not available at the moment")
	// ErrRateLimited means that the panel wants fewer requests.
	ErrRateLimited = errors.New("rate limited by the panel")
	// ErrOriginRejected means that the daemon does not accept the Origin header.
	ErrOriginRejected = errors.New("the daemon refused the origin")
	// ErrTooManyConnections means that the daemon has too many open websockets for this server.
	ErrTooManyConnections = errors.New("too many connections to the server's console")
	// ErrInsecureSocket means that the panel speaks https but handed out an unencrypted websocket. See
	// Config.AllowInsecure.
	ErrInsecureSocket = errors.New("insecure socket")
	// ErrAuthRejected means that the daemon refuses the panel's tokens, and that a fresh token does not help.
	ErrAuthRejected = errors.New("the daemon refused the token")
	// ErrClosed means that the connection has been closed. It wraps ErrNotSent.
	ErrClosed = fmt.Errorf("%w: the connection has been closed", ErrNotSent)
)

// PermissionError names the missing permission. It wraps ErrPermission.
type PermissionError struct{ Permission Permission }

func (e *PermissionError) Error() string {
	return fmt.Sprintf("not sent: the API key's user lacks the permission %q on this server; grant it in the panel", string(e.Permission))
}

// Unwrap returns ErrPermission.
func (e *PermissionError) Unwrap() error { return ErrPermission }

// PanelError is an answer of the panel that does not hold what was asked for, such as credentials. errors.Is finds
// ErrUnauthorized (401), ErrForbidden (403), ErrServerNotFound (404), ErrConflict (409) or ErrRateLimited (429) in it.
// All of them but ErrRateLimited require that the answer is in the panel's own JSON and not, for example, a proxy's
// page.
type PanelError struct {
	StatusCode int
	Code       string        // the panel's name for the error, if it gave one
	Detail     string        // the panel's own words, or what is wrong with its answer
	RetryAfter time.Duration // how long the panel wants no requests; 0 if it did not say

	limit   int  // the limit that a 429 names; 0: none
	foreign bool // not in the panel's own JSON, so it says nothing about the key or the server
}

// panelErrors says what an answer in the panel's own JSON means and what to do about it, by status code.
var panelErrors = map[int]struct {
	is     error
	advice string
}{
	http.StatusUnauthorized: {ErrUnauthorized,
		"; check the API key: a client API key (Account, API Credentials), not an application key"},
	http.StatusForbidden: {ErrForbidden, "; the key's user needs the permission websocket.connect on this server, " +
		"and the key must allow this machine's address"},
	http.StatusNotFound: {ErrServerNotFound,
		"; check the server's identifier, and that the key's user has access to it"},
	http.StatusConflict:        {ErrConflict, "; try again when that is over"},
	http.StatusTooManyRequests: {ErrRateLimited, ""}, // even if it is not in the panel's own JSON
}

func (e *PanelError) Error() string {
	msg := fmt.Sprintf("the panel answered %d: %s", e.StatusCode, strings.TrimRight(e.Detail, ". "))
	switch {
	case e.StatusCode == http.StatusTooManyRequests && e.RetryAfter > 0:
		return msg + fmt.Sprintf("; it wants no request for %v", e.RetryAfter)
	case e.StatusCode == http.StatusTooManyRequests, e.foreign && e.StatusCode >= 500:
		return msg
	case e.foreign:
		return msg + "; that is not the panel's own answer: check that Origin is the panel's own address, " +
			"and what stands before it"
	}
	return msg + panelErrors[e.StatusCode].advice
}

// Is maps status codes to the package's error values.
func (e *PanelError) Is(target error) bool {
	meaning, known := panelErrors[e.StatusCode]
	return known && target == meaning.is && (!e.foreign || e.StatusCode == http.StatusTooManyRequests)
}

// HandshakeError is the daemon's refusal to open a websocket. errors.Is finds ErrOriginRejected (403),
// ErrServerNotFound (404) or ErrTooManyConnections (429, or 400 with that text) in it. It finds none of them if Body is
// a web page: a proxy sends web pages, a daemon never does. A Dialer of your own also returns a HandshakeError, with
// StatusCode and Body.
type HandshakeError struct {
	StatusCode int
	Body       string // the first bytes of the answer
	Hint       string // what to do about it
}

func (e *HandshakeError) Error() string {
	msg := fmt.Sprintf("the daemon answered the websocket handshake with %d", e.StatusCode)
	if line, _, _ := strings.Cut(strings.TrimSpace(e.Body), "\n"); line != "" && !strings.HasPrefix(line, "<") {
		msg += ": " + printable(line, 200)
	}
	if e.Hint != "" {
		msg += "; " + e.Hint
	}
	return msg
}

// Is maps status codes to the package's error values.
func (e *HandshakeError) Is(target error) bool {
	if strings.HasPrefix(strings.TrimSpace(e.Body), "<") {
		return false
	}
	switch target {
	case ErrOriginRejected:
		return e.StatusCode == http.StatusForbidden
	case ErrServerNotFound:
		return e.StatusCode == http.StatusNotFound
	case ErrTooManyConnections:
		return e.StatusCode == http.StatusTooManyRequests ||
			e.StatusCode == http.StatusBadRequest && strings.Contains(e.Body, "Too many open websocket connections")
	}
	return false
}

// CloseError is a close frame from the daemon. errors.Is finds ErrConflict (code 4409, suspended) or ErrServerNotFound
// (code 1001, "server deleted") in it.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	msg := fmt.Sprintf("the daemon closed the connection with code %d", e.Code)
	if e.Reason != "" {
		msg += ": " + printable(e.Reason, 125)
	}
	return msg
}

// Is maps close codes to the package's error values.
func (e *CloseError) Is(target error) bool {
	return target == ErrConflict && e.Code == closeSuspended ||
		target == ErrServerNotFound && e.Code == closeGoingAway && e.Reason == "server deleted"
}

// Close codes that have a meaning here. They were measured on daemons. 4400 comes from the official documentation's
// list.
const (
	closeNormal    = 1000
	closeGoingAway = 1001
	closeAbnormal  = 1006 // never on the wire: there was no close frame
	closeFatal     = 4400
	closeSuspended = 4409
)

// printable makes a peer's text safe to show in an error or a log line.
func printable(s string, limit int) string { return panel.Printable(s, limit) }
