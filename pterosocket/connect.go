package pterosocket

import "context"

// Connect opens the console of one server. It asks the panel for a token, opens the daemon's websocket and
// authenticates. It returns when the daemon has accepted the token and reported the server's state. If no state comes,
// it returns a second after the token was accepted. A daemon subscribes the client just after it accepts the token, so
// a line that is printed in that instant may be missed.
//
// ctx governs the whole life of the connection, including reconnects. When ctx ends, everything ends at once.
// Commands.Close ends the connection gracefully.
//
// Connect fails at once if retrying does not help. errors.Is then finds ErrInvalidConfig, ErrUnauthorized,
// ErrForbidden, ErrServerNotFound, ErrOriginRejected, ErrAuthRejected, ErrInsecureSocket or ErrConflict. It finds
// ErrRateLimited if the panel wants no requests for longer than Config.ConnectTimeout. Connect also fails at once if
// Origin answers 200 without a token (a PanelError), or if the daemon closes with code 4400 (a CloseError). After any
// other error Connect retries until ConnectTimeout. When Connect fails, nothing is left behind.
//
// Afterwards the library reconnects and renews tokens by itself, until ctx ends, Commands.Close is called, or a final
// error comes. The channel is closed only then, and only by the library. The last event before that is a Close with
// Final set. The library never waits for the consumer, even if it is slow, stops or goes away. It keeps up to
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
