package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

// What cannot work is said at once, with what to do about it.
func TestWhatIsWrongIsSaid(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	run := func(t *testing.T, ns *server.Server, cfg relay.Config, want error, text string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err := relay.Run(ctx, dial(t, ns.ClientURL()), cfg)
		if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), text) || ctx.Err() != nil {
			t.Errorf("it ends with %v; not %v, %q", err, want, text)
		}
	}
	t.Run("no JetStream", func(t *testing.T) {
		ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
		must(t, err)
		ns.Start()
		t.Cleanup(func() { stopNATS(ns) })
		run(t, ns, config(srv, "a"), relay.ErrNATS, "start nats-server with -js")
	})
	t.Run("another shape", func(t *testing.T) {
		ns := startNATS(t)
		js, err := jetstream.New(dial(t, ns.ClientURL()))
		must(t, err)
		_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "PTERO", Subjects: []string{"ptero.>"}})
		must(t, err)
		run(t, ns, config(srv, "a"), relay.ErrNATS, `its subjects are ["ptero.>"]`)
	})
	t.Run("no room", func(t *testing.T) {
		ns, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 1 << 20, NoLog: true, NoSigs: true,
		})
		must(t, err)
		ns.Start()
		t.Cleanup(func() { stopNATS(ns) })
		run(t, ns, config(srv, "a"), relay.ErrNATS, "make Stream.MaxBytes smaller")
	})
	t.Run("invalid", func(t *testing.T) {
		ns := startNATS(t)
		for name, change := range map[string]func(*relay.Config){
			"Partitions": func(c *relay.Config) { c.Partitions = -1 },
			"Lease":      func(c *relay.Config) { c.Lease = time.Millisecond },
			"Select":     func(c *relay.Config) { c.Select = func(pterosocket.Server) bool { return true } },
			"Stream":     func(c *relay.Config) { c.Stream.MaxAge = -1 },
			"Origin":     func(c *relay.Config) { c.Origin = "" },
		} {
			cfg := config(srv, "a")
			change(&cfg)
			run(t, ns, cfg, pterosocket.ErrInvalidConfig, name)
		}
		cfg := config(srv, "a")
		cfg.APIKey = "ptlc_wrong"
		run(t, ns, cfg, pterosocket.ErrUnauthorized, "")
	})
	t.Run("relays that do not agree", func(t *testing.T) {
		ns := startNATS(t)
		start(t, dial(t, ns.ClientURL()), config(srv, "a"))
		other := config(srv, "b")
		other.Partitions = 32
		run(t, ns, other, relay.ErrNATS, "Partitions 16, and this one has 32")
		other = config(srv, "b")
		other.Lease = 2 * time.Second
		run(t, ns, other, relay.ErrNATS, "delete the bucket ptero-lease")
		panel := pterotest.NewServer(pterotest.Config{})
		t.Cleanup(panel.Close)
		run(t, ns, config(panel, "b"), relay.ErrNATS, "Origin")
		// A limit that is named changes the stream.
		same := config(srv, "b")
		same.Stream.MaxAge = time.Hour
		start(t, dial(t, ns.ClientURL()), same)
		js, err := jetstream.New(dial(t, ns.ClientURL()))
		must(t, err)
		stream, err := js.Stream(t.Context(), "PTERO")
		must(t, err)
		if got := stream.CachedInfo().Config; got.MaxAge != time.Hour || got.MaxBytes != 1<<30 {
			t.Errorf("%+v", got)
		}
	})
}

