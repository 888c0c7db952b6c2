package relay_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

// chaosLease is the lease of the relays here.
const chaosLease = 5 * time.Second

// Real processes: three relays and a NATS server; and a fake panel with 60 servers on three daemons, whose lines are
// numbered and repeated. For some minutes one fault comes after the other. Then every line is in the stream once and in
// order, or behind a Gap or a Lagged. make relay-chaos runs it; PTERO_RELAY_CHAOS says for how long.
func TestRelayChaos(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("PTERO_RELAY_CHAOS"))
	if err != nil {
		t.Skip("PTERO_RELAY_CHAOS is not set; make relay-chaos does that")
	}
	seed, err := strconv.ParseUint(os.Getenv("PTERO_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64() % 1e6
	}
	t.Logf("SEED=%d", seed)
	c := newChaos(t, rand.New(rand.NewPCG(seed, 13)))
	c.run(length)
	c.judge()
}

// A chaos is what happens, and what comes of it.
type chaos struct {
	t       *testing.T
	r       *rand.Rand
	dir     string
	srv     *pterotest.Server
	servers []*pterotest.Server
	nats    *process
	natsURL string
	relays  []*member
	nc      *nats.Conn
	logs    []*log
	stop    chan struct{}
	group   sync.WaitGroup

	mu       sync.Mutex
	expected map[string][]string
	dropped  []time.Time // when daemons dropped connections
	sent     map[string]outcome
	faults   map[string]*tally
}

// A member is one relay's place: its process comes and goes.
type member struct {
	name  string
	proxy *proxy
	*process
}

// An outcome is what came of a command.
type outcome struct {
	server string
	at     time.Time
	err    error
}

// A tally is how long it took until all servers' events came again.
type tally struct {
	n     int
	worst time.Duration
}

// A process is a real one.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func (c *chaos) spawn(name string, env []string, path string, args ...string) *process {
	c.t.Helper()
	p := &process{cmd: exec.Command(path, args...), exited: make(chan struct{})}
	output, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(c.t, err)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = output, output, append(os.Environ(), env...)
	must(c.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // how it ended is seen by what it did
		_ = output.Close()
		close(p.exited)
	}()
	return p
}

func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) } // it may have ended

// end ends a process and waits.
func (p *process) end(sig syscall.Signal) {
	p.signal(sig)
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		p.signal(syscall.SIGKILL)
		<-p.exited
	}
}

func newChaos(t *testing.T, r *rand.Rand) *chaos {
	c := &chaos{
		t: t, r: r, dir: t.TempDir(), stop: make(chan struct{}), expected: make(map[string][]string),
		sent: make(map[string]outcome), faults: make(map[string]*tally),
	}
	if keep := os.Getenv("PTERO_KEEP"); keep != "" {
		c.dir = keep
	}
	for name, pkg := range map[string]string{"pterorelay": "./cmd/pterorelay", "nats-server": "github.com/nats-io/nats-server/v2"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(c.dir, name), pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	c.srv = pterotest.NewServer(pterotest.Config{PanelLimit: 240, StartLines: []string{"the game has started"}, StartDelay: 300 * time.Millisecond})
	t.Cleanup(c.srv.Close)
	c.servers = []*pterotest.Server{c.srv}
	for i := range 59 {
		c.servers = append(c.servers, c.srv.AddServer(pterotest.ServerConfig{Node: i % 3}))
	}
	port := freePort(t)
	c.natsURL = fmt.Sprint("nats://127.0.0.1:", port)
	c.startNATS()
	t.Cleanup(func() { c.nats.end(syscall.SIGTERM) })
	c.nc = dial(t, c.natsURL)
	for i := range 3 {
		m := &member{name: fmt.Sprint("relay", i+1), proxy: newProxy(t, fmt.Sprint("127.0.0.1:", port))}
		c.relays = append(c.relays, m)
		c.startRelay(m)
		t.Cleanup(func() { m.signal(syscall.SIGCONT); m.end(syscall.SIGTERM) })
	}
	return c
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *chaos) startNATS() {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(c.natsURL, "nats://"))
	must(c.t, err)
	c.nats = c.spawn("nats", nil, filepath.Join(c.dir, "nats-server"), "-js", "-a", host, "-p", port, "-sd", filepath.Join(c.dir, "jetstream"))
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", net.JoinHostPort(host, port)); err == nil {
			_ = conn.Close()
			return
		}
	}
	c.t.Fatal("the NATS server does not come up")
}

