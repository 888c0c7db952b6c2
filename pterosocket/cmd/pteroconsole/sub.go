package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/ansi"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// checkSubcommand finds wrong arguments before anything is connected.
func checkSubcommand(args []string) error {
	if len(args) == 0 {
		return nil
	}
	switch name, rest := args[0], args[1:]; {
	case name == "run" && len(rest) > 0, (name == "logs" || name == "servers" || name == "top") && len(rest) == 0:
		return nil
	case name == "power" && len(rest) == 1:
		switch pterosocket.PowerAction(rest[0]) {
		case pterosocket.PowerStart, pterosocket.PowerStop, pterosocket.PowerRestart, pterosocket.PowerKill:
			return nil
		}
	}
	return fmt.Errorf("%q is none of: run COMMAND, power start|stop|restart|kill, logs, servers, top", strings.Join(args, " "))
}

// longestAnswer ends the answer on a server that is never silent.
const longestAnswer = 10 * time.Second

func answer(ctx context.Context, commands *pterosocket.Commands, command string, idle time.Duration) ([]string, error) {
	bounded, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	lines, err := commands.Run(bounded, command, pterosocket.RunOptions{Idle: idle})
	if bounded.Err() != nil && ctx.Err() == nil && !errors.Is(err, pterosocket.ErrNotSent) {
		err = nil
	}
	return lines, err
}

// subcommand connects, does one thing, and ends.
func subcommand(ctx context.Context, opts options, stdout io.Writer) error {
	opts.config.History = false // History asks for itself
	events, commands, err := connect(ctx, opts.config)
	if err != nil {
		return err
	}
	defer commands.Close()
	go func() { // ends with the channel, which Close closes
		for range events { // only to be rid of them
		}
	}()
	var lines []string
	switch opts.args[0] {
	case "run":
		lines, err = answer(ctx, commands, strings.Join(opts.args[1:], " "), opts.idle)
	case "logs":
		lines, err = commands.History(ctx)
	case "power":
		if err := commands.Power(ctx, pterosocket.PowerAction(opts.args[1])); err != nil {
			return err
		}
		_, err = fmt.Fprintln(stdout, commands.State())
	}
	for _, line := range lines {
		fmt.Fprintln(stdout, ansi.Plain(line))
	}
	return err
}
