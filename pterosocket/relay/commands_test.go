package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, not %v", err, want)
	}
}

// Everything that pterosocket.Commands can do, through a relay, with the same errors.
func TestCommands(t *testing.T) {
	ns := startNATS(t)
	game := func(command string) []string { return []string{command, "first answer", "last answer"} }
	srv := pterotest.NewServer(pterotest.Config{Game: game, StartDelay: 50 * time.Millisecond})
	t.Cleanup(srv.Close)
	nc := dial(t, ns.ClientURL())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	commands := relay.NewCommands(nc, srv.ServerID())

	// Without a relay.
	wantError(t, commands.WriteCommand(ctx, "too early"), pterosocket.ErrNotConnected)
	if got := commands.State(); got != "" {
		t.Errorf("a state without a relay: %q", got)
	}
	_, err := relay.Snapshot(ctx, nc)
	wantError(t, err, relay.ErrNATS)

	r := start(t, dial(t, ns.ClientURL()), config(srv, "a"))
	r.owns(t, 16)
	runs(t, commands)
	must(t, commands.WriteCommand(ctx, "hello"))
	reaches(t, srv, "hello")
	lines, err := commands.Run(ctx, "list", pterosocket.RunOptions{Until: func(line string) bool { return line == "last answer" }})
	if must(t, err); !slices.Equal(lines, []string{"list", "first answer", "last answer"}) {
		t.Errorf("Run: %q", lines)
	}
	lines, err = commands.Run(ctx, "list", pterosocket.RunOptions{MaxLines: 2})
	if must(t, err); len(lines) != 2 {
		t.Errorf("Run: %q", lines)
	}
	lines, err = commands.Run(ctx, "list", pterosocket.RunOptions{})
	if must(t, err); len(lines) < 3 {
		t.Errorf("Run: %q", lines)
	}
	long := strings.Repeat("x", 30<<10)
	for range 60 {
		srv.Print(long)
	}
	until(t, "the whole history", func() bool { // it is taken as complete when no line has come for 100 ms
		lines, err := commands.History(ctx)
		return err == nil && len(lines) >= 60 && lines[len(lines)-1] == long
	})
	if got := commands.State(); got != pterosocket.StateRunning {
		t.Errorf("State: %q", got)
	}
	wantError(t, commands.WriteCommand(ctx, "two\nlines"), pterosocket.ErrInvalidCommand)
	wantError(t, commands.WritePower(ctx, "explode"), pterosocket.ErrInvalidPowerAction)
	wantError(t, relay.NewCommands(nc, "ffffffff").WriteCommand(ctx, "hello"), pterosocket.ErrServerNotFound)
	wantError(t, relay.NewCommands(nc, "no.*").WriteCommand(ctx, "hello"), pterosocket.ErrServerNotFound)

	// Power waits, and so does AwaitState, which sees the state that another brings about.
	reached := make(chan pterosocket.State, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		state, err := commands.AwaitState(ctx, pterosocket.StateOffline)
		if err != nil {
			t.Error(err)
		}
		reached <- state
	})
	must(t, commands.Power(ctx, pterosocket.PowerStop))
	waiting.Wait()
	if state := <-reached; state != pterosocket.StateOffline {
		t.Errorf("AwaitState: %q", state)
	}
	wantError(t, commands.WriteCommand(ctx, "hello"), pterosocket.ErrServerOffline)
	wantError(t, commands.WriteCommand(ctx, "hello"), pterosocket.ErrNotSent)
	_, err = commands.History(ctx)
	wantError(t, err, pterosocket.ErrServerOffline)
	must(t, commands.Power(ctx, pterosocket.PowerStart))

	// The end of the caller's context.
	short, stop := context.WithCancelCause(ctx)
	because := errors.New("enough")
	waiting.Go(func() {
		_, err := commands.AwaitState(short, pterosocket.StateOffline)
		wantError(t, err, because)
	})
	waiting.Go(func() {
		lines, err := commands.Run(short, "list", pterosocket.RunOptions{Until: func(line string) bool {
			if line == "last answer" {
				stop(because)
			}
			return false
		}})
		wantError(t, err, because)
		if len(lines) < 3 {
			t.Errorf("Run was cut off with %q", lines)
		}
	})
	waiting.Wait()
	wantError(t, commands.WriteCommand(short, "hello"), pterosocket.ErrNotSent)
	wantError(t, commands.WriteCommand(short, "hello"), because)

	// The snapshots in NATS.
	until(t, "the snapshot", func() bool {
		all, err := relay.Snapshot(ctx, nc)
		return err == nil && len(all) == 1 && all[0].Connected && all[0].State == pterosocket.StateRunning && all[0].Server.ID == srv.ServerID()
	})

	// Without the relay again.
	r.stop()
	wantError(t, commands.WriteCommand(ctx, "too late"), pterosocket.ErrNotConnected)
	if got := srv.Commands(); slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "too") }) {
		t.Errorf("executed: %q", got)
	}
}

