package pterosocket_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// Mixed faults, in an order that a seed decides, against several clients, one of which is slow. What counts: no line is
// lost without a Gap or a Lagged in its place, and none comes twice but behind a Gap.

func chaosSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(1) // the tests must not depend on chance; make chaos and make soak do
	if os.Getenv("PTERO_CHAOS") != "" || os.Getenv("PTERO_SOAK") != "" {
		seed = uint64(time.Now().UnixNano())
	}
	if s := os.Getenv("PTERO_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	t.Logf("SEED=%d", seed)
	return seed
}

// TestChaos is short, unless make chaos asks for days.
func TestChaos(t *testing.T) {
	seed, length := chaosSeed(t), time.Hour
	switch {
	case os.Getenv("PTERO_CHAOS") == "long":
		length = 3 * 24 * time.Hour
	case testing.Short():
		length = 20 * time.Minute
	}
	for _, dialect := range []pterotest.Dialect{pterotest.Pterodactyl, pterotest.Pelican, pterotest.Calagopus} {
		t.Run(dialect.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storm{seed: seed, length: length, fake: pterotest.Config{Dialect: dialect, InMemory: true}}.run(t)
			})
		})
	}
}

// TestSoak is the same in real time, over loopback; it takes as long as make soak says.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("PTERO_SOAK"))
	if err != nil {
		t.Skip("run by make soak")
	}
	storm{seed: chaosSeed(t), length: length}.run(t)
}

// A storm is one run.
type storm struct {
	seed   uint64
	length time.Duration
	fake   pterotest.Config
}

// A witness reads one client's events and counts.
type witness struct {
	delivered, dropped, doubled, lost, lostReported, gaps int
	longest                                               time.Duration
}

