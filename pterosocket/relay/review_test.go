package relay

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// stored returns the names of a server's events in the stream, in order, and the text of console lines.
func stored(t *testing.T, s *store, server string) (all []string) {
	t.Helper()
	consumer, err := s.js.OrderedConsumer(t.Context(), streamName, jetstream.OrderedConsumerConfig{FilterSubjects: []string{serverSubjects(server)}})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for range consumer.CachedInfo().NumPending {
		m, err := messages.Next()
		if err != nil {
			t.Fatal(err)
		}
		ev, err := pterosocket.UnmarshalFleetEvent(m.Data())
		if err != nil {
			t.Fatal(err)
		}
		if line, ok := ev.Event.(pterosocket.ConsoleOutput); ok {
			all = append(all, line.Line)
		} else {
			all = append(all, ev.Event.Name())
		}
	}
	return all
}

func wantStored(t *testing.T, s *store, server string, want ...string) {
	t.Helper()
	if got := stored(t, s, server); !slices.Equal(got, want) {
		t.Errorf("the stream has %q, not %q", got, want)
	}
}

// What the fleet tells of a connection whose claim failed does not get into the next one's outbox, however late it comes.
func TestFailedClaim(t *testing.T) {
	s, _ := openTestStore(t, testConfig())
	p, _ := testPublisher(t, s, "p")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	added := pterosocket.FleetEvent{Server: "aa", Time: time.Now(), Event: pterosocket.ServerAdded{Server: pterosocket.Server{ID: "aa"}}}
	if _, _, err := p.claim(ctx, added, func() bool { return false }); err == nil {
		t.Fatal("it was claimed")
	}
	claimed := make(chan struct{})
	go func() { p.claimTest(t, "aa"); close(claimed) }()
	p.addTest(t, console("aa", 100, 110)...)
	p.addTest(t, pterosocket.FleetEvent{Server: "aa", Time: time.Now(), Event: pterosocket.ServerRemoved{}})
	<-claimed
	p.addTest(t, console("aa", 0, 2)...)
	p.removeTest(t, "aa")
	wantStored(t, s, "aa", "server_added", "line 0", "line 1", "server_removed")
}

// An event that is longer than a message of NATS may be is counted, and the others pass.
func TestEventsThatAreTooLong(t *testing.T) {
	s, _ := openTestStore(t, testConfig())
	p, _ := testPublisher(t, s, "p")
	p.claimTest(t, "aa")
	long := pterosocket.InstallOutput{Line: strings.Repeat("<", 200_000)} // six bytes each in JSON
	p.addTest(t, pterosocket.FleetEvent{Server: "aa", Time: time.Now(), Event: long})
	p.addTest(t, console("aa", 0, 2)...)
	p.removeTest(t, "aa")
	wantStored(t, s, "aa", "server_added", "lagged", "line 0", "line 1", "server_removed")
}

// A relay whose lease is not sure does not write when all of the server's messages have gone from the stream: another
// relay's may have been among them.
func TestStaleRelayInAnEmptiedStream(t *testing.T) {
	s, _ := openTestStore(t, testConfig())
	paused, fenced := testPublisher(t, s, "paused")
	paused.isSure = func(string) bool { return false }
	next, _ := testPublisher(t, s, "next")
	paused.claimTest(t, "aa")
	next.claimTest(t, "aa")
	if err := s.stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	paused.addTest(t, console("aa", 100, 105)...)
	paused.empty()
	next.addTest(t, console("aa", 0, 2)...) // the one that is sure goes on
	next.removeTest(t, "aa")
	paused.removeTest(t, "aa")
	wantStored(t, s, "aa", "line 0", "line 1", "server_removed")
	if len(fenced) != 1 {
		t.Error("nothing was refused")
	}
}

