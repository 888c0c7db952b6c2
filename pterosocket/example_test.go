package pterosocket_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// The examples talk to a fake panel; for a real one, fill in the three fields.
func exampleConfig(srv *pterotest.Server) pterosocket.Config {
	return pterosocket.Config{Origin: srv.Origin(), APIKey: srv.APIKey(), Server: srv.ServerID(), HTTPClient: srv.Client()}
}

func ExampleConnect() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	events, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	if err := commands.WriteCommand(ctx, "say hello"); err != nil {
		log.Fatal(err)
	}
	for ev := range events {
		switch ev := ev.(type) {
		case pterosocket.Status:
			fmt.Println("the server is", ev.State)
		case pterosocket.ConsoleOutput:
			fmt.Println(ev.Plain())
			go commands.Close() // the channel is closed when that is done
		}
	}
	// Output:
	// the server is running
	// say hello
}

// A bot that runs a command and posts its output.
func ExampleCommands_Run() {
	srv := pterotest.NewServer(pterotest.Config{Game: func(command string) []string {
		return []string{"There are 2 of a max of 20 players online:", "Alex, Steve"}
	}})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer commands.Close()

	lines, err := commands.Run(ctx, "list", pterosocket.RunOptions{Idle: 200 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Join(lines, " "))
	// Output: There are 2 of a max of 20 players online: Alex, Steve
}

// A deploy script that stops the server, does its work, and starts it again.
func ExampleCommands_Power() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer commands.Close()

	if err := commands.Power(ctx, pterosocket.PowerStop); err != nil {
		log.Fatal(err)
	}
	fmt.Println(commands.State())
	// ... copy the new version ...
	if err := commands.Power(ctx, pterosocket.PowerStart); err != nil {
		log.Fatal(err)
	}
	fmt.Println(commands.State())
	// Output:
	// offline
	// running
}

// Several listeners on one connection: the counterpart of on and once in the npm package.
func ExampleNewHub() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	events, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	hub := pterosocket.NewHub(events)
	lines := pterosocket.On[pterosocket.ConsoleOutput](hub) // socket.on("console_output", ...)
	srv.Print("Alex joined the game")
	fmt.Println((<-lines.C).Line)
	stats, err := pterosocket.Once[pterosocket.Stats](ctx, hub) // socket.once("stats", ...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.State, stats.CPUAbsolute)
	commands.Close()
	// Output:
	// Alex joined the game
	// running 12.345
}

// One loop over one type of event.
func ExampleOnly() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	events, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer commands.Close()
	srv.Print("one", "two", "three")
	for line := range pterosocket.Only[pterosocket.ConsoleOutput](events) {
		fmt.Println(line.Line)
		if line.Line == "three" {
			break
		}
	}
	// Output:
	// one
	// two
	// three
}

func ExampleCommands_History() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	srv.Print("Starting", "Done")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, commands, err := pterosocket.Connect(ctx, exampleConfig(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer commands.Close()
	lines, err := commands.History(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(slices.Contains(lines, "Done"), len(lines))
	// Output: true 2
}

func ExampleConsoleOutput_Plain() {
	fmt.Println(pterosocket.ConsoleOutput{Line: "\x1b[32mworld\x1b[0m loaded"}.Plain())
	// Output: world loaded
}
