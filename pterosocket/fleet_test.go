package pterosocket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// fleetConfig returns what watches all servers of srv's panel.
func fleetConfig(srv *pterotest.Server) pterosocket.FleetConfig {
	cfg := config(srv)
	cfg.Server = ""
	cfg.Dialer = dialerUnderTest(cfg)
	return pterosocket.FleetConfig{Config: cfg}
}

// A watcher takes all events of a fleet and keeps them.
type watcher struct {
	*pterosocket.Fleet
	t    *testing.T
	done chan struct{}

	mu     sync.Mutex
	events []pterosocket.FleetEvent
}

// watch connects a fleet and takes its events. It is closed at the end of the test.
func watch(t *testing.T, cfg pterosocket.FleetConfig) *watcher {
	t.Helper()
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	events, fleet, err := pterosocket.ConnectFleet(t.Context(), cfg)
	if err != nil {
		t.Fatalf("ConnectFleet: %v", err)
	}
	w := &watcher{Fleet: fleet, t: t, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for ev := range events {
			w.mu.Lock()
			w.events = append(w.events, ev)
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = w.Close(); <-w.done })
	return w
}

// of returns the events of a server so far.
func (w *watcher) of(server string) (events []pterosocket.Event) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range w.events {
		if ev.Server == server {
			events = append(events, ev.Event)
		}
	}
	return events
}

// count returns how many events of type T a server has had; "*": all servers.
func count[T pterosocket.Event](w *watcher, server string) (n int) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range w.events {
		if _, ok := ev.Event.(T); ok && (server == "*" || ev.Server == server) {
			n++
		}
	}
	return n
}

// lines returns the console lines of a server so far, with GAP and LAGGED in their places.
func (w *watcher) lines(server string) (lines []string) {
	for _, ev := range w.of(server) {
		switch ev := ev.(type) {
		case pterosocket.ConsoleOutput:
			lines = append(lines, ev.Line)
		case pterosocket.Gap:
			lines = append(lines, "GAP")
		case pterosocket.Lagged:
			lines = append(lines, fmt.Sprint("LAGGED ", ev.Dropped))
		}
	}
	return lines
}