// Events about the fleet are published by every relay, whoever owns the partition that their empty name belongs to.
func TestEventsOfTheFleet(t *testing.T) {
	s, _ := openTestStore(t, testConfig())
	p, _ := testPublisher(t, s, "p")
	p.isLeaving = func(string) bool { return true }
	for _, ev := range []pterosocket.Event{pterosocket.Lagged{Dropped: 3}, pterosocket.Error{Err: context.Canceled}} {
		p.addTest(t, pterosocket.FleetEvent{Time: time.Now(), Event: ev})
	}
	p.empty()
	wantStored(t, s, "", "lagged", "error")
}

// one starts a relay with one partition for srv until the test ends.
func one(t *testing.T, nc *nats.Conn, srv *pterotest.Server) *Relay {
	t.Helper()
	cfg := testConfig()
	cfg.Name, cfg.Lease, cfg.Partitions = "one", time.Second, 1
	cfg.Origin, cfg.APIKey, cfg.HTTPClient = srv.Origin(), srv.APIKey(), srv.Client()
	cfg.Backoff = pterosocket.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}
	started := make(chan *Relay, 1)
	cfg.Started = func(r *Relay) { started <- r }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, nc, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case r := <-started:
		Until(t, "a connection", r.isConnected)
		return r
	case err := <-ended:
		cancel()
		ended <- nil
		t.Fatal(err)
	}
	return nil
}

func (r *Relay) isConnected() bool {
	all := r.fleet.Snapshot()
	return len(all) == 1 && all[0].Connected && all[0].State == pterosocket.StateRunning
}

