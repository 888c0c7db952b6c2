package pterosocket

import (
	"errors"
	"net/http"
)

// A verdict is what follows from a failure.
type verdict int

const (
	retry          verdict = iota // come back after a growing, random delay
	renewFirst                    // as retry, but with a fresh token: the cached one is refused or leads to the wrong node
	waitSlowly                    // come back at the pace of Backoff.Max: it will last; from Connect, return it at once
	stopConnecting                // from Connect, return it at once; otherwise as retry
	stop                          // final
)

// judge is the one table that decides what follows from a failure, whether of the panel, of a handshake, of a token or
// of a connection that stood. Source: the measured behaviour of the daemons; the official page for 4400.
func judge(err error) verdict {
	var (
		closed *CloseError
		panel  *PanelError
	)
	switch {
	case errors.Is(err, ErrInvalidConfig),
		errors.Is(err, ErrUnauthorized),   // 401
		errors.Is(err, ErrForbidden),      // 403 from the panel; also how a revoked access shows in the end
		errors.Is(err, ErrOriginRejected), // 403 from the daemon
		errors.Is(err, ErrInsecureSocket),
		errors.Is(err, ErrAuthRejected),
		errors.Is(err, ErrServerNotFound): // 404, or closed with 1001 "server deleted"
		return stop
	case errors.Is(err, ErrConflict): // 409 from the panel, closed with 4409
		return waitSlowly
	case errors.Is(err, errTransferred), errors.Is(err, errElsewhere):
		return renewFirst
	case errors.As(err, &panel) && panel.StatusCode == http.StatusOK: // a web page: most likely Origin is not the panel
		return stopConnecting
	case errors.As(err, &closed) && closed.Code == closeFatal:
		return stop
	case errors.As(err, &closed) && closed.Code == closeNormal && closed.Reason != "":
		// Calagopus: "permission revoked", "authentication timeout". Ask the panel: its 403 or 404 is final.
		return renewFirst
	}
	// EOF without a close frame (a daemon that restarts, or drops all users of a server because of one), reset, timeout,
	// 5xx, a full server (ErrTooManyConnections), a panel's 429, what a proxy says, and whatever else may pass.
	return retry
}