func (c *chaos) startRelay(m *member) {
	env := []string{"PTERO_ORIGIN=" + c.srv.Origin(), "PTERO_API_KEY=" + c.srv.APIKey()}
	m.process = c.spawn(m.name, env, filepath.Join(c.dir, "pterorelay"), "-nats", m.proxy.url(), "-name", m.name, "-lease", chaosLease.String(), "-v")
}

// A fault is something that happens.
type fault struct {
	name string
	do   func()
}

// run lets faults happen.
func (c *chaos) run(length time.Duration) {
	time.Sleep(2 * time.Second) // the relays make the stream
	all := relay.SubscribeOptions{From: relay.FromAll()}
	c.logs = append(c.logs, follow(c.t, c.nc, all), follow(c.t, dial(c.t, c.natsURL), all))
	durable := all
	durable.Durable = "chaos"
	c.logs = append(c.logs, follow(c.t, dial(c.t, c.natsURL), durable))
	c.logs = append(c.logs, follow(c.t, dial(c.t, c.natsURL), relay.SubscribeOptions{From: relay.FromAll(), Events: []string{"console_output"}}))
	c.settle("start", time.Now(), 2*time.Minute)
	c.group.Go(c.print)
	for range 4 {
		c.group.Go(c.command)
	}
	faults := []fault{
		{"kill -9", func() { m := c.any(); m.end(syscall.SIGKILL); c.again(m) }},
		{"SIGTERM", func() { m := c.any(); m.end(syscall.SIGTERM); c.again(m) }},
		{"paused past the lease", func() { c.pause(c.any(), chaosLease+3*time.Second) }},
		{"paused for a moment", func() { c.pause(c.any(), chaosLease/3) }},
		{"cut off from NATS", func() { c.cut(c.any(), chaosLease+3*time.Second) }},
		{"NATS silent for one", func() { c.mute(c.any(), chaosLease+3*time.Second) }},
		{"cut off for a moment", func() { c.cut(c.any(), time.Second) }},
		{"NATS restarted", func() { c.nats.end(syscall.SIGTERM); time.Sleep(c.wait(time.Second)); c.startNATS() }},
		{"NATS killed", func() { c.nats.end(syscall.SIGKILL); time.Sleep(c.wait(2 * chaosLease)); c.startNATS() }},
		{"daemon restarted", func() { c.noteDrop(); c.srv.RestartNode(c.r.IntN(3)); c.noteDrop() }},
		{"game restarted", func() { s := c.servers[c.r.IntN(len(c.servers))]; _ = s.Power("restart") }},
		{"two killed", func() {
			a, b := c.relays[0], c.relays[1+c.r.IntN(2)]
			a.signal(syscall.SIGKILL)
			b.end(syscall.SIGKILL)
			a.end(syscall.SIGKILL)
			c.again(a)
			c.again(b)
		}},
	}
	if only := os.Getenv("PTERO_FAULT"); only != "" {
		faults = slices.DeleteFunc(faults, func(f fault) bool { return !strings.Contains(f.name, only) })
	}
	end := time.Now().Add(length)
	for n := 0; time.Now().Before(end); n++ {
		f := faults[n%len(faults)]
		if n >= len(faults) {
			f = faults[c.r.IntN(len(faults))]
		}
		began := time.Now()
		f.do()
		c.settle(f.name, began, time.Minute)
		time.Sleep(c.wait(time.Second))
	}
	close(c.stop)
	c.group.Wait()
}

func (c *chaos) any() *member                       { return c.relays[c.r.IntN(len(c.relays))] }
func (c *chaos) wait(d time.Duration) time.Duration { return d/2 + time.Duration(c.r.Int64N(int64(d))) }
func (c *chaos) noteDrop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped = append(c.dropped, time.Now())
}
func (c *chaos) again(m *member) { time.Sleep(c.wait(chaosLease)); c.startRelay(m) }
func (c *chaos) pause(m *member, d time.Duration) {
	m.signal(syscall.SIGSTOP)
	time.Sleep(d)
	m.signal(syscall.SIGCONT)
}
func (c *chaos) mute(m *member, d time.Duration) { m.proxy.freeze(); time.Sleep(d); m.proxy.thaw() }
func (c *chaos) cut(m *member, d time.Duration) {
	m.proxy.refuse(true)
	time.Sleep(d)
	m.proxy.refuse(false)
}

