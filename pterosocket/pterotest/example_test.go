package pterotest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// greet is a bot: it welcomes everybody who joins, until ctx ends.
func greet(ctx context.Context, cfg pterosocket.Config) error {
	events, commands, err := pterosocket.Connect(ctx, cfg)
	if err != nil {
		return err
	}
	for line := range pterosocket.Only[pterosocket.ConsoleOutput](events) {
		if name, ok := strings.CutSuffix(line.Plain(), " joined the game"); ok && !line.Replayed {
			if err := commands.WriteCommand(ctx, "say welcome, "+name); err != nil {
				return err
			}
		}
	}
	<-commands.Done()
	return commands.Err()
}

// The test of a bot in ten lines.
func Example() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan error)
	go func() {
		done <- greet(ctx, pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(), HTTPClient: srv.Client()})
	}()
	_ = srv.WaitFor(ctx, func() bool { return srv.Authenticated() == 1 })
	srv.Print("\x1b[33mAlex joined the game\x1b[0m")
	m, err := srv.Wait(ctx, func(m pterotest.Message) bool { return m.Event == "send command" })
	fmt.Println(m.Args, err)
	cancel()
	<-done
	// Output: [say welcome, Alex] <nil>
}

// Inside a synctest bubble a night passes in a moment: the token is renewed, the daemon restarts, and the bot still
// greets.
func TestBotOverNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := pterotest.NewServer(pterotest.Config{InMemory: true})
		defer srv.Close()
		// With a deadline, since the fake's clocks never stop: a bot that does not greet would keep the bubble busy for ever.
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		done := make(chan error)
		go func() {
			done <- greet(ctx, pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(), HTTPClient: srv.Client()})
		}()
		time.Sleep(4 * time.Hour)
		srv.RestartDaemon()
		time.Sleep(4 * time.Hour)
		srv.Print("Alex joined the game")
		if _, err := srv.Wait(ctx, func(m pterotest.Message) bool { return m.Event == "send command" }); err != nil {
			t.Error(err)
		}
		cancel()
		<-done
	})
}
