package pterosocket

import (
	"errors"
	"net/http"
)

// A verdict says what to do after a failure.
type verdict int

const (
	retry          verdict = iota // try again after a growing, random delay
	renewFirst                    // like retry, but with a fresh token: the cached one is refused or for the wrong node
	waitSlowly                    // try again at the pace of Backoff.Max: it will last. Connect returns it at once
	stopConnecting                // Connect returns it at once; otherwise like retry
	stop                          // final
)

// judge is the one table that decides what follows from a failure, whether of the panel, a handshake, a token or an
// established connection. Its source is the measured behaviour of the daemons, and for 4400 the official documentation.
func judge(err error) verdict {
	var (
		closed *CloseError
		panel  *PanelError
	)
	switch {
	case errors.Is(err, ErrInvalidConfig),
		errors.Is(err, ErrUnauthorized),   // 401
		errors.Is(err, ErrForbidden),      // 403 from the panel; also the last sign of a revoked access
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
	// EOF without a close frame (a daemon that restarts, or that drops all users of a server because of one), reset,
	// timeout, 5xx, a full server (ErrTooManyConnections), a panel's 429, a proxy's answer, and any other temporary
	// error.
	return retry
}
