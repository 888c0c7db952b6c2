package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// A plan is what is measured, and how often.
type plan struct {
	rounds, events, idle int
	out                  string
}

// npm names the contestants that run in Node.
const npm = "npm "

// The contestants of each measurement.
var (
	inFlood = []string{
		"pterosocket", "pterosocket/gobwas", "nhooyr, bare", "nhooyr and encoding/json", "gorilla, bare", "coder, bare", "gobwas, bare", "gws, bare",
		"pterosocket on coder", "pterosocket on gorilla", "pterosocket on gws", npm + "pterosocket", npm + "jspteroapi",
	}
	inIdle = []string{
		"pterosocket", "pterosocket/gobwas", "nhooyr, bare", "gorilla, bare", "coder, bare", "gobwas, bare", "gws, bare",
		"pterosocket on coder", "pterosocket on gorilla", "pterosocket on gws", npm + "pterosocket",
	}
	inLatency = []string{"pterosocket", "nhooyr, bare", "pterosocket/gobwas", "gobwas, bare", npm + "pterosocket"}
	inGrowth  = []string{"pterosocket", "pterosocket/gobwas"}
	sizes     = []int{1, 10, 100, 1000, 5000}
)

const latencyEvents = 4000

// outcomes are the results of a contestant, one a round.
type outcomes map[string][]result

// measured is all that a run came to.
type measured struct {
	flood, idle, latency, many, quiet outcomes
	growth, busy                      map[int]outcomes
}

func (p plan) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	host, err := startServer(ctx, self)
	if err != nil {
		return err
	}
	m := measured{flood: outcomes{}, idle: outcomes{}, latency: outcomes{}, many: outcomes{}, quiet: outcomes{}, growth: map[int]outcomes{}, busy: map[int]outcomes{}}
	for round := range p.rounds { // interleaved, so that a machine's moods meet all alike
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, p.rounds)
		for _, name := range inFlood {
			if err := runOne(ctx, self, "flood", name, host, p.events, m.flood); err != nil {
				return err
			}
		}
		for _, name := range inLatency {
			if err := runOne(ctx, self, "latency", name, host, latencyEvents, m.latency); err != nil {
				return err
			}
		}
		if round%2 != 0 { // memory hardly varies
			continue
		}
		for _, name := range inIdle {
			if err := runOne(ctx, self, "idle", name, host, p.idle, m.idle); err != nil {
				return err
			}
		}
	}
	for _, n := range sizes {
		m.growth[n] = outcomes{}
		for _, name := range inGrowth {
			if err := runOne(ctx, self, "growth", name, host, n, m.growth[n]); err != nil {
				return err
			}
		}
	}
	for range 3 {
		for _, name := range inMany {
			measurement := "growth"
			if name == asFleet {
				measurement = "many"
			}
			if err := runOne(ctx, self, measurement, name, host, fleetSize, m.many); err != nil {
				return err
			}
		}
		for _, n := range busy {
			if m.busy[n] == nil {
				m.busy[n] = outcomes{}
			}
			if err := runOne(ctx, self, "busy", asFleet, host, n, m.busy[n]); err != nil {
				return err
			}
		}
	}
	for range 3 {
		if err := runOne(ctx, self, "quiet", asFleet, host, 100, m.quiet); err != nil {
			return err
		}
	}
	return p.report(os.Stdout, m)
}

// startServer starts the load server, which ends with ctx, and returns its address.
func startServer(ctx context.Context, self string) (host string, err error) {
	cmd := exec.CommandContext(ctx, self, "server")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line), err
}

// runOne runs one contestant in a process of its own.
func runOne(ctx context.Context, self, measurement, name, host string, n int, into outcomes) error {
	args := []string{"client", measurement, name, host, strconv.Itoa(n)}
	program := self
	if pkg, ok := strings.CutPrefix(name, npm); ok {
		program, args = "node", []string{"--expose-gc", "npm.cjs", measurement, pkg, host, strconv.Itoa(n)}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s of %s: %w", measurement, name, err)
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return fmt.Errorf("%s of %s: %w: %q", measurement, name, err, out)
	}
	fmt.Fprintf(os.Stderr, "  %-8s %-26s %s\n", measurement, name, strings.TrimSpace(string(out)))
	into[name] = append(into[name], r)
	return nil
}

// of returns a figure's median over the rounds, and its spread: half the distance between the least and the most,
// relative to it.
func (o outcomes) of(name string, figure func(result) float64) (median, spread float64) {
	var all []float64
	for _, r := range o[name] {
		all = append(all, figure(r))
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	median = all[len(all)/2]
	if median == 0 {
		return 0, 0
	}
	return median, (all[len(all)-1] - all[0]) / 2 / median
}
