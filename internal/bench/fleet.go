package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

const (
	// fleetSize is how many quiet servers are compared, and busyEvents how many lines the busy ones print together.
	fleetSize  = 2000
	busyEvents = 2_000_000
	// floodRate is how many lines a second one server prints while the others are quiet.
	floodRate = 100_000
	// asFleet is the contestant that watches all servers through one channel.
	asFleet = "pterosocket, a fleet"
)

var (
	inMany = []string{asFleet, "pterosocket", npm + "pterosocket"}
	busy   = []int{1, 10, 100}
)

// connectFleet watches n servers of a kind. The load server reads from the key which those are.
func connectFleet(ctx context.Context, host, kind string, n int) (<-chan pterosocket.FleetEvent, error) {
	events, fleet, err := pterosocket.ConnectFleet(ctx, pterosocket.FleetConfig{
		Config: pterosocket.Config{
			Origin: "http://" + host, APIKey: kind + "." + strconv.Itoa(n), QueueSize: 1 << 22,
		},
		RequestsPerMinute: math.MaxInt32, // the load server has no limit
		QueueSize:         1 << 22,
		QueueBytes:        1 << 30,
	})
	if err != nil {
		return nil, err
	}
	if kind == "live" { // the others wait for nobody
		go func() {
			for range events {
			}
		}()
		err = fleet.Ready(ctx)
	}
	return events, err
}

// measureMany keeps n quiet servers' consoles open in one fleet, as measureGrowth does one by one.
func measureMany(ctx context.Context, _ contestant, host string, n int) (result, error) {
	before := resident()
	if _, err := connectFleet(ctx, host, "live", n); err != nil {
		return result{}, err
	}
	return steady(n, before), nil
}

// steady measures a process in which n consoles are open.
func steady(n int, before int64) result {
	settle()
	const d = 6 * time.Second
	cpu := cpuTime()
	time.Sleep(d)
	used := cpuTime() - cpu
	rss := resident()
	return result{
		CPU: used.Seconds() / d.Seconds(), ResidentMiB: float64(rss) / (1 << 20), KiB: float64(rss-before) / float64(n) / 1024,
		Goroutines: float64(runtime.NumGoroutine()),
	}
}

// measureBusy reads what n busy servers print together, as fast as it comes, through one channel.
func measureBusy(ctx context.Context, _ contestant, host string, n int) (result, error) {
	events, err := connectFleet(ctx, host, "flood-"+strconv.Itoa(busyEvents/n), n)
	if err != nil {
		return result{}, err
	}
	var start time.Time
	var cpu time.Duration
	lines, ends := 0, 0
	for ev := range events {
		line, ok := ev.Event.(pterosocket.ConsoleOutput)
		if !ok { // a Lagged, perhaps: 16 MiB may wait for one server
			continue
		}
		if start.IsZero() {
			start, cpu = time.Now(), cpuTime()
		}
		if lines++; line.Line == endLine {
			ends++
		}
		if ends == n {
			took, used := time.Since(start), cpuTime()-cpu
			return result{PerSecond: float64(lines) / took.Seconds(), CPU: used.Seconds() / float64(lines) * 1e6}, nil
		}
	}
	return result{}, io.ErrUnexpectedEOF
}

// measureQuiet receives quiet servers' lines, ten a second each, while one floods. It compares the times of their writing
// with those of their receipt.
func measureQuiet(ctx context.Context, _ contestant, host string, n int) (result, error) {
	events, err := connectFleet(ctx, host, "mixed", n)
	if err != nil {
		return result{}, err
	}
	var took []float64
	flooded := 0
	for ev := range events {
		line, ok := ev.Event.(pterosocket.ConsoleOutput)
		switch {
		case !ok:
			continue
		case strings.HasSuffix(ev.Server, "-0"):
			flooded++
			continue
		}
		text, _ := strings.CutPrefix(line.Line, "at ")
		at, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return result{}, err
		}
		if took = append(took, float64(time.Now().UnixNano()-at)/1000); len(took) == latencyEvents {
			break
		}
	}
	took = took[len(took)/10:] // until it has settled
	slices.Sort(took)
	return result{P50: took[len(took)/2], P99: took[len(took)*99/100], PerSecond: float64(flooded)}, nil
}

// fleets reports all of it.
func fleets(b *strings.Builder, many, quiet outcomes, merged map[int]outcomes) {
	fmt.Fprintf(b, "\n## Fleet\n\n%d running servers in one process, a stats frame a second each and a line every two: through the one channel of a fleet, "+
		"with a Connect each, and with npm pterosocket.\n\n| | cores | of a Connect each | MiB | KiB a server | goroutines |\n|---|---|---|---|---|---|\n", fleetSize)
	single, _ := many.of("pterosocket", cpu)
	for _, name := range inMany {
		used, spread := many.of(name, cpu)
		rss, _ := many.of(name, mib)
		each, _ := many.of(name, kib)
		goroutines, _ := many.of(name, func(r result) float64 { return r.Goroutines })
		fmt.Fprintf(b, "| %s | %.3f ±%.0f%% | %.2f | %.0f | %.1f | %s |\n", name, used, 100*spread, used/single, rss, each, known(name, "%.0f", goroutines))
	}
	fmt.Fprintf(b, "\n%d console lines through the channel of a fleet, as fast as they come; those that were delivered count:\n\n| busy servers | events/s | of one | CPU-s/million |\n|---|---|---|---|\n", busyEvents)
	one, _ := merged[1].of(asFleet, perSecond)
	for _, n := range busy {
		rate, spread := merged[n].of(asFleet, perSecond)
		used, _ := merged[n].of(asFleet, cpu)
		fmt.Fprintf(b, "| %d | %.0fk ±%.0f%% | %.2f | %.2f |\n", n, rate/1000, 100*spread, rate/one, used)
	}
	mid, _ := quiet.of(asFleet, p50)
	high, spread := quiet.of(asFleet, p99)
	fmt.Fprintf(b, "\nOne server prints %d lines a second, 99 print ten: a line of these is received after %.0f µs (median), "+
		"%.0f µs ±%.0f%% (99th percentile).\n", floodRate, mid, high, 100*spread)
}