// A relay that was paused while requests arrived does not carry them out when it wakes, since their callers were told
// that nobody knows.
func TestRequestsOfTheDay(t *testing.T) {
	ns := startNATS(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	p := newProxy(t, ns.Addr().String())
	r := start(t, dial(t, p.url()), config(srv, "a"))
	r.owns(t, 16)
	commands := relay.NewCommands(dial(t, ns.ClientURL()), srv.ServerID())
	runs(t, commands)
	must(t, commands.WriteCommand(t.Context(), "before"))
	p.freeze()
	var all sync.WaitGroup
	for n := range 10 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := commands.WriteCommand(ctx, fmt.Sprint("command ", n))
			wantError(t, err, pterosocket.ErrUncertain)
			wantError(t, err, context.DeadlineExceeded)
		})
	}
	all.Wait()
	p.thaw()
	until(t, "the relay is heard again", func() bool { return commands.WriteCommand(t.Context(), "after") == nil })
	reaches(t, srv, "after")
	for _, c := range srv.Commands() {
		if strings.HasPrefix(c, "command") {
			t.Errorf("%s was executed behind its deadline", c)
		}
	}
}

// Relays come and go; a command is carried out once if it was acknowledged, and never if it was refused.
func TestCommandsWhileRelaysChange(t *testing.T) {
	ns := startNATS(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	a := start(t, dial(t, ns.ClientURL()), config(srv, "a"))
	commands := relay.NewCommands(dial(t, ns.ClientURL()), srv.ServerID())
	runs(t, commands)
	stop := make(chan struct{})
	sent := make(map[string]error)
	var sending sync.WaitGroup
	sending.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			text := fmt.Sprint("command ", n)
			sent[text] = commands.WriteCommand(t.Context(), text)
		}
	})
	for range 3 {
		b := start(t, dial(t, ns.ClientURL()), config(srv, "b"))
		b.owns(t, 8)
		a.stop()
		b.owns(t, 16)
		runs(t, commands)
		a = b
	}
	close(stop)
	sending.Wait()
	must(t, commands.WriteCommand(t.Context(), "the end"))
	reaches(t, srv, "the end")
	executed, acked := make(map[string]int), 0
	for _, c := range srv.Commands() {
		executed[c]++
	}
	for text, err := range sent {
		n := executed[text]
		if err == nil {
			acked++
		} else if !errors.Is(err, pterosocket.ErrNotSent) {
			t.Errorf("%s: %v", text, err)
		}
		if err == nil && n != 1 || err != nil && n != 0 {
			t.Errorf("%s was executed %d times: %v", text, n, err)
		}
	}
	if acked == 0 {
		t.Errorf("none of %d was acknowledged", len(sent))
	}
}

// runs waits until a relay is connected to the server, and the game runs.
func runs(t *testing.T, commands *relay.Commands) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	_, err := commands.AwaitState(ctx, pterosocket.StateRunning)
	must(t, err)
}

// reaches waits until a command has reached the game.
func reaches(t *testing.T, srv *pterotest.Server, command string) {
	t.Helper()
	until(t, "the command "+command, func() bool { return slices.Contains(srv.Commands(), command) })
}