// settle waits until an event of every server has come that was received after the fault began, and notes how long that
// took. A game that has restarted has stats again, too.
func (c *chaos) settle(fault string, began time.Time, most time.Duration) {
	c.t.Helper()
	end := time.Now().Add(most)
	l := c.logs[0]
	from := 0
	first := make(map[string]time.Time)
	for len(first) < len(c.servers) {
		if time.Now().After(end) {
			var missing []string
			for _, s := range c.servers {
				if first[s.ServerID()].IsZero() {
					missing = append(missing, s.ServerID())
				}
			}
			c.t.Errorf("%s: nothing comes from %d servers: %v", fault, len(missing), missing)
			return
		}
		l.mu.Lock()
		fresh, changed := l.all[from:], l.changed
		from = len(l.all)
		l.mu.Unlock()
		for _, m := range fresh {
			if m.Server != "" && m.Event.Name() == "stats" && m.Time.After(began) && first[m.Server].IsZero() {
				first[m.Server] = m.Time
			}
		}
		if len(first) < len(c.servers) {
			select {
			case <-changed:
			case <-time.After(time.Second):
			}
		}
	}
	worst := time.Duration(0)
	for _, at := range first {
		worst = max(worst, at.Sub(began))
	}
	t := c.faults[fault]
	if t == nil {
		t = new(tally)
		c.faults[fault] = t
	}
	t.n++
	t.worst = max(t.worst, worst)
	c.t.Logf("%-22s all servers were back after %.1f s", fault, worst.Seconds())
}

// print lets the games print: numbered lines, and between them lines that repeat.
func (c *chaos) print() {
	r := rand.New(rand.NewPCG(c.r.Uint64(), 1))
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		s := c.servers[r.IntN(len(c.servers))]
		if s.State() != "running" {
			continue
		}
		lines := []string{fmt.Sprint("line ", n)}
		switch r.IntN(4) {
		case 0:
			lines = append(lines, "Saved the game", "Saved the game")
		case 1:
			lines = append(lines, "Alex joined the game", "Alex left the game")
		}
		c.mu.Lock()
		c.expected[s.ServerID()] = append(c.expected[s.ServerID()], lines...)
		c.mu.Unlock()
		s.Print(lines...)
	}
}

var commandNumber atomic.Int64

// command sends commands through the relays.
func (c *chaos) command() {
	nc := dial(c.t, c.natsURL)
	commands := make(map[string]*relay.Commands)
	for _, s := range c.servers {
		commands[s.ServerID()] = relay.NewCommands(nc, s.ServerID())
	}
	r := rand.New(rand.NewPCG(uint64(commandNumber.Add(1)), 2))
	for {
		select {
		case <-c.stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		s := c.servers[r.IntN(len(c.servers))]
		text := fmt.Sprint("command ", commandNumber.Add(1))
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(6000))*time.Millisecond)
		err := commands[s.ServerID()].WriteCommand(ctx, text)
		cancel()
		c.mu.Lock()
		c.sent[text] = outcome{s.ServerID(), time.Now(), err}
		c.mu.Unlock()
	}
}

