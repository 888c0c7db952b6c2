package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startNATS starts a NATS server with JetStream on loopback, which ends with the test.
func startNATS(t *testing.T) *server.Server {
	t.Helper()
	return relay.StartNATS(t, t.TempDir(), -1)
}

func stopNATS(ns *server.Server) {
	ns.Shutdown()
	ns.WaitForShutdown()
}

func dial(t *testing.T, url string) *nats.Conn {
	t.Helper()
	return relay.DialNATS(t, url)
}

// config is for a relay that connects to srv.
func config(srv *pterotest.Server, name string) relay.Config {
	cfg := relay.Config{Name: name, Lease: time.Second, Partitions: 16}
	cfg.FleetConfig = pterosocket.FleetConfig{Config: pterosocket.Config{
		Origin: srv.Origin(), APIKey: srv.APIKey(), HTTPClient: srv.Client(),
		Backoff: pterosocket.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond},
	}}
	if os.Getenv("PTERO_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return cfg
}

// A running relay.
type running struct {
	*relay.Relay
	stop func() // and wait
}

// start runs a relay until the test ends, or stop is called.
func start(t *testing.T, nc *nats.Conn, cfg relay.Config) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{}
	started := make(chan struct{})
	cfg.Started = func(rel *relay.Relay) { r.Relay = rel; close(started) }
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx, nc, cfg) }()
	select {
	case <-started:
	case err := <-done:
		cancel()
		t.Fatal(err)
	}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// A log is what a subscriber has got.
type log struct {
	mu      sync.Mutex
	all     []relay.Message
	changed chan struct{}
}

// follow subscribes until the test ends.
func follow(t *testing.T, nc *nats.Conn, opt relay.SubscribeOptions) *log {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	messages, err := subscribe(ctx, nc, opt)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	l := &log{changed: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() {
		for m := range messages {
			l.mu.Lock()
			l.all = append(l.all, m)
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
			if m.Ack != nil {
				_ = m.Ack()
			}
		}
	})
	t.Cleanup(func() { cancel(); reading.Wait() })
	return l
}

// subscribe waits until there is a stream.
func subscribe(ctx context.Context, nc *nats.Conn, opt relay.SubscribeOptions) (<-chan relay.Message, error) {
	for {
		messages, err := relay.Subscribe(ctx, nc, opt)
		if err == nil || ctx.Err() != nil {
			return messages, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// until waits until check is true for what has come.
func (l *log) until(t *testing.T, what string, check func([]relay.Message) bool) {
	t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		l.mu.Lock()
		isTrue, changed := check(l.all), l.changed
		l.mu.Unlock()
		if isTrue {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("it never came: %s; there are\n%s", what, l)
		}
	}
}

// line waits for a console line.
func (l *log) line(t *testing.T, server, line string) {
	t.Helper()
	l.until(t, line, func(all []relay.Message) bool {
		for _, m := range all {
			if out, ok := m.Event.(pterosocket.ConsoleOutput); ok && m.Server == server && out.Line == line {
				return true
			}
		}
		return false
	})
}

// messages returns a copy of all that has come.
func (l *log) messages() []relay.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// lines returns the console lines of a server.
func (l *log) lines(server string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.all {
		if out, ok := m.Event.(pterosocket.ConsoleOutput); ok && m.Server == server {
			lines = append(lines, out.Line)
		}
	}
	return lines
}

// count returns how many events of a name there are.
func (l *log) count(server, event string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.all {
		if m.Server == server && m.Event.Name() == event {
			n++
		}
	}
	return n
}

func (l *log) String() (text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.all {
		if m.Event.Name() != "stats" {
			text += fmt.Sprintf("%d %s %T%+v\n", m.Seq, m.Server, m.Event, m.Event)
		}
	}
	return text
}

// printed are numbered lines.
func printed(from, to int) (lines []string) {
	for n := from; n < to; n++ {
		lines = append(lines, fmt.Sprint("line ", n))
	}
	return lines
}

// owns waits until a relay has so many partitions at least.
func (r *running) owns(t *testing.T, partitions int) {
	t.Helper()
	until(t, fmt.Sprint("a relay has ", partitions, " partitions"), func() bool { return r.Status().Partitions >= partitions })
}

func until(t *testing.T, what string, check func() bool) {
	t.Helper()
	relay.Until(t, what, check)
}

// connected waits until a server's connection has been authenticated so many times.
func connected(t *testing.T, l *log, s *pterotest.Server, times int) {
	t.Helper()
	l.until(t, "a connection", func([]relay.Message) bool { return true })
	until(t, "a connection", func() bool { return l.count(s.ServerID(), "status") >= times })
}
