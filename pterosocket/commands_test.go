package pterosocket_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// Thousands of commands from many goroutines, on a daemon that handles each message in a goroutine of its own and
// delays it at random: all executed, in call order, none dropped, the global limit never touched, renewals and log
// requests included.
func TestCommandsArriveInOrder(t *testing.T) {
	var order []string
	var mu sync.Mutex
	delay := func(pterotest.Message) { time.Sleep(time.Duration(rand.Int64N(int64(4 * time.Millisecond)))) }
	virtual(t, pterotest.Config{Dialect: pterotest.Pelican, OnMessage: delay, Game: func(string) []string { return nil }}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		var all sync.WaitGroup
		const writers, each = 20, 100
		for w := range writers {
			all.Go(func() {
				for i := range each {
					command := fmt.Sprint(w, " ", i)
					mu.Lock() // the order of the calls
					result := c.Submit(t.Context(), pterosocket.CommandPacket(command))
					order = append(order, command)
					mu.Unlock()
					if err := <-result; err != nil {
						t.Error(err)
					}
					if i%40 == 0 {
						if err := c.RequestLogs(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		all.Wait()
		time.Sleep(time.Second)
		if diff := cmp.Diff(order, srv.Commands()); diff != "" {
			t.Errorf("commands (-called +executed)\n%s", diff)
		}
		if d := srv.Dropped(); d.Global != 0 || len(d.ByEvent) != 0 {
			t.Errorf("dropped: %+v", d)
		}
		if m := c.Metrics(); m.Renewals < 3 || m.CommandsSent < writers*each {
			t.Errorf("%+v", m)
		}
	})
}

// Without the spacing the disorder is certain: the test above can fail.
func TestFakeReorders(t *testing.T) {
	delay := func(m pterotest.Message) {
		if slices.Equal(m.Args, []string{"first"}) {
			time.Sleep(20 * time.Millisecond) // longer than any spacing
		}
	}
	virtual(t, pterotest.Config{OnMessage: delay}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		must(t, c.WriteCommand(t.Context(), "first"))
		must(t, c.WriteCommand(t.Context(), "second"))
		c.line("first")
		if diff := cmp.Diff([]string{"second", "first"}, srv.Commands()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestUnlimitedKeepsTheOrderOnly(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.Limits.Unlimited = true
		c := connect(t, cfg)
		start := time.Now()
		for i := range 100 {
			must(t, c.WriteCommand(t.Context(), fmt.Sprint(i)))
		}
		if d := time.Since(start); d > 100*5*time.Millisecond { // virtual time: exact
			t.Errorf("100 commands took %v", d)
		}
	})
}

// A renewal never waits behind commands.
func TestAuthGoesFirst(t *testing.T) {
	virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		for i := range 300 {
			c.Submit(t.Context(), pterosocket.CommandPacket(fmt.Sprint(i)))
		}
		time.Sleep(20 * time.Second)
		srv.Emit("token expiring")
		start := time.Now()
		waitFor(t, srv, func() bool { return srv.CredentialRequests() == 2 })
		nextWhere(c, func(pterosocket.AuthSuccess) bool { return time.Now().After(start) || c.Metrics().Renewals == 1 })
		if d := time.Since(start); d > time.Second {
			t.Errorf("the renewal took %v behind 300 commands", d)
		}
	})
}

func TestRefusedBeforeAnythingIsSent(t *testing.T) {
	virtual(t, pterotest.Config{Dialect: pterotest.Pelican, Permissions: []string{"websocket.connect", "control.stop"}}, func(t *testing.T, srv *pterotest.Server) {
		ctx := t.Context()
		c := connect(t, config(srv))
		before := len(srv.Received())
		for command, want := range map[string]error{
			"a\nb": pterosocket.ErrInvalidCommand, "a\rb": pterosocket.ErrInvalidCommand, "a\x00": pterosocket.ErrInvalidCommand,
			"\xff": pterosocket.ErrInvalidCommand, strings.Repeat("x", 5000): pterosocket.ErrInvalidCommand, "list": pterosocket.ErrPermission,
		} {
			err := c.WriteCommand(ctx, command)
			wantError(t, err, want)
			wantError(t, err, pterosocket.ErrNotSent)
		}
		var missing *pterosocket.PermissionError
		if err := c.WritePower(ctx, pterosocket.PowerStart); !errors.As(err, &missing) || missing.Permission != pterosocket.PermissionStart {
			t.Errorf("WritePower: %v", err)
		}
		wantError(t, c.WritePower(ctx, "explode"), pterosocket.ErrInvalidPowerAction)
		wantError(t, c.Power(ctx, "explode"), pterosocket.ErrInvalidPowerAction)
		wantError(t, c.Write(ctx, pterosocket.Packet{Event: "auth", Args: []string{"x"}}), pterosocket.ErrInvalidCommand)
		wantError(t, c.Write(ctx, pterosocket.Packet{}), pterosocket.ErrInvalidCommand)
		if n := len(srv.Received()) - before; n != 0 {
			t.Errorf("%d messages were sent", n)
		}
		must(t, c.WritePower(ctx, pterosocket.PowerKill)) // stop covers it
		_, err := c.AwaitState(ctx, pterosocket.StateOffline)
		must(t, err)

		// A renewal brings what the user may do by now.
		srv.SetPermissions("*")
		srv.ExpireTokens()
		must(t, c.RequestStats(ctx))
		nextWhere(c, func(ev pterosocket.AuthSuccess) bool { return slices.Contains(ev.Permissions, "*") })
		_, err = c.AwaitState(ctx, pterosocket.StateOffline) // what was known of it has gone with the token
		must(t, err)
		wantError(t, c.WriteCommand(ctx, "list"), pterosocket.ErrServerOffline)
		wantError(t, c.RequestLogs(ctx), pterosocket.ErrServerOffline)
		_, err = c.Run(ctx, "list", pterosocket.RunOptions{})
		wantError(t, err, pterosocket.ErrServerOffline)
		_, err = c.History(ctx)
		wantError(t, err, pterosocket.ErrServerOffline)
		must(t, c.Power(ctx, pterosocket.PowerStart))
		must(t, c.WriteCommand(ctx, "list"))
	})
}

// The longest frame that every daemon takes, to the byte, with "<" as one of them.
func TestLongestCommand(t *testing.T) {
	virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		room := 4096 - len(`{"event":"send command","args":[""]}`)
		must(t, c.WriteCommand(t.Context(), strings.Repeat("<", room)))
		waitFor(t, srv, func() bool { return len(srv.Commands()) == 1 })
		wantError(t, c.WriteCommand(t.Context(), strings.Repeat("<", room+1)), pterosocket.ErrInvalidCommand)
	})
}

func TestWaitingCallsEnd(t *testing.T) {
	// waiting makes a call that waits for its turn.
	waiting := func(t *testing.T, c *client, ctx context.Context) <-chan error {
		for range 8 {
			must(t, c.WriteCommand(t.Context(), "burst"))
		}
		return c.Submit(ctx, pterosocket.CommandPacket("waits"))
	}
	sent := func(srv *pterotest.Server) bool { return slices.Contains(srv.Commands(), "waits") }
	t.Run("context", func(t *testing.T) {
		virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
			c := connect(t, config(srv))
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			result := waiting(t, c, ctx)
			err := <-result
			wantError(t, err, pterosocket.ErrNotSent)
			wantError(t, err, context.DeadlineExceeded)
			if _, open := <-result; open {
				t.Error("Submit's channel is still open")
			}
			time.Sleep(time.Minute)
			if sent(srv) {
				t.Error("it was sent all the same")
			}
		})
	})
	t.Run("lost", func(t *testing.T) {
		virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
			c := connect(t, config(srv))
			result := waiting(t, c, t.Context())
			srv.Drop()
			wantError(t, <-result, pterosocket.ErrNotConnected)
			must(t, c.Ready(t.Context())) // of the next connection, not of the dying one
			must(t, c.WriteCommand(t.Context(), "again"))
			time.Sleep(time.Minute)
			if sent(srv) {
				t.Error("it was sent all the same")
			}
		})
	})
	t.Run("closed", func(t *testing.T) {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			c := connect(t, config(srv))
			result := waiting(t, c, t.Context())
			must(t, c.Close())
			wantError(t, <-result, pterosocket.ErrClosed)
		})
	})
	t.Run("offline by now", func(t *testing.T) {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			c := connect(t, config(srv))
			result := waiting(t, c, t.Context())
			srv.SetState("offline")
			wantError(t, <-result, pterosocket.ErrServerOffline)
		})
	})
}