func (s storm) run(t *testing.T) {
	r := rand.New(rand.NewPCG(s.seed, 1))
	srv := pterotest.NewServer(s.fake)
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	baseline := runtime.NumGoroutine()

	const clients = 4
	witnesses := make([]*witness, clients)
	commands := make([]*pterosocket.Commands, clients)
	var readers sync.WaitGroup
	for i := range clients {
		cfg := config(srv)
		if i == clients-1 {
			cfg.QueueSize = 200 // the slow one
		}
		events, c, err := open(ctx, cfg)
		must(t, err)
		commands[i], witnesses[i] = c, new(witness)
		slow := i == clients-1
		pause := time.Duration(0)
		if slow {
			pause = min(3*time.Minute, s.length/60)
		}
		readers.Go(func() { witnesses[i].watch(t, events, pause) })
	}

	// The game prints numbered lines, at a pace that a replay covers for as long as a reconnect takes.
	printed := 0
	print := func() {
		if srv.State() == "running" {
			srv.Print(append([]string{fmt.Sprint("line ", printed)}, repeated(printed)...)...)
			printed++
		}
	}
	faults := make(map[string]int)
	end := time.Now().Add(s.length)
	nextFault := time.Now().Add(min(time.Minute, s.length/20))
	for time.Now().Before(end) {
		print()
		time.Sleep(time.Duration(400+r.IntN(800)) * time.Millisecond)
		if time.Now().After(nextFault) {
			name := s.fault(r, srv)
			faults[name]++
			nextFault = time.Now().Add(time.Duration(5+r.IntN(240)) * time.Second)
		}
	}
	srv.ResetPanel()
	must(t, srv.WaitFor(ctx, func() bool { return srv.State() == "running" }))
	settle := time.Now()
	for _, c := range commands {
		must(t, c.Ready(ctx))
	}
	for time.Since(settle) < 5*time.Second {
		print()
		time.Sleep(time.Second)
	}
	time.Sleep(2 * time.Second)

	report := &strings.Builder{}
	fmt.Fprintf(report, "seed %d, %v, %d lines printed, %d credential requests\nfaults:", s.seed, s.length, printed, srv.CredentialRequests())
	for name, n := range faults {
		fmt.Fprintf(report, " %s %d,", name, n)
	}
	fmt.Fprintf(report, "\n%-8s %9s %9s %9s %9s %12s %6s %9s %9s\n", "client", "connects", "delivered", "lagged", "doubled", "lost silent", "gaps", "reported", "silence")
	for _, c := range commands {
		must(t, c.Close())
	}
	readers.Wait()
	for i, c := range commands {
		w, m := witnesses[i], c.Metrics()
		if w.lost > 0 || w.doubled > 0 {
			t.Errorf("client %d: %d lines lost without report, %d doubled without a gap", i, w.lost, w.doubled)
		}
		if uint64(w.dropped) > m.Dropped || w.dropped == 0 && i < clients-1 && m.Dropped > 0 {
			t.Errorf("client %d was told of %d dropped events, the metrics of %d", i, w.dropped, m.Dropped)
		}
		fmt.Fprintf(report, "%-8d %9d %9d %9d %9d %12d %6d %9d %9v\n", i, m.Reconnects+1, w.delivered, w.dropped, w.doubled, w.lost, w.gaps, w.lostReported, w.longest.Round(time.Second))
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	fmt.Fprintf(report, "goroutines %d before, %d after; heap %d KiB", baseline, runtime.NumGoroutine(), mem.HeapAlloc>>10)
	t.Log(report)
}

// repeated returns what the game prints behind line n: a heartbeat, and players who come and go.
func repeated(n int) (lines []string) {
	if n%3 == 0 {
		lines = append(lines, "heartbeat ok")
	}
	if n%7 == 0 {
		lines = append(lines, []string{"Alex joined", "Sam joined", "Alex left", "Alex joined", "Alex left", "Sam left"}[n/7%6])
	}
	return lines
}

func isRepeated(line string) bool {
	return line == "heartbeat ok" || strings.HasSuffix(line, " joined") || strings.HasSuffix(line, " left")
}

// fault does something bad and returns its name.
func (s storm) fault(r *rand.Rand, srv *pterotest.Server) string {
	brief := time.Duration(1+r.IntN(20)) * time.Second
	switch r.IntN(13) {
	case 0:
		srv.Drop()
		return "EOF"
	case 1:
		srv.Reset()
		return "reset"
	case 2:
		srv.Freeze()
		return "silence"
	case 3:
		srv.RestartDaemon()
		return "daemon restart"
	case 4:
		srv.ExpireTokens()
		return "expiry"
	case 5:
		srv.DenyTokens()
		return "denial"
	case 6:
		srv.CloseAll(1001, "")
		return "close frame"
	case 7:
		srv.SetDown(true)
		time.AfterFunc(brief, func() { srv.SetDown(false) })
		return "daemon down"
	case 8:
		srv.Transfer()
		return "transfer"
	case 11:
		_ = srv.Power("restart") // refused while another is at work
		return "game restart"
	case 12:
		if srv.Power("stop") == nil {
			time.AfterFunc(brief, func() { _ = srv.Power("start") })
		}
		return "game stop"
	case 9:
		for range 1 + r.IntN(3) {
			srv.FailPanel(502, "Bad gateway")
		}
		srv.ExpireTokens()
		return "panel errors"
	default:
		srv.EmitRaw("not a frame")
		srv.RateLimitPanel(brief)
		return "garbage and 429"
	}
}

// watch checks that the lines are the printed ones, in order, but where a Gap or a Lagged stands.
func (w *witness) watch(t *testing.T, events <-chan pterosocket.Event, pause time.Duration) {
	next, reported, lagged := -1, false, 0
	seen := make(map[int]bool)
	last := time.Now()
	var between []string // the repeated lines since the last numbered one
	whole := false       // nothing was reported since then
	for ev := range events {
		switch ev := ev.(type) {
		case pterosocket.Gap:
			w.gaps++
			reported, whole = true, false
		case pterosocket.Lagged:
			w.dropped += ev.Dropped
			lagged += ev.Dropped
			whole = false
		case pterosocket.ConsoleOutput:
			if isRepeated(ev.Line) {
				between = append(between, ev.Line)
				continue
			}
			n, err := strconv.Atoi(strings.TrimPrefix(ev.Line, "line "))
			if err != nil {
				continue
			}
			if whole && n == next {
				w.compare(t, n-1, between)
			}
			between, whole = nil, true
			if next >= 0 {
				w.longest = max(w.longest, time.Since(last))
			}
			last = time.Now()
			switch {
			case next < 0 || n == next:
			case n < next && seen[n] && reported: // the replay behind a gap
				continue
			case n < next && seen[n]:
				w.doubled++
				continue
			case n < next: // late, but here
				if w.lostReported > 0 {
					w.lostReported--
				}
				w.delivered++
				seen[n] = true
				continue
			case reported || lagged >= n-next:
				w.lostReported += n - next
			default:
				w.lost += n - next
				t.Logf("line %d in the place of %d", n, next)
			}
			next, lagged = n+1, 0
			if n%200 == 0 {
				reported = false
			}
			seen[n] = true
			w.delivered++
			if n%50 == 0 {
				time.Sleep(pause)
			}
		}
	}
}

// compare counts the repeated lines behind line n.
func (w *witness) compare(t *testing.T, n int, got []string) {
	want := repeated(n)
	if slices.Equal(got, want) {
		return
	}
	w.lost += max(0, len(want)-len(got))
	w.doubled += max(0, len(got)-len(want))
	t.Errorf("behind line %d came %q, want %q", n, got, want)
}
