package pterosocket_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A service's select loop: it does its own work between the events, and ends with its context.
func ExampleConnect_service() {
	srv := pterotest.NewServer(pterotest.Config{}) // in real life: your panel
	defer srv.Close()
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)

	events, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	srv.Print("Saved the world")
	report := time.NewTicker(time.Minute)
	defer report.Stop()
	for {
		select {
		case ev, ok := <-events:
			if !ok {
				fmt.Println("ended:", commands.Err())
				return
			}
			switch ev := ev.(type) {
			case pterosocket.ConsoleOutput:
				fmt.Println(ev.Plain())
				stop(errors.New("the service is told to end"))
			case pterosocket.Lagged:
				log.Printf("this service is too slow: %d events are missing here", ev.Dropped)
			case pterosocket.Gap:
				log.Print("console lines may be missing here")
			}
		case <-report.C:
			s := commands.Snapshot()
			log.Printf("connected: %v, cpu: %.1f%%, waiting: %d", s.Connected, s.Stats.CPUAbsolute, s.QueuedEvents)
		}
	}
	// Output:
	// Saved the world
	// ended: the service is told to end
}

// A pipeline under one errgroup: what fails ends the other stages, and the end of the events channel ends the rest.
func ExampleConnect_pipeline() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	group, ctx := errgroup.WithContext(context.Background())

	events, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	srv.Print("Alex joined the game", "Can't keep up!", "Alex left the game")
	players := make(chan string)
	group.Go(func() error { // parses
		defer close(players)
		for line := range pterosocket.Only[pterosocket.ConsoleOutput](events) {
			if name, ok := strings.CutSuffix(line.Plain(), " joined the game"); ok {
				select {
				case players <- name:
				case <-ctx.Done(): // the events channel is closed soon
				}
			}
		}
		<-commands.Done()
		return commands.Err()
	})
	store := func(name string) error { return fmt.Errorf("storing %s: the disk is full", name) }
	group.Go(func() error { // stores
		for name := range players {
			if err := store(name); err != nil {
				return err
			}
		}
		return nil
	})
	fmt.Println(group.Wait())
	// Output: storing Alex: the disk is full
}

// A bot that answers. It ignores lines that were printed while it was away.
func ExampleCommands_WriteCommand() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	events, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	srv.Print("<Alex> !help")
	for line := range pterosocket.Only[pterosocket.ConsoleOutput](events) {
		text := line.Plain()
		if line.Replayed || !strings.HasSuffix(text, "> !help") {
			if text == "say Ask an operator." { // the game echoes it
				fmt.Println(text)
				go commands.Close()
			}
			continue
		}
		switch err := commands.WriteCommand(ctx, "say Ask an operator."); {
		case errors.Is(err, pterosocket.ErrServerOffline), errors.Is(err, pterosocket.ErrNotConnected):
			log.Print("nobody is there to be answered: ", err)
		case err != nil:
			log.Print(err)
		}
	}
	// Output: say Ask an operator.
}

// A service that stores the last lines which it has dealt with goes on from there after a restart: what was printed
// meanwhile comes first, marked Replayed, and nothing comes twice.
func ExampleConfig_after() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	stored := []string{"Starting", "Done!"} // read from where the last run has left them
	srv.Print("Starting", "Done!", "Alex joined the game")
	cfg := exampleConfig(srv)
	cfg.After = stored // at most the last 512 are used
	events, commands, err := pterosocket.Connect(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	for ev := range events {
		switch ev := ev.(type) {
		case pterosocket.ConsoleOutput:
			fmt.Println(ev.Line, ev.Replayed)
			stored = append(stored, ev.Line)
			go commands.Close()
		case pterosocket.Gap:
			fmt.Println("lines may be missing here: the daemon's log does not reach back to what was stored")
		}
	}
	// Output: Alex joined the game true
}