// judge counts everything.
func (c *chaos) judge() {
	t := c.t
	for _, s := range c.servers {
		s.Print("the end")
	}
	c.logs = append(c.logs, follow(t, c.nc, relay.SubscribeOptions{From: relay.FromAll()})) // what the stream itself has
	for _, l := range c.logs {
		for _, s := range c.servers {
			l.line(t, s.ServerID(), "the end")
		}
	}
	want := countLines(c.logs[len(c.logs)-1].messages())
	for i, l := range c.logs { // a durable subscription gets what was lost on the way after half a minute
		until(t, fmt.Sprint("all lines of consumer ", i), func() bool { return countLines(l.messages()) >= want })
	}
	time.Sleep(time.Second) // for commands on their way to a game
	lines, lost, doubled, silent, gaps := 0, 0, 0, 0, 0
	slices.Reverse(c.logs)
	for i, l := range c.logs {
		for _, s := range c.servers {
			j := c.judgeServer(l, s)
			if i == 0 {
				lines, lost, gaps = lines+j.lines, lost+j.lost, gaps+j.gaps
			}
			doubled, silent = doubled+j.doubled, silent+j.silent
		}
		t.Logf("consumer %d: %d doubled, %d silently lost so far", i, doubled, silent)
	}
	executed := make(map[string]int)
	for _, s := range c.servers {
		for _, text := range s.Commands() {
			executed[text]++
		}
	}
	acked, refused, uncertain, twice, vanished, wrong, withDaemon := 0, 0, 0, 0, 0, 0, 0
	for text, o := range c.sent {
		n := executed[text]
		if n > 1 {
			twice++
		}
		switch {
		case o.err == nil:
			acked++
			if n == 0 && c.nearDrop(o.at) {
				withDaemon++
			} else if n == 0 {
				vanished++
				t.Errorf("%s for %s was acknowledged at %v and not executed", text, o.server, o.at)
			}
		case errors.Is(o.err, pterosocket.ErrNotSent):
			if refused++; n > 0 {
				wrong++
				t.Errorf("%s was executed, although: %v", text, o.err)
			}
		case errors.Is(o.err, pterosocket.ErrUncertain):
			uncertain++
		default:
			t.Errorf("%s: %v", text, o.err)
		}
	}
	names := make([]string, 0, len(c.faults))
	for name := range c.faults {
		names = append(names, name)
	}
	slices.Sort(names)
	t.Logf("| fault | times | all servers back, worst |")
	for _, name := range names {
		f := c.faults[name]
		t.Logf("| %s | %d | %.1f s |", name, f.n, f.worst.Seconds())
		if name == "kill -9" && f.worst > chaosLease+5*time.Second {
			t.Errorf("a killed relay's servers were back after %v", f.worst)
		}
	}
	t.Logf("lines: %d, silently lost %d, doubled %d; %d gaps with %d lines behind them", lines, silent, doubled, gaps, lost)
	t.Logf("commands: %d acknowledged, %d refused, %d uncertain; executed twice %d, acknowledged and not executed %d (%d more went down with a daemon), "+
		"refused and executed %d", acked, refused, uncertain, twice, vanished, withDaemon, wrong)
	t.Logf("requests to the panel: %d tokens; beyond its limit: %d", c.srv.CredentialRequests(), c.srv.RefusedRequests())
	if twice > 0 || c.srv.RefusedRequests() > 0 {
		t.Error("a command was executed twice, or the panel's limit exceeded")
	}
}

// nearDrop reports whether a daemon dropped its connections within a second of at. What was written to one may be lost
// with it.
func (c *chaos) nearDrop(at time.Time) bool {
	return slices.ContainsFunc(c.dropped, func(d time.Time) bool { return at.Sub(d).Abs() < time.Second })
}

// countLines counts the console lines, each once.
func countLines(messages []relay.Message) int {
	seen := make(map[uint64]bool)
	for _, m := range messages {
		if _, ok := m.Event.(pterosocket.ConsoleOutput); ok {
			seen[m.Seq] = true
		}
	}
	return len(seen)
}

// isPrinted reports whether print has printed a line.
func isPrinted(line string) bool {
	for _, prefix := range []string{"line ", "Saved the game", "Alex ", "the end"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

type judgement struct{ lines, lost, doubled, silent, gaps int }

// judgeServer compares what was printed with what came.
func (c *chaos) judgeServer(l *log, s *pterotest.Server) (j judgement) {
	want := append(slices.Clone(c.expected[s.ServerID()]), "the end")
	j.lines = len(want)
	l.mu.Lock()
	defer l.mu.Unlock()
	isGap, seen := false, make(map[uint64]bool)
	all := l.all
	if len(all) > 0 && all[0].Ack != nil { // a durable subscription gets some messages again, and then late
		all = slices.Clone(all)
		slices.SortStableFunc(all, func(a, b relay.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	for _, m := range all {
		if m.Server != s.ServerID() || seen[m.Seq] { // a durable subscription may get a message again
			continue
		}
		seen[m.Seq] = true
		switch e := m.Event.(type) {
		case pterosocket.Gap, pterosocket.Lagged:
			isGap = true
			j.gaps++
		case pterosocket.ConsoleOutput:
			if !isPrinted(e.Line) { // commands, and what a restart prints
				continue
			}
			at := slices.Index(want, e.Line)
			switch {
			case at == 0:
			case at > 0 && isGap:
				j.lost += at
			case at > 0:
				j.silent += at
				c.t.Errorf("%s: %q at %v instead of %q: %d lines are missing", s.ServerID(), e.Line, m.Time, want[0], at)
			default:
				j.doubled++
				c.t.Errorf("%s: %q at %v came again", s.ServerID(), e.Line, m.Time)
				continue
			}
			want, isGap = want[at+1:], false
		}
	}
	if len(want) > 0 {
		j.silent += len(want)
		c.t.Errorf("%s: %d lines at the end never came, from %q", s.ServerID(), len(want), want[0])
	}
	return j
}
