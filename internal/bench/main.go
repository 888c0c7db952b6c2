// Command bench measures the library beside its peers, all in the same run: make bench.
//
// It builds one load server, and runs every contestant as a process of its own against it, interleaved, several times.
// What it prints are medians, with the spread and the ratios that matter, and it writes them, with plots, into
// pterosocket/docs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

// run is the orchestrator, or, when told so, the load server or one contestant.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "server":
			return serve(ctx)
		case "client":
			return client(ctx, args[1:])
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	plan := plan{}
	flags.IntVar(&plan.rounds, "rounds", 5, "how often each contestant runs")
	flags.IntVar(&plan.events, "events", 2_000_000, "events in a flood")
	flags.IntVar(&plan.idle, "idle", 2000, "idle connections")
	flags.StringVar(&plan.out, "out", "", "where the report and its plots are written; empty: nowhere")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return plan.run(ctx)
}

// client runs one measurement of one contestant and prints the outcome as JSON.
func client(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: client MEASUREMENT CONTESTANT HOST NUMBER")
	}
	c, ok := contestants[args[1]]
	if !ok && args[1] != asFleet {
		return fmt.Errorf("no contestant %q", args[1])
	}
	var n int
	if _, err := fmt.Sscan(args[3], &n); err != nil {
		return err
	}
	measure, ok := map[string]func(context.Context, contestant, string, int) (result, error){
		"flood": measureFlood, "idle": measureIdle, "latency": measureLatency, "growth": measureGrowth, "many": measureMany, "busy": measureBusy, "quiet": measureQuiet,
	}[args[0]]
	if !ok {
		return fmt.Errorf("no measurement %q", args[0])
	}
	r, err := measure(ctx, c, args[2], n)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