func TestRun(t *testing.T) {
	game := func(command string) []string {
		switch command {
		case "list":
			return []string{"There are 2 players:", "Alex", "Steve"}
		case "count":
			return []string{"1", "2", "3", "4", "5"}
		}
		return nil
	}
	virtual(t, pterotest.Config{Game: game}, func(t *testing.T, srv *pterotest.Server) {
		ctx := t.Context()
		c := connect(t, config(srv))
		run := func(command string, opts pterosocket.RunOptions, want ...string) {
			t.Helper()
			got, err := c.Run(ctx, command, opts)
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Run(%s) (-want +got)\n%s", command, diff)
			}
		}
		run("list", pterosocket.RunOptions{}, "There are 2 players:", "Alex", "Steve")
		run("count", pterosocket.RunOptions{MaxLines: 2}, "1", "2")
		run("count", pterosocket.RunOptions{Until: func(l string) bool { return l == "4" }}, "1", "2", "3", "4")
		start := time.Now()
		run("silent", pterosocket.RunOptions{})
		if d := time.Since(start); d < time.Second || d > 3*time.Second {
			t.Errorf("a silent command took %v", d)
		}

		// Concurrent ones do not mix.
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { run("list", pterosocket.RunOptions{MaxLines: 3}, "There are 2 players:", "Alex", "Steve") })
		}
		all.Wait()

		// A chatty server: bounded by ctx, which brings the lines so far.
		stop := make(chan struct{})
		all.Go(func() {
			for {
				select {
				case <-time.After(300 * time.Millisecond):
					srv.Print("chat")
				case <-stop:
					return
				}
			}
		})
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		lines, err := c.Run(bounded, "list", pterosocket.RunOptions{})
		wantError(t, err, context.DeadlineExceeded)
		if len(lines) < 10 || errors.Is(err, pterosocket.ErrNotSent) {
			t.Errorf("%q, %v", lines, err)
		}
		close(stop)
		all.Wait()

		// The connection is lost meanwhile: said so, and not that nothing was sent.
		done := make(chan error, 1)
		go func() {
			_, err := c.Run(ctx, "x", pterosocket.RunOptions{Idle: time.Minute})
			done <- err
		}()
		waitFor(t, srv, func() bool { return slices.Contains(srv.Commands(), "x") })
		srv.Drop()
		if err := <-done; err == nil || errors.Is(err, pterosocket.ErrNotSent) {
			t.Errorf("Run: %v", err)
		}

		// Right after a reconnect, what was missed is not taken for the answer.
		srv.Print("There are 99 players:")
		must(t, c.Ready(ctx))
		run("list", pterosocket.RunOptions{MaxLines: 1}, "There are 2 players:")
	})
}

