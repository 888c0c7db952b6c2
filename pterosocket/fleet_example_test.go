package pterosocket_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A service that watches all servers of a key with one select loop, restarts what crashes, and ends when its context
// does.
func ExampleConnectFleet() {
	panel := pterotest.NewServer(pterotest.Config{StartDelay: time.Millisecond}) // in real life: your panel
	defer panel.Close()
	panel.AddServer(pterotest.ServerConfig{Name: "Lobby"})

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events, fleet, err := pterosocket.ConnectFleet(ctx, pterosocket.FleetConfig{
		Config: pterosocket.Config{Origin: panel.Origin(), APIKey: panel.APIKey()},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := fleet.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	panel.SetState("offline") // it crashes

	report := time.NewTicker(time.Minute)
	defer report.Stop()
	for {
		select {
		case <-report.C:
			for _, s := range fleet.Snapshot() {
				fmt.Println(s.Server.Name, s.State, s.Stats.CPUAbsolute)
			}
		case ev, ok := <-events:
			if !ok {
				fmt.Println("ended:", fleet.Err())
				return
			}
			switch e := ev.Event.(type) {
			case pterosocket.Status:
				if e.State != pterosocket.StateOffline {
					continue
				}
				fmt.Println(ev.Server, "is offline")
				commands, err := fleet.Commands(ev.Server)
				if err == nil {
					err = commands.WritePower(ctx, pterosocket.PowerStart)
				}
				fmt.Println("started again:", err)
				cancel()
			case pterosocket.ServerRemoved:
				fmt.Println(ev.Server, "is out:", e.Err)
			}
		}
	}
	// Output:
	// a0000001 is offline
	// started again: <nil>
	// ended: context canceled
}

// A pipeline that writes all events as one JSON object a line, and is cancelled without losing what it has received.
func ExampleMarshalFleetEvent() {
	panel := pterotest.NewServer(pterotest.Config{})
	defer panel.Close()
	panel.AddServer(pterotest.ServerConfig{Name: "Lobby"})
	ctx, stop := context.WithCancel(context.Background()) // in real life: signal.NotifyContext
	defer stop()

	events, fleet, err := pterosocket.ConnectFleet(context.WithoutCancel(ctx), pterosocket.FleetConfig{
		Config: pterosocket.Config{Origin: panel.Origin(), APIKey: panel.APIKey()},
	})
	if err != nil {
		log.Fatal(err)
	}
	var out bytes.Buffer // in real life: a file
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		w := bufio.NewWriter(&out)
		for ev := range events {
			line, err := pterosocket.MarshalFleetEvent(ev)
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return w.Flush()
	})
	group.Go(func() error {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return fleet.Shutdown(patience)
	})

	if err := fleet.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	panel.Print("the last line")
	if err := panel.WaitFor(ctx, func() bool { return fleet.Metrics().EventsReceived > 0 }); err != nil {
		log.Fatal(err)
	}
	stop()
	fmt.Println("ended:", group.Wait())

	final := 0
	for line := range bytes.Lines(out.Bytes()) {
		ev, err := pterosocket.UnmarshalFleetEvent(line)
		if err != nil {
			log.Fatal(err)
		}
		if e, ok := ev.Event.(pterosocket.Close); ok && e.Final {
			final++
		}
	}
	fmt.Println("servers that ended:", final)
	// Output:
	// ended: <nil>
	// servers that ended: 2
}

// Some servers only, each resumed from what an earlier run has stored of it.
func ExampleFleetConfig() {
	panel := pterotest.NewServer(pterotest.Config{})
	defer panel.Close()
	panel.AddServer(pterotest.ServerConfig{Name: "Test server"})
	panel.Print("seen before", "new since")
	stored := map[string][]string{panel.ServerID(): {"seen before"}} // in real life: a file, or a database

	events, fleet, err := pterosocket.ConnectFleet(context.Background(), pterosocket.FleetConfig{
		Config: pterosocket.Config{Origin: panel.Origin(), APIKey: panel.APIKey()},
		Each: func(_ context.Context, server pterosocket.Server, cfg *pterosocket.Config) error {
			if server.Name == "Test server" {
				return pterosocket.ErrSkipServer
			}
			cfg.After = stored[server.ID]
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for ev, line := range pterosocket.OnlyFleet[pterosocket.ConsoleOutput](events) {
		fmt.Println(ev.Server, line.Plain(), line.Replayed)
		break
	}
	if err := fleet.Close(); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	// Output:
	// a0000001 new since true
}
