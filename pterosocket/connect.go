package pterosocket

import "context"

// Connect opens the console of one server: it asks the panel for a token, opens the daemon's websocket, authenticates,
// and returns once the daemon has accepted the token and told the server's state (or after a second's grace when it
// does not; a daemon subscribes the client just after accepting the token, so a line printed in that very instant may
// be missed).
//
// ctx governs the whole life of the connection, reconnects included. When it ends, everything ends at once.
// Commands.Close ends it gracefully.
//
// Connect fails at once with what retrying does not cure: errors.Is finds ErrInvalidConfig, ErrUnauthorized,
// ErrForbidden, ErrServerNotFound, ErrOriginRejected, ErrAuthRejected, ErrInsecureSocket or ErrConflict, or
// ErrRateLimited when the panel wants to be left alone for longer than Config.ConnectTimeout. Anything else it retries
// until ConnectTimeout. When it fails, nothing is left behind.
//
// Afterwards the library reconnects and renews tokens by itself, until ctx ends, Commands.Close is called, or a final
// error comes. Only then, and only by the library, the channel is closed; the last event before that is a Close with
// Final set. The consumer may be slow, may stop, and may go away: the library never waits for it, keeps up to
// Config.QueueSize events, and reports with Lagged what it had to give up.
func Connect(ctx context.Context, cfg Config) (<-chan Event, *Commands, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	out := newOutlet(cfg.QueueSize)
	c := newClient(ctx, cfg, out)
	go c.supervise() // joined by c.done
	if err := <-c.connects; err != nil {
		<-c.done
		return nil, nil, err
	}
	return out.C(), &Commands{c}, nil
}