// names returns the names of a server's events, but for stats and status.
func (w *watcher) names(server string) string {
	var names []string
	for _, ev := range w.of(server) {
		if name := ev.Name(); name != "stats" && name != "status" {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// ready waits until all are connected. By then the daemons have subscribed them.
func (w *watcher) ready() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	must(w.t, w.Ready(ctx))
}

// snapshot returns that of one server.
func (w *watcher) snapshot(server string) pterosocket.ServerSnapshot {
	w.t.Helper()
	for _, s := range w.Snapshot() {
		if s.Server.ID == server {
			return s
		}
	}
	w.t.Fatalf("no snapshot of %s", server)
	panic("unreachable")
}

// manyServers is a thousand when make fleet asks for it.
func manyServers(n int) int {
	if os.Getenv("PTERO_FLEET") == "long" {
		return 1000
	}
	return n
}

var families = []pterotest.Dialect{pterotest.Pterodactyl, pterotest.Pelican, pterotest.Calagopus}

// All servers of a key come through one channel, and each can be commanded.
func TestFleet(t *testing.T) {
	for _, d := range families {
		t.Run(d.String(), func(t *testing.T) {
			virtual(t, pterotest.Config{Dialect: d, PanelLimit: 240}, func(t *testing.T, srv *pterotest.Server) {
				servers := []*pterotest.Server{srv}
				for i := range 4 {
					servers = append(servers, srv.AddServer(pterotest.ServerConfig{Node: i % 3, Name: fmt.Sprint("Game ", i)}))
				}
				srv.AddServer(pterotest.ServerConfig{Other: true})
				w := watch(t, fleetConfig(srv))
				w.ready()
				if n := count[pterosocket.ServerAdded](w, "*"); n != 5 {
					t.Errorf("%d servers were added, not 5", n)
				}
				for i, s := range servers {
					s.Print("hello ", fmt.Sprint("from ", i))
					commands, err := w.Commands(s.UUID())
					must(t, err)
					must(t, commands.WriteCommand(t.Context(), fmt.Sprint("say ", i)))
				}
				time.Sleep(time.Second)
				for i, s := range servers {
					id := s.ServerID()
					if got := w.lines(id); !slices.Equal(got, []string{"hello ", fmt.Sprint("from ", i), fmt.Sprint("say ", i)}) {
						t.Errorf("%s: %q", id, got)
					}
					if got := w.names(id); !strings.HasPrefix(got, "server_added start auth_success") {
						t.Errorf("%s: %s", id, got)
					}
					snap := w.snapshot(id)
					if !snap.Connected || snap.State != pterosocket.StateRunning || snap.Stats.MemoryBytes == 0 || snap.Err != nil ||
						snap.Server.UUID != s.UUID() || snap.Server.Limits.MemoryMiB != 1024 || time.Until(snap.TokenExpires) < 5*time.Minute {
						t.Errorf("%s: %+v", id, snap)
					}
				}
				if m := w.Metrics(); m.CommandsSent != 5 || m.CredentialRequests != 5 {
					t.Errorf("%+v", m)
				}
				must(t, w.Close())
				<-w.done
				for _, s := range servers {
					events := w.of(s.ServerID())
					last, ok := events[len(events)-1].(pterosocket.Close)
					if !ok || !last.Final || last.Err != nil {
						t.Errorf("%s ends with %#v", s.ServerID(), events[len(events)-1])
					}
				}
				wantError(t, w.Add(t.Context(), srv.ServerID()), pterosocket.ErrClosed)
				if err := w.Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A thousand servers are connected as fast as the panel allows, and never faster.
func TestFleetKeepsToThePanelsLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	for _, d := range families {
		t.Run(d.String(), func(t *testing.T) {
			limit, perMinute := 240, 180
			if d == pterotest.Calagopus {
				limit, perMinute = 360, 540
			}
			virtual(t, pterotest.Config{Dialect: d, PanelLimit: limit, Offline: true}, func(t *testing.T, srv *pterotest.Server) {
				n := manyServers(150) // more than a page
				for i := range n - 1 {
					srv.AddServer(pterotest.ServerConfig{Node: i % 20, Offline: true})
				}
				start := time.Now()
				w := watch(t, fleetConfig(srv))
				if took := time.Since(start); took > time.Second || count[pterosocket.ServerAdded](w, "*") != n {
					t.Errorf("%d servers were added after %v", count[pterosocket.ServerAdded](w, "*"), took)
				}
				for count[pterosocket.AuthSuccess](w, "*") == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("the first server was connected after %v", took)
				}
				w.ready()
				if took, most := time.Since(start), time.Duration(n)*time.Minute/time.Duration(perMinute)+10*time.Second; took > most {
					t.Errorf("the last server was connected after %v, not within %v", took, most)
				}
				time.Sleep(15 * time.Minute) // renewals
				if refused := srv.RefusedRequests(); refused != 0 {
					t.Errorf("%d requests were refused", refused)
				}
				if m := w.Metrics(); m.Reconnects != 0 || m.FailedAttempts != 0 || m.Renewals < uint64(n) {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

// More servers than the budget keeps alive are told, and do not cost the others anything.
func TestFleetSurplus(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 8, Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		for range 59 {
			srv.AddServer(pterotest.ServerConfig{Offline: true})
		}
		w := watch(t, fleetConfig(srv))
		err := w.Ready(t.Context())
		wantError(t, err, pterosocket.ErrRateLimited)
		if !strings.Contains(err.Error(), "15 servers are not connected") {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		connected := 0
		for _, s := range w.Snapshot() {
			if s.Connected {
				connected++
			}
		}
		if connected != 45 || srv.RefusedRequests() != 0 {
			t.Errorf("%d are connected, %d requests were refused", connected, srv.RefusedRequests())
		}
		if m := w.Metrics(); m.Reconnects != 0 {
			t.Errorf("%+v", m)
		}
		var told []string
		for _, ev := range w.of("") {
			if ev, ok := ev.(pterosocket.Error); ok && errors.Is(ev.Err, pterosocket.ErrRateLimited) {
				told = append(told, ev.Err.Error())
			}
		}
		if len(told) != 1 {
			t.Errorf("told %d times: %q", len(told), told)
		}
		w.SetRequestsPerMinute(7) // for 52 servers
		time.Sleep(time.Hour)
		if err := w.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "8 servers are not connected") {
			t.Error(err)
		}
	})
}

// A daemon that is back has all of its clients back soon, without a request to the panel where tokens are still good.
func TestFleetComesBack(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 240}, func(t *testing.T, srv *pterotest.Server) {
		servers := []*pterotest.Server{srv}
		for range manyServers(150) - 1 {
			servers = append(servers, srv.AddServer(pterotest.ServerConfig{}))
		}
		elsewhere := srv.AddServer(pterotest.ServerConfig{Node: 5})
		w := watch(t, fleetConfig(srv))
		w.ready()
		for _, s := range servers {
			s.Print("before")
		}
		time.Sleep(time.Second)
		asked := srv.CredentialRequests()
		srv.SetNodeDown(0, true)
		for _, s := range servers {
			s.Print("missed")
		}
		time.Sleep(20 * time.Second)
		back := time.Now()
		srv.SetNodeDown(0, false)
		w.ready()
		if took := time.Since(back); took > 30*time.Second {
			t.Errorf("%d servers were back after %v", len(servers), took)
		}
		time.Sleep(5 * time.Second)
		if n := srv.CredentialRequests() - asked; n > len(servers)/10 { // renewals go on, of those that were due
			t.Errorf("%d requests for credentials", n)
		}
		for _, s := range servers {
			if got := w.lines(s.ServerID()); !slices.Equal(got, []string{"before", "missed"}) {
				t.Fatalf("%s: %q", s.ServerID(), got)
			}
		}
		if n := count[pterosocket.Close](w, elsewhere.ServerID()); n != 0 {
			t.Errorf("the server on another node was lost")
		}
	})
}

// While a daemon is down, it is tried every two seconds by one of its servers, and the panel is asked every five
// minutes.
func TestFleetOutage(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 240, Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		for range 99 {
			srv.AddServer(pterotest.ServerConfig{Offline: true})
		}
		w := watch(t, fleetConfig(srv))
		w.ready()
		asked, failed := srv.CredentialRequests(), w.Metrics().FailedAttempts
		srv.SetNodeDown(0, true)
		time.Sleep(time.Hour)
		if n := srv.CredentialRequests() - asked; n > 15 {
			t.Errorf("%d requests for credentials in an hour", n)
		}
		if n := w.Metrics().FailedAttempts - failed; n < 1500 || n > 2000 {
			t.Errorf("%d attempts in an hour", n)
		}
		back := time.Now()
		srv.SetNodeDown(0, false)
		w.ready()
		if took := time.Since(back); took > time.Minute { // all tokens have ended: 100 requests at 180 a minute
			t.Errorf("100 servers were back after %v", took)
		}
		if n := srv.RefusedRequests(); n != 0 {
			t.Errorf("%d requests were refused", n)
		}
	})
}
