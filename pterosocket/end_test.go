package pterosocket_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// drained reads lines, slowly, to the channel's end. It returns how many came and the last event.
func drained(t *testing.T, events <-chan pterosocket.Event, pause func(n int) time.Duration) (lines int, last pterosocket.Close) {
	t.Helper()
	for ev := range events {
		switch ev := ev.(type) {
		case pterosocket.ConsoleOutput:
			if ev.Line != fmt.Sprint(lines) {
				t.Fatalf("line %s in the place of %d", ev.Line, lines)
			}
			lines++
			time.Sleep(pause(lines))
		case pterosocket.Lagged:
			t.Errorf("%+v", ev)
		case pterosocket.Close:
			last = ev
		}
	}
	return lines, last
}

// However the end comes, what had been received is delivered for as long as the consumer takes it, and counted when it
// does not.
func TestWhatWasReceivedIsDelivered(t *testing.T) {
	const n = 1000
	slow := func(i int) time.Duration { return time.Duration(1-min(1, i%100)) * 150 * time.Millisecond }
	stuck := func(int) time.Duration { return time.Minute }
	for name, test := range map[string]struct {
		drain time.Duration
		end   func(context.CancelFunc, *pterosocket.Commands) error
		pause func(int) time.Duration
		all   bool
		err   error // of Err
	}{
		"a signal":                  {0, cancelled, slow, true, context.Canceled},
		"a signal, and nobody":      {0, cancelled, stuck, false, context.Canceled},
		"a signal, without a drain": {-1, cancelled, slow, false, context.Canceled},
		"a signal, patiently":       {2 * time.Minute, cancelled, stuck, true, context.Canceled},
		"Close":                     {0, closed, func(i int) time.Duration { return slow(i) / 2 }, true, nil},
		"Close, and nobody":         {0, closed, stuck, false, pterosocket.ErrEventsDropped},
		"Shutdown":                  {0, shutdown(100 * time.Hour), stuck, true, nil},
		"Shutdown, cut short":       {0, shutdown(time.Minute), stuck, false, pterosocket.ErrEventsDropped},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				cfg := config(srv)
				cfg.DrainTimeout = test.drain
				events, commands, err := open(ctx, cfg)
				must(t, err)
				for i := range n {
					srv.Print(fmt.Sprint(i))
				}
				synctest.Wait()
				result := make(chan error, 1)
				go func() { result <- test.end(cancel, commands) }()
				lines, last := drained(t, events, test.pause)
				<-commands.Done()
				if lines+last.Dropped < n || (last.Dropped == 0) != test.all || !last.Final {
					t.Errorf("%d lines of %d came, the last event is %+v", lines, n, last)
				}
				if err := commands.Err(); !errors.Is(err, test.err) {
					t.Errorf("Err: %v, want %v", err, test.err)
				}
				if err := <-result; (err != nil) != (errors.Is(test.err, pterosocket.ErrEventsDropped) && name != "Close, and nobody") {
					t.Errorf("the call returned %v", err)
				}
			})
		})
	}
}

func cancelled(cancel context.CancelFunc, _ *pterosocket.Commands) error { cancel(); return nil }
func closed(_ context.CancelFunc, c *pterosocket.Commands) error         { return c.Close() }

func shutdown(within time.Duration) func(context.CancelFunc, *pterosocket.Commands) error {
	return func(_ context.CancelFunc, c *pterosocket.Commands) error {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		return c.Shutdown(ctx)
	}
}

// While there is no connection, nothing is known of the server, and AwaitState waits for the next one, or tells why
// there will be none.
func TestNothingIsKnownWithoutAConnection(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		next[pterosocket.Stats](c)
		if stats, ok := c.Stats(); !ok || stats.State != pterosocket.StateRunning || !c.Connected() || c.State() != pterosocket.StateRunning {
			t.Errorf("%+v, %v, %v, %q", stats, ok, c.Connected(), c.State())
		}
		srv.SetDown(true)
		next[pterosocket.Close](c)
		if _, ok := c.Stats(); ok || c.Connected() || c.State() != "" {
			t.Errorf("%v, %v, %q", ok, c.Connected(), c.State())
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.AwaitState(short, pterosocket.StateRunning)
		wantError(t, err, context.DeadlineExceeded)
		srv.SetDown(false)
		_, err = c.AwaitState(t.Context(), pterosocket.StateRunning)
		must(t, err)
		go srv.Delete(false)
		_, err = c.AwaitState(t.Context(), pterosocket.StateStarting)
		wantError(t, err, pterosocket.ErrServerNotFound)
	})
}

// A service goes on where another process stopped.
func TestAfter(t *testing.T) {
	for name, test := range map[string]struct {
		after []string
		want  string
	}{
		"some are new":      {[]string{"a", "b"}, "c* d* end"},
		"none is new":       {[]string{"c", "d"}, "end"},
		"nothing in common": {[]string{"x", "y"}, "GAP a* b* c* d* end"},
		"everything is new": {[]string{}, "a* b* c* d* end"},
		"off":               {nil, "end"},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
				srv.Print("a", "b", "c", "d")
				cfg := config(srv)
				cfg.After = test.after
				c := connect(t, cfg)
				time.Sleep(5 * time.Second)
				srv.Print("end")
				wantShown(t, c.shown("end"), test.want)
			})
		})
	}
}

// Lines that repeat are counted like others.
func TestMissedLinesThatRepeat(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Print("start", "ready")
		c.line("ready")
		whileAway(t, srv, c, func() { srv.Print("Alex-joined", "hello", "Alex-left", "Alex-joined") })
		time.Sleep(5 * time.Second)
		srv.Print("end")
		wantShown(t, c.shown("end"), "Alex-joined* hello* Alex-left* Alex-joined* end")
	})
}

// A log of equal lines shows nothing: what is new for certain comes behind a Gap.
func TestPeriodicLogIsNoProof(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		for range 200 {
			srv.Print("ok")
		}
		for range 200 {
			c.line("ok")
		}
		whileAway(t, srv, c, func() {
			srv.Print("crash")
			for range 20 {
				srv.Print("ok")
			}
		})
		time.Sleep(5 * time.Second)
		srv.Print("end")
		got := c.shown("end")
		if got[0] != "GAP" || got[1] != "crash*" || len(got) != 23 {
			t.Errorf("%q", got)
		}
	})
}
