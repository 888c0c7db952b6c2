package relay_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

// take takes so many messages.
func take(t *testing.T, messages <-chan relay.Message, n int) (all []relay.Message) {
	t.Helper()
	timeout := time.After(60 * time.Second)
	for len(all) < n {
		select {
		case m, ok := <-messages:
			if !ok {
				t.Fatalf("the channel is closed after %d messages", len(all))
			}
			all = append(all, m)
		case <-timeout:
			t.Fatalf("%d messages came, not %d", len(all), n)
		}
	}
	return all
}

func texts(all []relay.Message) (lines []string) {
	for _, m := range all {
		if e, ok := m.Event.(pterosocket.ConsoleOutput); ok {
			lines = append(lines, e.Line)
		} else {
			lines = append(lines, m.Event.Name())
		}
	}
	return lines
}

// Where a subscription begins, what it gets, and what a durable one gets again.
func TestSubscribe(t *testing.T) {
	ns := startNATS(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	other := srv.AddServer(pterotest.ServerConfig{})
	nc := dial(t, ns.ClientURL())
	_, err := relay.Subscribe(t.Context(), nc, relay.SubscribeOptions{})
	wantError(t, err, relay.ErrNATS)
	for _, bad := range []relay.SubscribeOptions{{Servers: []string{"a.b"}}, {Events: []string{">"}}, {Servers: []string{""}}, {Durable: "a b"}} {
		_, err := relay.Subscribe(t.Context(), nc, bad)
		wantError(t, err, pterosocket.ErrInvalidConfig)
	}
	start(t, dial(t, ns.ClientURL()), config(srv, "a"))
	whole := follow(t, nc, relay.SubscribeOptions{From: relay.FromAll()})
	connected(t, whole, srv, 1)
	connected(t, whole, other, 1)

	console := relay.SubscribeOptions{Servers: []string{srv.ServerID()}, Events: []string{"console_output"}}
	ctx, cancel := context.WithCancel(t.Context())
	fresh, err := relay.Subscribe(ctx, nc, console)
	must(t, err)
	srv.Print(printed(0, 20)...)
	other.Print("not this")
	got := take(t, fresh, 20)
	if !slices.Equal(texts(got), printed(0, 20)) || got[0].Server != srv.ServerID() || got[0].Ack != nil || got[5].Seq >= got[6].Seq {
		t.Errorf("from now on: %q", texts(got))
	}
	for name, from := range map[string]relay.Start{"seq": relay.FromSeq(got[9].Seq + 1), "all": relay.FromAll(), "time": relay.FromTime(time.Now().Add(-time.Hour))} {
		opt := console
		opt.From = from
		again, err := relay.Subscribe(ctx, nc, opt)
		must(t, err)
		want := printed(0, 20)
		if name == "seq" {
			want = want[10:]
		}
		if lines := texts(take(t, again, len(want))); !slices.Equal(lines, want) {
			t.Errorf("from %s: %q", name, lines)
		}
	}
	both := relay.SubscribeOptions{Servers: []string{srv.ServerID(), other.ServerID()}, Events: []string{"console_output", "server_added"}, From: relay.FromAll()}
	all, err := relay.Subscribe(ctx, nc, both)
	must(t, err)
	if lines := texts(take(t, all, 23)); !slices.Contains(lines, "not this") || !slices.Contains(lines, "server_added") {
		t.Errorf("two servers: %q", lines)
	}

	// The context ends it.
	cancel()
	for range fresh {
	}

	// Durable: what was not acknowledged comes again, also in another process.
	durable := console
	durable.Durable, durable.From = "bot", relay.FromAll()
	ctx, cancel = context.WithCancel(t.Context())
	messages, err := relay.Subscribe(ctx, nc, durable)
	must(t, err)
	first := take(t, messages, 10)
	for _, m := range first {
		must(t, m.Ack())
	}
	cancel()
	for range messages {
	}
	js, err := jetstream.New(nc)
	must(t, err)
	consumer, err := js.Consumer(t.Context(), "PTERO", "bot")
	must(t, err)
	shorter := consumer.CachedInfo().Config
	shorter.AckWait = 200 * time.Millisecond // so that the test need not wait for half a minute
	_, err = js.UpdateConsumer(t.Context(), "PTERO", shorter)
	must(t, err)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	messages, err = relay.Subscribe(ctx, nc, durable)
	must(t, err)
	missing := make(map[string]bool)
	for _, line := range printed(10, 20) {
		missing[line] = true
	}
	for len(missing) > 0 {
		m := take(t, messages, 1)[0]
		line := texts([]relay.Message{m})[0]
		if slices.Contains(printed(0, 10), line) {
			t.Errorf("%q was acknowledged and came again", line)
		}
		must(t, m.Ack())
		delete(missing, line)
	}
}

// A subscriber that is so slow that the stream drops what it has not had is told.
func TestSlowSubscriberIsTold(t *testing.T) {
	ns := startNATS(t)
	srv := pterotest.NewServer(pterotest.Config{})
	t.Cleanup(srv.Close)
	cfg := config(srv, "a")
	cfg.Stream.MaxBytes, cfg.Stream.OmitStats = 64<<10, true
	start(t, dial(t, ns.ClientURL()), cfg)
	nc := dial(t, ns.ClientURL())
	quick := follow(t, nc, relay.SubscribeOptions{From: relay.FromAll()})
	connected(t, quick, srv, 1)
	slow, err := relay.Subscribe(t.Context(), nc, relay.SubscribeOptions{Servers: []string{srv.ServerID()}})
	must(t, err)
	const lines = 6000
	for n := 0; n < lines; n += 100 {
		srv.Print(printed(n, n+100)...)
		quick.line(t, srv.ServerID(), fmt.Sprint("line ", n+99))
	}
	next, lost, told := 0, 0, 0
	for next < lines {
		m := take(t, slow, 1)[0]
		switch e := m.Event.(type) {
		case pterosocket.Lagged:
			told += e.Dropped
		case pterosocket.ConsoleOutput:
			var n int
			_, err := fmt.Sscanf(e.Line, "line %d", &n)
			must(t, err)
			lost += n - next
			next = n + 1
		}
	}
	if lost == 0 || told < lost {
		t.Errorf("%d lines were lost, and %d told", lost, told)
	}
}
