package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

const (
	peerNPM    = npm + "pterosocket"
	peerNhooyr = "nhooyr, bare"
	peerGobwas = "gobwas, bare"
)

func perSecond(r result) float64  { return r.PerSecond }
func cpu(r result) float64        { return r.CPU }
func allocs(r result) float64     { return r.Allocs }
func allocBytes(r result) float64 { return r.AllocBytes }
func kib(r result) float64        { return r.KiB }
func p50(r result) float64        { return r.P50 }
func p99(r result) float64        { return r.P99 }
func mib(r result) float64        { return r.ResidentMiB }

// report prints the tables, and writes them and the plots.
func (p plan) report(w io.Writer, m measured) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench` on %s, %s, %d CPUs, %s.\nMedians of %d rounds, each contestant a process of its own, interleaved; ± is half the spread.\n%s\n\n",
		time.Now().UTC().Format("2 January 2006"), runtime.Version(), runtime.NumCPU(), nodeVersion(), p.rounds, versions())
	p.throughput(&b, m.flood)
	p.memory(&b, m.idle)
	latency(&b, m.latency)
	growth(&b, m.growth)
	fleets(&b, m.many, m.quiet, m.busy)
	fmt.Fprint(w, b.String())
	if p.out == "" {
		return nil
	}
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"benchmarks.md":     b.String(),
		"growth-cpu.svg":    plot("CPU of n live consoles (cores)", m.growth, cpu),
		"growth-memory.svg": plot("Resident memory of n live consoles (MiB)", m.growth, mib),
		"throughput.svg":    bars("Events a second through one connection (thousands)", m.flood, func(r result) float64 { return r.PerSecond / 1000 }),
	} {
		if err := os.WriteFile(filepath.Join(p.out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (p plan) throughput(b *strings.Builder, o outcomes) {
	fmt.Fprintf(b, "## Throughput\n\nOne connection, %d console lines in frames of %d bytes, written 64 KiB at a time. \"bare\" is a library's read loop with nothing decoded.\n\n",
		p.events, len(line135))
	b.WriteString("| | events/s | of npm pterosocket | of bare nhooyr | CPU-s/million | of npm pterosocket | allocations | bytes |\n|---|---|---|---|---|---|---|---|\n")
	npmRate, _ := o.of(peerNPM, perSecond)
	npmCPU, _ := o.of(peerNPM, cpu)
	bare, _ := o.of(peerNhooyr, perSecond)
	for _, name := range inFlood {
		rate, spread := o.of(name, perSecond)
		used, usedSpread := o.of(name, cpu)
		n, _ := o.of(name, allocs)
		size, _ := o.of(name, allocBytes)
		fmt.Fprintf(b, "| %s | %.0fk ±%.0f%% | %.2f | %.2f | %.2f ±%.0f%% | %.2f | %s | %s |\n", name, rate/1000, 100*spread, rate/npmRate, rate/bare,
			used, 100*usedSpread, used/npmCPU, known(name, "%.1f", n), known(name, "%.0f", size))
	}
	b.WriteString("\n![throughput](throughput.svg)\n\n")
}

// known leaves out what Node does not tell.
func known(name, format string, v float64) string {
	if strings.HasPrefix(name, npm) {
		return ""
	}
	return fmt.Sprintf(format, v)
}

func (p plan) memory(b *strings.Builder, o outcomes) {
	fmt.Fprintf(b, "## Memory\n\nResident memory that each of %d idle, authenticated connections adds to a process, after garbage collections.\n\n", p.idle)
	b.WriteString("| | KiB a connection |\n|---|---|\n")
	for _, name := range inIdle {
		each, spread := o.of(name, kib)
		fmt.Fprintf(b, "| %s | %.1f ±%.0f%% |\n", name, each, 100*spread)
	}
	b.WriteString("\n")
}

func latency(b *strings.Builder, o outcomes) {
	b.WriteString("## Latency\n\nFrom the server's write to the consumer's receive, 1,000 events a second, microseconds.\n\n")
	b.WriteString("| | p50 | of its bare loop | p99 | of its bare loop |\n|---|---|---|---|---|\n")
	for _, name := range inLatency {
		base := peerNhooyr
		if strings.Contains(name, "gobwas") {
			base = peerGobwas
		}
		base50, _ := o.of(base, p50)
		base99, _ := o.of(base, p99)
		mid, midSpread := o.of(name, p50)
		high, highSpread := o.of(name, p99)
		fmt.Fprintf(b, "| %s | %.0f ±%.0f%% | %.2f | %.0f ±%.0f%% | %.2f |\n", name, mid, 100*midSpread, mid/base50, high, 100*highSpread, high/base99)
	}
	b.WriteString("\n")
}

func growth(b *strings.Builder, all map[int]outcomes) {
	b.WriteString("## Growth\n\nn consoles of running servers in one process: a stats frame a second each, and a line every two.\n\n| n |")
	for _, name := range inGrowth {
		fmt.Fprintf(b, " %s: cores | MiB |", name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", 2*len(inGrowth)) + "\n")
	for _, n := range sizes {
		fmt.Fprintf(b, "| %d |", n)
		for _, name := range inGrowth {
			used, _ := all[n].of(name, cpu)
			rss, _ := all[n].of(name, mib)
			fmt.Fprintf(b, " %.3f | %.0f |", used, rss)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n![CPU](growth-cpu.svg)\n![memory](growth-memory.svg)\n")
}

func nodeVersion() string {
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return "no Node"
	}
	return "Node " + strings.TrimSpace(string(out))
}

// versions names the libraries that were measured.
func versions() string {
	var all []string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			switch dep.Path {
			case "nhooyr.io/websocket", "github.com/coder/websocket", "github.com/gorilla/websocket", "github.com/gobwas/ws", "github.com/lxzan/gws":
				all = append(all, dep.Path+" "+dep.Version)
			}
		}
	}
	return strings.Join(append(all, "npm pterosocket 1.0.6", "npm jspteroapi 1.11.3"), ", ") + "."
}
