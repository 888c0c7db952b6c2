package pterosocket_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config returns what connects to srv.
func config(srv *pterotest.Server) pterosocket.Config {
	return pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(), HTTPClient: srv.Client()}
}

// virtual runs test in a bubble with virtual time, with a fake over a network in memory. What sleeps in it waits for no
// clock.
func virtual(t *testing.T, cfg pterotest.Config, test func(t *testing.T, srv *pterotest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.InMemory = true
		srv := pterotest.NewServer(cfg)
		defer srv.Close()
		test(t, srv)
	})
}

// open is pterosocket.Connect on the transport under test.
func open(ctx context.Context, cfg pterosocket.Config) (<-chan pterosocket.Event, *pterosocket.Commands, error) {
	if cfg.Dialer == nil {
		cfg.Dialer = dialerUnderTest(cfg)
	}
	return pterosocket.Connect(ctx, cfg)
}

// connect connects and closes at the end of the test.
func connect(t *testing.T, cfg pterosocket.Config) *client {
	t.Helper()
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	events, commands, err := open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	t.Cleanup(func() { _ = commands.Close() })
	return &client{t: t, events: events, Commands: commands}
}

// client is a connection in a test.
type client struct {
	*pterosocket.Commands
	t      *testing.T
	events <-chan pterosocket.Event
}

// patience bounds waiting in tests, in virtual time or real.
const patience = 3 * time.Hour

// next returns the next event of type T, skipping others.
func next[T pterosocket.Event](c *client) T {
	c.t.Helper()
	return nextWhere(c, func(T) bool { return true })
}

// nextWhere returns the next event of type T that match likes, skipping others.
func nextWhere[T pterosocket.Event](c *client, match func(T) bool) T {
	c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case ev, ok := <-c.events:
			if !ok {
				c.t.Fatalf("the channel was closed while waiting for %T; Err: %v", *new(T), c.Err())
			}
			if ev, ok := ev.(T); ok && match(ev) {
				return ev
			}
		case <-timeout.C:
			c.t.Fatalf("no %T", *new(T))
		}
	}
}

// line waits for a console line.
func (c *client) line(want string) pterosocket.ConsoleOutput {
	c.t.Helper()
	return nextWhere(c, func(ev pterosocket.ConsoleOutput) bool { return ev.Line == want })
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until the fake has seen what cond looks for.
func waitFor(t *testing.T, srv *pterotest.Server, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, srv.WaitFor(ctx, cond))
}

// wantError fails the test unless err is target.
func wantError(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v, want one that is %v", err, target)
	}
}

func contextWithCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	t.Helper()
	return context.WithCancelCause(t.Context())
}

type (
	responseWriter = http.ResponseWriter
	request        = http.Request
)
