package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/ansi"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// fleetConfig returns what watches the servers that the flags name.
func (o options) fleetConfig() pterosocket.FleetConfig {
	cfg := pterosocket.FleetConfig{Config: o.config}
	cfg.Server = ""
	if !o.all {
		for name := range strings.SplitSeq(o.config.Server, ",") {
			cfg.Servers = append(cfg.Servers, strings.TrimSpace(name))
		}
	}
	return cfg
}

// isFleet reports whether more than one server is asked for.
func (o options) isFleet() bool { return o.all || strings.Contains(o.config.Server, ",") }

// watchFleet shows what happens on many servers until ctx ends, or the fleet does.
func watchFleet(ctx context.Context, opts options, stdin io.Reader, stdout, stderr io.Writer) error {
	events, fleet, err := connectFleet(ctx, opts.fleetConfig())
	if err != nil {
		return err
	}
	quit, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(quit, func() { _ = fleet.Close() })()
	v := &fleetView{stdout: stdout, stderr: stderr, json: opts.json}
	go v.readCommands(quit, end, stdin, fleet, opts.limit > 0)
	var failed error
	for ev := range events {
		if err := v.show(ev); err != nil && failed == nil { // nobody can be shown anything any more
			failed = fmt.Errorf("writing the output: %w", err)
			end()
		}
	}
	<-fleet.Done()
	return cmp.Or(failed, fleet.Err())
}

// A fleetView writes console lines to stdout, each behind its server's identifier, and the rest to stderr; or all events
// as JSON to stdout.
type fleetView struct {
	mu             sync.Mutex
	stdout, stderr io.Writer
	json           bool
}

func (v *fleetView) show(ev pterosocket.FleetEvent) error {
	if v.json {
		line, err := pterosocket.MarshalFleetEvent(ev)
		if err != nil {
			v.note(err.Error())
			return nil
		}
		return v.write(v.stdout, string(escapeControls(line)))
	}
	name := ansi.Plain(cmp.Or(ev.Server, "*"))
	if line, ok := ev.Event.(pterosocket.ConsoleOutput); ok {
		return v.write(v.stdout, name+" "+line.Plain())
	}
	if text := describeFleet(ev.Event); text != "" {
		v.note(name + " " + text)
	}
	return nil
}

func (v *fleetView) note(text string) { _ = v.write(v.stderr, "* "+ansi.Plain(text)) }

func (v *fleetView) write(w io.Writer, line string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, err := fmt.Fprintln(w, line)
	return err
}

// describeFleet puts an event into words, those of a fleet too.
func describeFleet(ev pterosocket.Event) string {
	switch ev := ev.(type) {
	case pterosocket.ServerAdded:
		return fmt.Sprintf("is %q on %s", ev.Server.Name, ev.Server.Node)
	case pterosocket.ServerChanged:
		return fmt.Sprintf("is now %q on %s%s", ev.Server.Name, ev.Server.Node, statusOf(ev.Server))
	case pterosocket.ServerRemoved:
		if ev.Err != nil {
			return "is out: " + ev.Err.Error()
		}
		return "is out"
	}
	return describe(ev)
}

// statusOf says what is the matter with a server, behind a comma.
func statusOf(s pterosocket.Server) string {
	switch {
	case s.Suspended:
		return ", suspended"
	case s.Installing:
		return ", installing"
	case s.Transferring:
		return ", transferring"
	case s.Status != "":
		return ", " + s.Status
	}
	return ""
}

// readCommands sends lines of the form "SERVER COMMAND", until r or quit ends. As with one server, the program ends a
// second behind the last of them, unless something else says when.
func (v *fleetView) readCommands(quit context.Context, end context.CancelFunc, r io.Reader, fleet *pterosocket.Fleet, bounded bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	some := false
	for lines.Scan() && quit.Err() == nil {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		some = true
		name, command, _ := strings.Cut(line, " ")
		if name == ":quit" {
			end()
			return
		}
		commands, err := fleet.Commands(name)
		if err == nil {
			err = execute(quit, end, command, commands, v)
		}
		if err != nil {
			v.note(err.Error() + " (lines are: SERVER COMMAND)")
		}
	}
	if err := lines.Err(); err != nil && quit.Err() == nil {
		v.note("no more commands are read from standard input: " + err.Error())
		return
	}
	if some && !bounded {
		timer := time.NewTimer(answerFor)
		defer timer.Stop()
		select {
		case <-timer.C:
			end()
		case <-quit.Done():
		}
	}
}

// listServers prints a table of the servers.
func listServers(ctx context.Context, opts options, stdout io.Writer) error {
	cfg := opts.config
	cfg.Server = ""
	servers, err := pterosocket.ListServers(ctx, cfg)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tNODE\tMEMORY\tSTATUS")
	for _, s := range servers {
		memory := "-"
		if s.Limits.MemoryMiB > 0 {
			memory = fmt.Sprintf("%d MiB", s.Limits.MemoryMiB)
		}
		status := cmp.Or(strings.TrimPrefix(statusOf(s), ", "), "ready")
		fmt.Fprintln(w, strings.Join([]string{ansi.Plain(s.ID), ansi.Plain(s.Name), ansi.Plain(s.Node), memory, ansi.Plain(status)}, "\t"))
	}
	return w.Flush()
}
