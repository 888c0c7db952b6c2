package relay_test

import (
	"slices"
	"testing"

	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
	"github.com/pterosocket/pterosocket-go/pterosocket/relay"
)

// Three relays share six servers. Each line is in the stream once and in order, whoever comes or goes.
func TestRelaysShareTheServers(t *testing.T) {
	ns := startNATS(t)
	srv := pterotest.NewServer(pterotest.Config{StartLines: []string{"started"}})
	t.Cleanup(srv.Close)
	servers := []*pterotest.Server{srv}
	for range 5 {
		servers = append(servers, srv.AddServer(pterotest.ServerConfig{}))
	}
	nc := dial(t, ns.ClientURL())
	a := start(t, dial(t, ns.ClientURL()), config(srv, "a"))
	log := follow(t, nc, relay.SubscribeOptions{From: relay.FromAll()})
	n := 0
	print := func(lines int) {
		for _, s := range servers {
			s.Print(printed(n, n+lines)...)
		}
		n += lines
	}
	all := func() {
		t.Helper()
		for _, s := range servers {
			log.line(t, s.ServerID(), printed(n-1, n)[0])
		}
	}
	for _, s := range servers {
		connected(t, log, s, 1)
	}
	print(10)
	all()
	b := start(t, dial(t, ns.ClientURL()), config(srv, "b"))
	print(10)
	b.owns(t, 8)
	print(10)
	all()
	c := start(t, dial(t, ns.ClientURL()), config(srv, "c"))
	c.owns(t, 5)
	print(10)
	a.stop()
	print(10)
	b.stop()
	print(10)
	c.owns(t, 16)
	all()
	for _, s := range servers {
		if got := log.lines(s.ServerID()); !slices.Equal(got, printed(0, n)) {
			t.Errorf("%s: %d lines of %d: %q", s.ServerID(), len(got), n, got)
		}
		if gaps, removed := log.count(s.ServerID(), "gap"), log.count(s.ServerID(), "server_removed"); gaps+removed != 0 {
			t.Errorf("%d gaps, %d times removed", gaps, removed)
		}
	}
}

// A relay that NATS does not hear is replaced when its lease ends. It goes on reading, and when it is heard again, all
// that it has meanwhile sent, and all that it has kept, is refused. Each line is in the stream once.
func TestCutOffRelay(t *testing.T) {
	ns := startNATS(t)
	srv := pterotest.NewServer(pterotest.Config{StartLines: []string{"started"}})
	t.Cleanup(srv.Close)
	servers := []*pterotest.Server{srv, srv.AddServer(pterotest.ServerConfig{}), srv.AddServer(pterotest.ServerConfig{})}
	n := 0
	print := func(lines int) {
		for _, s := range servers {
			s.Print(printed(n, n+lines)...)
		}
		n += lines
	}
	p := newProxy(t, ns.Addr().String())
	a := start(t, dial(t, p.url()), config(srv, "a"))
	a.owns(t, 16)
	log := follow(t, dial(t, ns.ClientURL()), relay.SubscribeOptions{From: relay.FromAll()})
	for _, s := range servers {
		connected(t, log, s, 1)
	}
	print(10)
	for _, s := range servers {
		log.line(t, s.ServerID(), "line 9")
	}
	p.freeze()
	print(10) // a reads them; what it sends waits in the network
	b := start(t, dial(t, ns.ClientURL()), config(srv, "b"))
	b.owns(t, 16)
	for _, s := range servers {
		log.line(t, s.ServerID(), "line 19")
	}
	if got := a.Status(); got.Partitions != 16 || got.Unsure != 16 || got.Held == 0 {
		t.Errorf("cut off: %+v", got)
	}
	p.thaw()
	print(10)
	until(t, "the relay hears that it was replaced", func() bool { got := a.Status(); return got.Relays == 2 && got.Partitions <= 8 })
	until(t, "something is refused", func() bool { return a.Status().Fenced > 0 })
	print(10)
	a.stop()
	b.owns(t, 16)
	print(10)
	for _, s := range servers {
		log.line(t, s.ServerID(), printed(n-1, n)[0])
		if got := log.lines(s.ServerID()); !slices.Equal(got, printed(0, n)) {
			t.Errorf("%s: %d lines of %d: %q", s.ServerID(), len(got), n, got)
		}
		if gaps, removed := log.count(s.ServerID(), "gap"), log.count(s.ServerID(), "server_removed"); gaps+removed != 0 {
			t.Errorf("%d gaps, %d times removed", gaps, removed)
		}
	}
}