// The panel refuses the key later: the relay ends, gives its leases up, and says why.
func TestKeyIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("a panel's no is believed when it comes again half a minute later")
	}
	ns := startNATS(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	cfg := config(srv, "a")
	cfg.Refresh = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx, dial(t, ns.ClientURL()), cfg) }()
	commands := relay.NewCommands(dial(t, ns.ClientURL()), srv.ServerID())
	until(t, "a relay", func() bool { return commands.State() == pterosocket.StateRunning })
	srv.InterceptPanel(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"errors":[{"code":"AuthenticationException","status":"401","detail":"Unauthenticated."}]}`))
		return true
	})
	began := time.Now()
	wantError(t, <-done, pterosocket.ErrUnauthorized)
	if d := time.Since(began); d > 45*time.Second { // nothing is waited for that does not come
		t.Errorf("the end took %v", d)
	}
	wantError(t, commands.WriteCommand(ctx, "hello"), pterosocket.ErrNotConnected)
}

// While NATS is away, the relay stays connected and keeps what it reads. When NATS is back, everything is in the stream.
func TestNATSIsAway(t *testing.T) {
	dir := t.TempDir()
	ns := relay.StartNATS(t, dir, -1)
	port := ns.Addr().String()
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	r := start(t, dial(t, ns.ClientURL()), config(srv, "a"))
	nc := dial(t, ns.ClientURL())
	log := follow(t, nc, relay.SubscribeOptions{From: relay.FromAll()})
	connected(t, log, srv, 1)
	srv.Print(printed(0, 10)...)
	log.line(t, srv.ServerID(), "line 9")
	stopNATS(ns)
	wantError(t, relay.NewCommands(nc, srv.ServerID()).WriteCommand(t.Context(), "hello"), pterosocket.ErrNotConnected)
	for n := 10; n < 5000; n += 10 {
		srv.Print(printed(n, n+10)...)
	}
	until(t, "the leases are unsure", func() bool { return r.Status().Unsure == 16 && !r.Status().Connected })
	if n := srv.Connections(); n != 1 || r.Status().Held == 0 {
		t.Errorf("%d connections, %+v", n, r.Status())
	}
	relay.StartNATS(t, dir, portOf(t, port))
	srv.Print("the end")
	log.line(t, srv.ServerID(), "the end")
	lines := log.lines(srv.ServerID())
	if len(lines) != 5001 || lines[4999] != "line 4999" {
		t.Errorf("%d lines", len(lines))
	}
	if log.count(srv.ServerID(), "start") != 1 || log.count(srv.ServerID(), "gap") != 0 {
		t.Error("the connection was given up")
	}
}

// What does not fit while NATS is away is dropped in the fleet's queue, and counted in the stream.
func TestWhatDoesNotFitIsCounted(t *testing.T) {
	dir := t.TempDir()
	ns := relay.StartNATS(t, dir, -1)
	port := ns.Addr().String()
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	cfg := config(srv, "a")
	cfg.Config.QueueSize = 500
	r := start(t, dial(t, ns.ClientURL()), cfg)
	log := follow(t, dial(t, ns.ClientURL()), relay.SubscribeOptions{From: relay.FromAll()})
	connected(t, log, srv, 1)
	stopNATS(ns)
	const lines = 20_000
	for n := 0; n < lines; n += 100 {
		srv.Print(printed(n, n+100)...)
	}
	until(t, "something is dropped", func() bool { return r.Fleet().Metrics().Dropped > 0 && r.Fleet().Metrics().ConsoleLines >= lines })
	relay.StartNATS(t, dir, portOf(t, port))
	srv.Print("the end")
	log.line(t, srv.ServerID(), "the end")
	got, next, lost, lagged, isSilent := 0, 0, 0, 0, false
	pending := false
	for _, m := range log.messages() {
		switch e := m.Event.(type) {
		case pterosocket.Lagged:
			lagged += e.Dropped
			pending = true
		case pterosocket.ConsoleOutput:
			var n int
			if _, err := fmt.Sscanf(e.Line, "line %d", &n); err != nil {
				n = lines
			}
			if n < next || n > next && !pending {
				isSilent = true
			}
			got, lost, next, pending = got+1, lost+n-next, n+1, false
		}
	}
	if lost == 0 || isSilent || lagged < lost {
		t.Errorf("%d lines came, %d are missing, %d are counted; in silence: %t", got, lost, lagged, isSilent)
	}
}

func portOf(t *testing.T, address string) (port int) {
	t.Helper()
	_, err := fmt.Sscanf(address[strings.LastIndexByte(address, ':')+1:], "%d", &port)
	must(t, err)
	return port
}

// A relay that takes over asks the panel for no token. NATS does not see the tokens, and another key cannot read them.
func TestTokensGoAlong(t *testing.T) {
	ns := startNATS(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	a := start(t, dial(t, ns.ClientURL()), config(srv, "a"))
	nc := dial(t, ns.ClientURL())
	log := follow(t, nc, relay.SubscribeOptions{From: relay.FromAll()})
	connected(t, log, srv, 1)
	commands, err := a.Fleet().Commands(srv.ServerID())
	must(t, err)
	token, ok := commands.Token()
	js, err := jetstream.New(nc)
	must(t, err)
	bucket, err := js.KeyValue(t.Context(), "ptero-token")
	must(t, err)
	var entry jetstream.KeyValueEntry
	until(t, "the token is kept", func() bool { entry, err = bucket.Get(t.Context(), srv.ServerID()); return err == nil })
	if !ok || strings.Contains(string(entry.Value()), token.Token) || strings.Contains(string(entry.Value()), token.Socket) || json.Valid(entry.Value()) {
		t.Errorf("NATS has %q", entry.Value())
	}
	asked := srv.CredentialRequests()
	b := start(t, dial(t, ns.ClientURL()), config(srv, "b"))
	a.stop()
	b.owns(t, 16)
	connected(t, log, srv, 2)
	if n := srv.CredentialRequests() - asked; n != 0 {
		t.Errorf("%d requests for a token", n)
	}
	// Rubbish in the bucket costs one request.
	_, err = bucket.Put(t.Context(), srv.ServerID(), []byte("rubbish that is longer than a nonce"))
	must(t, err)
	start(t, dial(t, ns.ClientURL()), config(srv, "c"))
	b.stop()
	connected(t, log, srv, 3)
	if n := srv.CredentialRequests() - asked; n != 1 {
		t.Errorf("%d requests for a token", n)
	}
}
