package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A result is what one run of one contestant came to. Only the fields of its measurement are set.
type result struct {
	PerSecond   float64 `json:"per_second"`   // flood: events
	CPU         float64 `json:"cpu"`          // flood: CPU-seconds a million events; growth: CPU-seconds a second
	Allocs      float64 `json:"allocs"`       // flood: allocations an event
	AllocBytes  float64 `json:"alloc_bytes"`  // flood: bytes an event
	KiB         float64 `json:"kib"`          // idle, growth: resident, a connection
	P50         float64 `json:"p50"`          // latency: microseconds
	P99         float64 `json:"p99"`          // latency: microseconds
	ResidentMiB float64 `json:"resident_mib"` // growth: of the process
	Goroutines  float64 `json:"goroutines"`   // growth: in the process
}

// measureFlood reads n events as fast as they come.
func measureFlood(ctx context.Context, c contestant, host string, n int) (result, error) {
	next, err := c.connect(ctx, host, "flood-"+strconv.Itoa(n))
	if err != nil {
		return result{}, err
	}
	if _, err := next(); err != nil {
		return result{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, cpu := time.Now(), cpuTime()
	events := 0
	for {
		_, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return result{}, err
		}
		events++
	}
	took, used := time.Since(start), cpuTime()-cpu
	runtime.ReadMemStats(&after)
	if events < n-1 {
		return result{}, fmt.Errorf("%d of %d events came", events, n)
	}
	each := 1 / float64(events)
	return result{
		PerSecond:  float64(events) / took.Seconds(),
		CPU:        used.Seconds() * each * 1e6,
		Allocs:     float64(after.Mallocs-before.Mallocs) * each,
		AllocBytes: float64(after.TotalAlloc-before.TotalAlloc) * each,
	}, nil
}

// measureIdle opens n connections on which nothing comes, and sees what they add to the process.
func measureIdle(ctx context.Context, c contestant, host string, n int) (result, error) {
	first, err := c.connect(ctx, host, "idle") // what is needed once
	if err != nil {
		return result{}, err
	}
	settle()
	before := resident()
	keep := []func() (string, error){first}
	for range n {
		next, err := c.connect(ctx, host, "idle")
		if err != nil {
			return result{}, err
		}
		keep = append(keep, next)
		if !c.reads {
			go func() {
				for {
					if _, err := next(); err != nil {
						return
					}
				}
			}()
		}
	}
	settle()
	each := float64(resident()-before) / float64(n) / 1024
	runtime.KeepAlive(keep)
	return result{KiB: each}, nil
}

// measureLatency receives n events at 1,000 a second and compares the times of their writing with those of their
// receipt.
func measureLatency(ctx context.Context, c contestant, host string, n int) (result, error) {
	next, err := c.connect(ctx, host, "pace-1000")
	if err != nil {
		return result{}, err
	}
	var took []float64
	for len(took) < n {
		line, err := next()
		if err != nil {
			return result{}, err
		}
		now := time.Now().UnixNano()
		_, rest, ok := strings.Cut(line, "at ")
		if !ok {
			continue
		}
		rest, _, _ = strings.Cut(rest, `"`)
		at, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return result{}, err
		}
		took = append(took, float64(now-at)/1000)
	}
	took = took[n/10:] // until it has settled
	slices.Sort(took)
	return result{P50: took[len(took)/2], P99: took[len(took)*99/100]}, nil
}

// measureGrowth keeps n quiet servers' consoles open for a while, a stats frame a second on each and a line every two.
func measureGrowth(ctx context.Context, c contestant, host string, n int) (result, error) {
	before := resident()
	var keep []func() (string, error)
	for range n {
		next, err := c.connect(ctx, host, "live")
		if err != nil {
			return result{}, err
		}
		keep = append(keep, next)
		go func() {
			for {
				if _, err := next(); err != nil {
					return
				}
			}
		}()
	}
	r := steady(n, before)
	runtime.KeepAlive(keep)
	return r, nil
}

// settle lets garbage go, and stacks shrink, which takes some collections.
func settle() {
	time.Sleep(time.Second)
	for range 5 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	time.Sleep(500 * time.Millisecond)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the process's resident memory in bytes.
func resident() int64 {
	text, _ := os.ReadFile("/proc/self/statm")
	var size, pages int64
	_, _ = fmt.Sscan(string(text), &size, &pages)
	return pages * int64(os.Getpagesize())
}