func TestHistory(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		ctx := t.Context()
		c := connect(t, config(srv))
		history := func(want string) {
			t.Helper()
			got, err := c.History(ctx)
			must(t, err)
			if diff := cmp.Diff(strings.Fields(want), append([]string{}, got...)); diff != "" {
				t.Errorf("History (-want +got)\n%s", diff)
			}
		}
		start := time.Now()
		history("")
		if d := time.Since(start); d < 2*time.Second || d > 2010*time.Millisecond {
			t.Errorf("an empty history took %v", d)
		}
		srv.Print("a", "tick", "b", "tick", "c")
		c.line("c")
		history("a tick b tick c")
		history("a tick b tick c")
		srv.Print("d")
		if got := next[pterosocket.ConsoleOutput](c); got.Line != "d" || got.Replayed {
			t.Errorf("%+v was sent to the channel", got)
		}

		// A live line meanwhile reaches the channel once, and as a live one.
		time.Sleep(10 * time.Second)
		go func() {
			time.Sleep(50 * time.Millisecond)
			srv.Print("tick")
		}()
		history("a tick b tick c d tick")
		if got := next[pterosocket.ConsoleOutput](c); got.Line != "tick" || got.Replayed {
			t.Errorf("%+v", got)
		}

		// Cut short, it leaves nothing on the channel that looks new, though the replay comes afterwards.
		time.Sleep(10 * time.Second)
		srv.OnReplay(func(h []string, send func(string)) {
			time.Sleep(50 * time.Millisecond)
			for _, l := range h {
				send(l)
			}
		})
		short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
		_, err := c.History(short)
		wantError(t, err, context.DeadlineExceeded)
		time.Sleep(time.Minute)
		srv.Print("end")
		wantShown(t, c.shown("end"), "end")
	})
}

