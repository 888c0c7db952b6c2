package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	tea "charm.land/bubbletea/v2"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// top shows the servers as a live table until the user quits, ctx ends, or the fleet does.
func top(ctx context.Context, opts options, stdin io.Reader, stdout io.Writer) error {
	if !isTerminal(stdin) || !isTerminal(stdout) || opts.dumb {
		return errors.New("top needs a terminal that can move its cursor; elsewhere use -all, with -json for programs")
	}
	hangup := make(chan os.Signal, 1) // without a terminal there is nothing to do, even for who ignores its end
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	opts.all = opts.all || opts.config.Server == ""
	opts.config.History = true // so that a console that is opened is not empty
	events, fleet, err := connectFleet(ctx, opts.fleetConfig())
	if err != nil {
		return err
	}
	b := newBoard()
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		for ev := range events {
			b.record(ev)
		}
	}()
	begun, cancel := context.WithCancel(ctx)
	defer cancel()
	program := tea.NewProgram(newTopModel(begun, fleet, b, opts.glyphs),
		tea.WithInput(stdin.(*os.File)), tea.WithOutput(stdout.(*os.File)), tea.WithoutSignalHandler())
	watched := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
		case <-hangup:
		case <-fleet.Done():
		case <-over:
		}
		program.Quit()
	}()
	_, err = program.Run()
	close(over)
	<-watched
	_ = fleet.Close()
	<-recorded
	return cmp.Or(err, fleet.Err())
}

// connectFleet connects under a context that does not end with ctx once the list has been read: the end of ctx is the
// wish to end gracefully.
func connectFleet(ctx context.Context, cfg pterosocket.FleetConfig) (<-chan pterosocket.FleetEvent, *pterosocket.Fleet, error) {
	lifetime, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	events, fleet, err := pterosocket.ConnectFleet(lifetime, cfg)
	if err != nil {
		cancel(nil)
		return nil, nil, err
	}
	if !stop() { // ctx ended in the last moment
		go func() {
			for range events {
			}
		}()
		_ = fleet.Close()
		return nil, nil, context.Cause(ctx)
	}
	return events, fleet, nil
}
