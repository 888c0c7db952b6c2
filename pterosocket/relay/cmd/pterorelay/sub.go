package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

// subcommand does what its arguments say, through the relays.
func subcommand(ctx context.Context, o options, stdout, stderr io.Writer) error {
	nc, err := dial(o)
	if err != nil {
		return err
	}
	defer nc.Close()
	switch o.args[0] {
	case "watch":
		return watch(ctx, nc, o, stdout)
	case "servers":
		return list(ctx, nc, stdout)
	case "run":
		return runCommand(ctx, relay.NewCommands(nc, o.args[1]), o, stdout)
	}
	commands := relay.NewCommands(nc, o.args[1])
	if err := commands.Power(ctx, pterosocket.PowerAction(o.args[2])); err != nil {
		return err
	}
	fmt.Fprintln(stdout, commands.State())
	return nil
}

// mostIdle is how long an answer may take on a console that is never silent.
const mostIdle = 10 * time.Second

// runCommand prints the answer to a command.
func runCommand(ctx context.Context, commands *relay.Commands, o options, stdout io.Writer) error {
	limited, cancel := context.WithTimeout(ctx, max(mostIdle, o.idle))
	defer cancel()
	lines, err := commands.Run(limited, o.args[2], pterosocket.RunOptions{Idle: o.idle})
	for _, line := range lines {
		fmt.Fprintln(stdout, pterosocket.Plain(line))
	}
	if limited.Err() != nil && ctx.Err() == nil && len(lines) > 0 { // the console went on and on
		return nil
	}
	return err
}

// watch prints events until ctx ends.
func watch(ctx context.Context, nc *nats.Conn, o options, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, err := relay.Subscribe(ctx, nc, relay.SubscribeOptions{Servers: o.args[1:]})
	if err != nil {
		return err
	}
	var failed error
	for m := range messages {
		if failed != nil {
			continue // until the channel is closed
		}
		if failed = print(stdout, m.FleetEvent, o.json); failed != nil {
			cancel()
		}
	}
	if failed != nil {
		return fmt.Errorf("writing the output: %w", failed)
	}
	return nil
}

// print prints an event as JSON, or a line of it; stats only as JSON.
func print(w io.Writer, ev pterosocket.FleetEvent, asJSON bool) error {
	var text string
	switch e := ev.Event.(type) {
	case pterosocket.ConsoleOutput:
		text = ev.Server + " " + e.Plain()
	case pterosocket.Stats:
	default:
		data, err := pterosocket.MarshalEvent(e)
		if err != nil {
			return err
		}
		text = cmp.Or(ev.Server, "-") + " * " + string(data)
	}
	if asJSON {
		data, err := pterosocket.MarshalFleetEvent(ev)
		if err != nil {
			return err
		}
		text = string(data)
	}
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// list prints a table of the servers.
func list(ctx context.Context, nc *nats.Conn, stdout io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("NATS did not answer in 10 s"))
	defer cancel()
	servers, err := relay.Snapshot(ctx, nc)
	if err != nil {
		return err
	}
	slices.SortFunc(servers, func(a, b pterosocket.ServerSnapshot) int {
		return cmp.Or(strings.Compare(a.Server.Name, b.Server.Name), strings.Compare(a.Server.ID, b.Server.ID))
	})
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tNODE\tSTATE\tCPU%\tMEM MiB")
	for _, s := range servers {
		state := string(s.State)
		if !s.Connected {
			state = "not connected"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f\t%d\n", s.Server.ID, pterosocket.Plain(s.Server.Name), pterosocket.Plain(s.Server.Node),
			cmp.Or(state, "-"), s.Stats.CPUAbsolute, s.Stats.MemoryBytes>>20)
	}
	return w.Flush()
}
