package relay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

// What a relay costs, as a process of its own with NATS on file storage, beside a direct connection in the same run.
// make relay-bench runs it.
func TestRelayFigures(t *testing.T) {
	if os.Getenv("PTERO_RELAY_BENCH") == "" {
		t.Skip("PTERO_RELAY_BENCH is not set; make relay-bench does that")
	}
	b := &bench{t: t, dir: t.TempDir()}
	for name, pkg := range map[string]string{"pterorelay": "./cmd/pterorelay", "nats-server": "github.com/nats-io/nats-server/v2"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(b.dir, name), pkg).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	t.Run("one server", b.oneServer)
	t.Run("idle", b.idle)
}

type bench struct {
	t   *testing.T
	dir string
}

func (b *bench) spawn(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(b.dir, name), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _, _ = cmd.Process.Signal(syscall.SIGTERM), cmd.Wait() })
	return cmd
}

// oneServer measures events a second and the latency of one server's console.
func (b *bench) oneServer(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{StatsEvery: time.Hour})
	t.Cleanup(srv.Close)
	port := freePort(t)
	url := fmt.Sprint("nats://127.0.0.1:", port)
	b.spawn(t, []string{"PTERO_ORIGIN=" + srv.Origin(), "PTERO_API_KEY=" + srv.APIKey()}, "pterorelay",
		"-listen", fmt.Sprint("127.0.0.1:", port), "-store", t.TempDir(), "-lease", "3s")
	nc := dial(t, url)
	messages, err := subscribe(t.Context(), nc, relay.SubscribeOptions{Events: []string{"console_output"}})
	must(t, err)
	runs(t, relay.NewCommands(nc, srv.ServerID()))
	var direct, relayed counter
	cfg := config(srv, "")
	cfg.Config.Server = srv.ServerID()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, commands, err := pterosocket.Connect(ctx, cfg.Config)
	must(t, err)
	go func() {
		for ev := range events {
			if line, ok := ev.(pterosocket.ConsoleOutput); ok {
				direct.count(line.Line)
			}
		}
	}()
	go func() {
		for m := range messages {
			if line, ok := m.Event.(pterosocket.ConsoleOutput); ok {
				relayed.count(line.Line)
			}
		}
	}()
	both := func(text string) { // waits until both have read what was printed
		srv.Print(text)
		until(t, "both have read "+text, func() bool { return direct.last.Load() == text && relayed.last.Load() == text })
	}
	both("begin")
	const lines = 100_000
	for round := range 3 { // one after the other, so that neither takes the other's processor
		perSecond := make(map[string]float64)
		for _, c := range []*counter{&relayed, &direct} {
			before, start := c.n.Load(), time.Now()
			batch := printed(0, 100)
			for sent := 0; sent < lines; sent += len(batch) {
				for int64(sent)-(c.n.Load()-before) > 4000 {
					time.Sleep(100 * time.Microsecond)
				}
				srv.Print(batch...)
			}
			for c.n.Load()-before < lines {
				time.Sleep(100 * time.Microsecond)
			}
			perSecond[c.name(&direct)] = lines / time.Since(start).Seconds()
			both(fmt.Sprint("end of ", c.name(&direct), " ", round))
		}
		t.Logf("round %d: %.0f lines a second through the relay, %.0f at most while both read; %.2f", round, perSecond["relay"],
			perSecond["direct"], perSecond["relay"]/perSecond["direct"])
	}
	direct.late, relayed.late = nil, nil
	direct.times.Store(true)
	relayed.times.Store(true)
	for range 2000 {
		srv.Print(fmt.Sprint("at ", time.Now().UnixNano()))
		time.Sleep(2 * time.Millisecond)
	}
	both("the end")
	cancel()
	<-commands.Done()
	for _, c := range []*counter{&direct, &relayed} {
		slices.Sort(c.late)
		t.Logf("%s: median latency %v, 99th percentile %v", c.name(&direct), c.late[len(c.late)/2], c.late[len(c.late)*99/100])
	}
}