func TestPower(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		ctx := t.Context()
		c := connect(t, config(srv))
		count := func(action string) (n int) {
			for _, m := range srv.Received() {
				if m.Event == "set state" && slices.Equal(m.Args, []string{action}) {
					n++
				}
			}
			return n
		}
		must(t, c.Power(ctx, pterosocket.PowerStart)) // there already
		if count("start") != 0 {
			t.Error("start was sent to a running server")
		}
		for _, step := range []struct {
			action pterosocket.PowerAction
			state  pterosocket.State
		}{
			{pterosocket.PowerStop, pterosocket.StateOffline}, {pterosocket.PowerStart, pterosocket.StateRunning},
			{pterosocket.PowerRestart, pterosocket.StateRunning}, {pterosocket.PowerKill, pterosocket.StateOffline},
			{pterosocket.PowerRestart, pterosocket.StateRunning},
		} {
			must(t, c.Power(ctx, step.action))
			if got := c.State(); got != step.state {
				t.Errorf("after %s: %s", step.action, got)
			}
		}
		// Refused by the daemon: ended with its words.
		srv.Suspend()
		err := c.Power(ctx, pterosocket.PowerRestart)
		if err == nil || !strings.Contains(err.Error(), "suspended") {
			t.Errorf("Power: %v", err)
		}
		srv.Unsuspend()
		_, err = c.AwaitState(ctx, pterosocket.StateOffline)
		must(t, err)

		// The daemon drops every status: the stats tell.
		must(t, c.Power(ctx, pterosocket.PowerStart))
		go func() {
			time.Sleep(5 * time.Second)
			srv.SetStats(pterotest.Stats{State: "stopping"})
			time.Sleep(time.Second)
			srv.SetStats(pterotest.Stats{State: "offline"})
		}()
		state, err := c.AwaitState(ctx, pterosocket.StateOffline)
		if err != nil || state != pterosocket.StateOffline {
			t.Errorf("AwaitState = %s, %v", state, err)
		}

		// Bounded by ctx.
		bounded, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = c.AwaitState(bounded, "never")
		wantError(t, err, context.DeadlineExceeded)
	})
	t.Run("a reconnect in between", func(t *testing.T) {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			c := connect(t, config(srv))
			time.Sleep(90 * time.Second)
			done := make(chan error, 1)
			go func() { done <- c.Power(t.Context(), pterosocket.PowerRestart) }()
			waitFor(t, srv, func() bool { return srv.State() == "stopping" })
			srv.SetDown(true)
			time.Sleep(3 * time.Second)
			srv.SetDown(false)
			must(t, <-done)
		})
	})
	t.Run("the game does not come up", func(t *testing.T) {
		virtual(t, pterotest.Config{Offline: true, StartDelay: time.Hour}, func(t *testing.T, srv *pterotest.Server) {
			c := connect(t, config(srv))
			time.AfterFunc(time.Minute, func() { srv.SetState("offline") })
			if err := c.Power(t.Context(), pterosocket.PowerStart); err == nil || !strings.Contains(err.Error(), "offline") {
				t.Errorf("Power: %v", err)
			}
		})
	})
}

// None of it needs the consumer of the channel to do anything, nor does the library wait for one that has gone.
func TestNobodyReadsTheChannel(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		ctx := t.Context()
		c := connect(t, config(srv))
		lines := make([]string, 1000)
		for i := range lines {
			lines[i] = fmt.Sprint(i)
		}
		for range 20 {
			srv.Print(lines...)
			synctest.Wait()
		}
		if _, err := c.Run(ctx, "x", pterosocket.RunOptions{MaxLines: 1}); err != nil {
			t.Error(err)
		}
		if got, err := c.History(ctx); err != nil || len(got) != 150 {
			t.Errorf("History: %d lines, %v", len(got), err)
		}
		must(t, c.Power(ctx, pterosocket.PowerRestart))
		must(t, c.Ready(ctx))
		m := c.Metrics()
		go c.Close() // what was kept is delivered to who takes it now
		received, dropped := 0, 0
		for ev := range c.events {
			switch ev := ev.(type) {
			case pterosocket.Lagged:
				dropped += ev.Dropped
			case pterosocket.ConsoleOutput:
				received++
			}
		}
		if received > 8192 || received+dropped < 20_002 || c.Metrics().Dropped != uint64(dropped) || m.Dropped == 0 {
			t.Errorf("%d received, %d dropped, %+v", received, dropped, c.Metrics())
		}
	})
}

// A long answer is bounded, by MaxLines if that is more than the usual bound.
func TestRunLongAnswers(t *testing.T) {
	const most = 10_000
	many := make([]string, most+5000)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	virtual(t, pterotest.Config{Game: func(string) []string { return many }}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		for asked, want := range map[int]int{0: most, 10: 10, most: most, most + 2000: most + 2000} {
			slow := func(line string) bool { // all lines have come before it returns for the first
				if line == "0" {
					time.Sleep(time.Second)
				}
				return false
			}
			lines, err := c.Run(t.Context(), "list", pterosocket.RunOptions{MaxLines: asked, Idle: time.Second, Until: slow})
			if len(lines) != want || !slices.Equal(lines, many[:want]) || (err != nil) != (asked == 0) {
				t.Errorf("at most %d: %d lines, %v", asked, len(lines), err)
			}
			time.Sleep(time.Minute)
		}
	})
}