// emptyStore is for a relay that makes its own buckets.
func emptyStore(t *testing.T) (*store, *nats.Conn) {
	t.Helper()
	s, nc := openTestStore(t, testConfig())
	for _, bucket := range []string{leaseBucket, stateBucket, tokenBucket} {
		if err := s.js.DeleteKeyValue(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	return s, nc
}

// A partition that is lost and taken anew while a claim waits: whatever the order, the server's events are published.
func TestPartitionsThatFlap(t *testing.T) {
	s, nc := emptyStore(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	r := one(t, nc, srv)
	// A server's token can be asked for five times a minute; with the one that is kept, nobody has to ask.
	Until(t, "the token is kept", func() bool { return r.vault.get(t.Context(), srv.ServerID()).Token != "" })
	const rounds = 8
	for n := range rounds {
		r.lose([]int{0})
		if n%2 == 0 {
			r.gain([]int{0})
			r.lose([]int{0})
		}
		r.gain([]int{0})
		Until(t, "a connection", r.isConnected)
		srv.Print(fmt.Sprint("line ", n))
		Until(t, "the line", func() bool { return slices.Contains(stored(t, s, srv.ServerID()), fmt.Sprint("line ", n)) })
	}
	lines := slices.DeleteFunc(stored(t, s, srv.ServerID()), func(text string) bool { return !strings.HasPrefix(text, "line ") })
	if !slices.Equal(lines, linesOf(0, rounds)) {
		t.Errorf("%q", lines)
	}
}

// Somebody deletes the stream and the buckets, or NATS comes back with an empty folder: they are made again.
func TestStreamIsGone(t *testing.T) {
	s, nc := emptyStore(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	r := one(t, nc, srv)
	messages, err := Subscribe(t.Context(), nc, SubscribeOptions{From: FromAll(), Events: []string{"console_output"}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 { // so that sequences are greater than what the new stream begins with
		srv.Print(fmt.Sprint("old line ", n))
	}
	for m := range messages {
		if line, ok := m.Event.(pterosocket.ConsoleOutput); ok && line.Line == "old line 19" {
			break
		}
	}
	for _, bucket := range []string{leaseBucket, stateBucket, tokenBucket} {
		_ = s.js.DeleteKeyValue(t.Context(), bucket) // an error would show below
	}
	if err := s.js.DeleteStream(t.Context(), streamName); err != nil {
		t.Fatal(err)
	}
	srv.Print("new line")
	for m := range messages {
		if line, ok := m.Event.(pterosocket.ConsoleOutput); ok && line.Line == "new line" {
			break
		}
	}
	Until(t, "the leases are sure again", func() bool { return r.Status().Unsure == 0 && r.Status().Partitions == 1 })
}

// The snapshots of servers stay while the lease is not sure.
func TestStatesWhileUnsure(t *testing.T) {
	_, nc := emptyStore(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	r := one(t, nc, srv)
	written := make(map[string]state)
	for range 2 {
		r.writeStates(t.Context(), written)
		if all, err := Snapshot(t.Context(), nc); err != nil || len(all) != 1 {
			t.Errorf("%d snapshots: %v", len(all), err)
		}
		r.leases.mu.Lock()
		r.leases.held[0].until = time.Time{}
		r.leases.mu.Unlock()
	}
}

// Lines wait for a slow Until; and a caller that has gone without a word that arrives does not stand in the way.
func TestSlowAndVanishingCallers(t *testing.T) {
	_, nc := emptyStore(t)
	game := func(command string) []string {
		if command != "many" {
			return []string{"answer"}
		}
		return linesOf(0, 1500)
	}
	srv := pterotest.NewServer(pterotest.Config{Game: game})
	t.Cleanup(srv.Close)
	one(t, nc, srv)
	commands := NewCommands(nc, srv.ServerID())
	var seen []string
	lines, err := commands.Run(t.Context(), "many", pterosocket.RunOptions{Until: func(line string) bool {
		time.Sleep(100 * time.Microsecond)
		seen = append(seen, line)
		return line == "line 1499"
	}})
	if err != nil || !slices.Equal(lines, linesOf(0, 1500)) || !slices.Equal(lines, seen) {
		t.Errorf("%d lines: %v", len(lines), err)
	}
	// This caller says that it has gone before the relay listens.
	q := []byte(fmt.Sprintf(`{"op":"run","command":"x","accept_by":%q,"caller":"caller.1"}`, time.Now().Add(silence).Format(time.RFC3339Nano)))
	if err := nc.PublishMsg(&nats.Msg{Subject: commandSubject(0, srv.ServerID()), Reply: "nobody", Data: q}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("caller.1", []byte(callerGone)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*silence)
	defer cancel()
	if _, err := commands.Run(ctx, "x", pterosocket.RunOptions{MaxLines: 1}); err != nil {
		t.Error(err)
	}
}

// A drain that began before a partition was lost does not end the lease that was taken anew.
func TestOldDrain(t *testing.T) {
	cfg := testConfig()
	cfg.Lease, cfg.Partitions = time.Second, 1
	s, _ := openTestStore(t, cfg)
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	l := newLeases(s.leases, "m", cfg)
	release := make(chan struct{})
	l.gained, l.lost, l.pace = func([]int) {}, func([]int) {}, func() int { return 1 }
	l.drained = func(ctx context.Context, _ int) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	defer running.Wait()
	defer cancel()
	must := func(_ uint64, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	holding := func() *holding {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.held[0]
	}
	isGoing := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.held[0] != nil && l.held[0].isGoing
	}
	Until(t, "held", func() bool { return l.isSure(0) })
	must(s.leases.Put(ctx, "relay.a", []byte("a"))) // the only partition is another relay's share
	Until(t, "it is given up", isGoing)
	must(s.leases.Put(ctx, "partition.0", []byte("a")))
	Until(t, "it is lost", func() bool { return holding() == nil })
	must(0, s.leases.Delete(ctx, "relay.a"))
	must(0, s.leases.Delete(ctx, "partition.0"))
	Until(t, "it is held again", func() bool { return l.isSure(0) })
	again := holding()
	close(release)
	for range 20 { // the old drain is over; the lease is renewed
		l.mu.Lock()
		revision := again.revision
		l.mu.Unlock()
		if revision == 0 || holding() != again {
			t.Fatal("the lease was ended")
		}
		time.Sleep(50 * time.Millisecond)
	}
}