// A counter counts lines, and how late they are.
type counter struct {
	n     atomic.Int64
	last  atomic.Value // the last line
	times atomic.Bool
	late  []time.Duration
}

func (c *counter) name(direct *counter) string {
	if c == direct {
		return "direct"
	}
	return "relay"
}

func (c *counter) count(line string) {
	if at, ok := strings.CutPrefix(line, "at "); ok && c.times.Load() {
		n, _ := strconv.ParseInt(at, 10, 64)
		c.late = append(c.late, time.Since(time.Unix(0, n)))
	}
	c.last.Store(line)
	c.n.Add(1)
}

// idle measures what a thousand servers cost that send nothing but stats, with stats in the stream and without.
func (b *bench) idle(t *testing.T) {
	for _, args := range [][]string{nil, {"-omit-stats"}} {
		srv := pterotest.NewServer(pterotest.Config{})
		for range 999 {
			srv.AddServer(pterotest.ServerConfig{})
		}
		dir := t.TempDir()
		port, monitor := freePort(t), freePort(t)
		ns := b.spawn(t, nil, "nats-server", "-js", "-a", "127.0.0.1", "-p", fmt.Sprint(port), "-m", fmt.Sprint(monitor), "-sd", dir, "-l", filepath.Join(b.dir, "nats.log"))
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && varz(monitor).In == 0; time.Sleep(100 * time.Millisecond) {
			if nc, err := http.Get(fmt.Sprint("http://127.0.0.1:", monitor, "/healthz")); err == nil {
				_ = nc.Body.Close()
				break
			}
		}
		rel := b.spawn(t, []string{"PTERO_ORIGIN=" + srv.Origin(), "PTERO_API_KEY=" + srv.APIKey()}, "pterorelay",
			append([]string{"-nats", fmt.Sprint("nats://127.0.0.1:", port), "-requests", "60000", "-log", "json"}, args...)...)
		nc := dial(t, fmt.Sprint("nats://127.0.0.1:", port))
		for connected := 0; connected < 1000; time.Sleep(time.Second) {
			all, _ := relay.Snapshot(t.Context(), nc)
			connected = 0
			for _, s := range all {
				if s.Connected {
					connected++
				}
			}
		}
		time.Sleep(5 * time.Second)
		cpu, nats, before, start := cpuTime(rel.Process.Pid), cpuTime(ns.Process.Pid), varz(monitor), time.Now()
		time.Sleep(20 * time.Second)
		seconds := time.Since(start).Seconds()
		after := varz(monitor)
		t.Logf("1,000 idle servers %v: the relay takes %.2f of a processor and %d MiB; NATS %.2f and %d MiB; %.0f messages a second into NATS, %.0f out",
			args, (cpuTime(rel.Process.Pid)-cpu)/seconds, memory(rel.Process.Pid), (cpuTime(ns.Process.Pid)-nats)/seconds, memory(ns.Process.Pid),
			float64(after.In-before.In)/seconds, float64(after.Out-before.Out)/seconds)
		_, _ = rel.Process.Signal(syscall.SIGTERM), rel.Wait()
		srv.Close()
	}
}

type natsCounts struct {
	In  int64 `json:"in_msgs"`
	Out int64 `json:"out_msgs"`
}

func varz(port int) (c natsCounts) {
	resp, err := http.Get(fmt.Sprint("http://127.0.0.1:", port, "/varz"))
	if err != nil {
		return c
	}
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&c) // without it, everything is zero
	return c
}

// cpuTime returns the seconds of processor time that a process has used; Linux only.
func cpuTime(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// memory returns a process' resident MiB; Linux only.
func memory(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	pages, _ := strconv.Atoi(strings.Fields(string(data))[1])
	return pages * os.Getpagesize() >> 20
}
