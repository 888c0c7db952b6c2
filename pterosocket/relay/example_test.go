package relay_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

// A relay, a bot that reads what it writes, and a command through it. The panel is a fake one, and NATS runs in the same
// process; a real relay needs nats.Connect only.
func Example() {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		panic(err)
	}
	ns.Start()
	defer func() { ns.Shutdown(); ns.WaitForShutdown() }()
	if !ns.ReadyForConnections(10 * time.Second) {
		panic("NATS does not come up")
	}

	nc, err := nats.Connect(ns.ClientURL())
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	started, ended := make(chan *relay.Relay, 1), make(chan error, 1)
	cfg := relay.Config{Name: "example", Started: func(r *relay.Relay) { started <- r }}
	cfg.Origin, cfg.APIKey, cfg.HTTPClient = srv.Origin(), srv.APIKey(), srv.Client()
	go func() { ended <- relay.Run(ctx, nc, cfg) }()
	<-started

	messages, err := relay.Subscribe(ctx, nc, relay.SubscribeOptions{Events: []string{"console_output"}})
	if err != nil {
		panic(err)
	}
	commands := relay.NewCommands(nc, srv.ServerID())
	state, err := commands.AwaitState(ctx, pterosocket.StateRunning)
	fmt.Println("the server is", state, err)
	fmt.Println("sent:", commands.WriteCommand(ctx, "say hello"))
	m := <-messages
	fmt.Println(m.Server, m.Event.(pterosocket.ConsoleOutput).Plain())

	cancel() // hands the servers over and ends
	fmt.Println("ended:", <-ended)
	for range messages { // until the channel is closed
	}
	// Output:
	// the server is running <nil>
	// sent: <nil>
	// a0000001 say hello
	// ended: <nil>
}
