package pterosocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// Servers come and go while the fleet runs: by hand, and by what a refresh shows.
func TestFleetChanges(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 240}, func(t *testing.T, srv *pterotest.Server) {
		b := srv.AddServer(pterotest.ServerConfig{Name: "B", Node: 2})
		c := srv.AddServer(pterotest.ServerConfig{Name: "C", Node: 3})
		w := watch(t, fleetConfig(srv))
		w.ready()

		// By hand.
		must(t, w.Remove(b.UUID()))
		wantError(t, w.Remove(b.ServerID()), nil)
		time.Sleep(10 * time.Minute) // two refreshes
		if got := w.names(b.ServerID()); got != "server_added start auth_success close server_removed" {
			t.Errorf("after Remove: %s", got)
		}
		_, err := w.Commands(b.ServerID())
		wantError(t, err, pterosocket.ErrServerNotFound)
		wantError(t, w.Restart(b.ServerID()), pterosocket.ErrServerNotFound)
		must(t, w.Add(t.Context(), b.ServerID()))
		must(t, w.Add(t.Context(), b.UUID())) // it is there
		w.ready()
		if got := w.names(b.ServerID()); !strings.HasSuffix(got, "server_removed server_added start auth_success") {
			t.Errorf("after Add: %s", got)
		}
		wantError(t, w.Add(t.Context(), "ffffffff"), pterosocket.ErrServerNotFound)
		wantError(t, w.Add(t.Context(), "no such/name"), pterosocket.ErrInvalidConfig)

		// By a refresh.
		c.SetName("Sea")
		d := srv.AddServer(pterotest.ServerConfig{Name: "D"})
		time.Sleep(6 * time.Minute)
		if n := count[pterosocket.ServerChanged](w, c.ServerID()); n != 1 || w.snapshot(c.ServerID()).Server.Name != "Sea" {
			t.Errorf("%d changes: %+v", n, w.snapshot(c.ServerID()))
		}
		if !w.snapshot(d.ServerID()).Connected {
			t.Error("a new server was not found")
		}

		// A server that is deleted ends alone.
		c.Delete(false)
		time.Sleep(20 * time.Minute)
		events := w.of(c.ServerID())
		last, ok := events[len(events)-1].(pterosocket.ServerRemoved)
		if !ok || !errors.Is(last.Err, pterosocket.ErrServerNotFound) || last.Server.Name != "Sea" {
			t.Errorf("a deleted server ends with %#v", events[len(events)-1])
		}
		if before, ok := events[len(events)-2].(pterosocket.Close); !ok || !before.Final {
			t.Errorf("before that: %#v", events[len(events)-2])
		}
		w.ready()
		if n := len(w.Snapshot()); n != 3 {
			t.Errorf("%d servers are left", n)
		}
	})
}

// A server that is suspended or being installed is not asked for until a refresh shows that it may be.
func TestFleetWaitsForWhatIsUnavailable(t *testing.T) {
	for _, d := range families {
		t.Run(d.String(), func(t *testing.T) {
			virtual(t, pterotest.Config{Dialect: d}, func(t *testing.T, srv *pterotest.Server) {
				installing := srv.AddServer(pterotest.ServerConfig{})
				installing.SetInstalling(true)
				suspended := srv.AddServer(pterotest.ServerConfig{})
				w := watch(t, fleetConfig(srv))
				w.ready() // but for the one
				time.Sleep(time.Hour)
				if n := w.snapshot(installing.ServerID()).Metrics.CredentialRequests; n != 0 {
					t.Errorf("a server that is being installed was asked for %d times", n)
				}
				asked := srv.CredentialRequests()
				suspended.Suspend()
				time.Sleep(time.Hour)
				if n := srv.CredentialRequests() - asked; n > 9+25 { // one of them stands
					t.Errorf("%d requests for credentials in an hour", n)
				}
				installing.SetInstalling(false)
				suspended.Unsuspend()
				time.Sleep(6 * time.Minute)
				w.ready()
				for _, s := range []*pterotest.Server{installing, suspended} {
					if !w.snapshot(s.ServerID()).Connected || count[pterosocket.ServerRemoved](w, s.ServerID()) != 0 {
						t.Errorf("%+v", w.snapshot(s.ServerID()))
					}
				}
			})
		})
	}
}

// One server floods and the consumer has stopped: only the one that floods loses lines, and says how many.
func TestFleetFlood(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		var quiet []*pterotest.Server
		for range 9 {
			quiet = append(quiet, srv.AddServer(pterotest.ServerConfig{Offline: true}))
		}
		cfg := fleetConfig(srv)
		cfg.QueueSize = 2000
		events, fleet, err := pterosocket.ConnectFleet(t.Context(), cfg)
		must(t, err)
		must(t, fleet.Ready(t.Context()))
		const flood, few = 20_000, 20
		for i := range flood {
			srv.Print(fmt.Sprint("flood ", i))
			if i%(flood/few) == 0 {
				for _, s := range quiet {
					s.Print(fmt.Sprint("quiet ", i/(flood/few)))
				}
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		var bytes int
		for _, s := range fleet.Snapshot() {
			bytes += s.QueuedBytes
		}
		if bytes == 0 || bytes > 64<<20 {
			t.Errorf("%d bytes are queued", bytes)
		}
		closed := make(chan error, 1)
		go func() { closed <- fleet.Shutdown(t.Context()) }()
		at, lagged := make(map[string]int), make(map[string]int)
		for ev := range events {
			switch e := ev.Event.(type) {
			case pterosocket.ConsoleOutput:
				word := "quiet"
				if ev.Server == srv.ServerID() {
					word = "flood"
				}
				if want := fmt.Sprint(word, " ", at[ev.Server]); e.Line != want {
					t.Fatalf("%s: %q in the place of %q", ev.Server, e.Line, want)
				}
				at[ev.Server]++
			case pterosocket.Lagged:
				at[ev.Server] += e.Dropped
				lagged[ev.Server] += e.Dropped
			}
		}
		must(t, <-closed)
		if at[srv.ServerID()] != flood || lagged[srv.ServerID()] < flood-3000 || len(lagged) != 1 {
			t.Errorf("of the flood %d are accounted for; lagged: %v", at[srv.ServerID()], lagged)
		}
		for _, s := range quiet {
			if at[s.ServerID()] != few {
				t.Errorf("%s: %d of %d lines", s.ServerID(), at[s.ServerID()], few)
			}
		}
		if m := fleet.Metrics(); int(m.Dropped) != lagged[srv.ServerID()] {
			t.Errorf("%d dropped, %d told", m.Dropped, lagged[srv.ServerID()])
		}
	})
}

// A key that is refused twice, 30 s apart, ends the fleet; once is not believed.
func TestFleetUnauthorized(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		for range 3 {
			srv.AddServer(pterotest.ServerConfig{})
		}
		w := watch(t, fleetConfig(srv))
		w.ready()
		srv.FailPanel(http.StatusUnauthorized, "Unauthenticated.")
		time.Sleep(time.Hour)
		select {
		case <-w.Done():
			t.Fatalf("one refusal ended the fleet: %v", w.Err())
		default:
		}
		if m := w.Metrics(); m.Reconnects != 0 {
			t.Errorf("%+v", m)
		}
		var asked []time.Time
		srv.InterceptPanel(func(w http.ResponseWriter, _ *http.Request) bool {
			asked = append(asked, time.Now())
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors":[{"code":"AuthenticationException","status":"401","detail":"Unauthenticated."}]}`)
			return true
		})
		<-w.Done()
		wantError(t, w.Err(), pterosocket.ErrUnauthorized)
		if len(asked) != 2 || asked[1].Sub(asked[0]) < 30*time.Second {
			t.Errorf("asked at %v", asked)
		}
		<-w.done
		for _, s := range w.Snapshot() {
			events := w.of(s.Server.ID)
			last, ok := events[len(events)-1].(pterosocket.Close)
			if !ok || !last.Final || !errors.Is(last.Err, pterosocket.ErrUnauthorized) {
				t.Errorf("%s ends with %#v", s.Server.ID, events[len(events)-1])
			}
		}
	})
}

// What is named is looked up: twice named is once there, and unknown names are told and hurt nobody.
func TestFleetOfNamedServers(t *testing.T) {
	for _, extra := range []int{0, 20} { // looked up one by one, and in a list
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			cfg := fleetConfig(srv)
			cfg.Servers = []string{srv.ServerID(), "deadbeef", srv.UUID()}
			for range extra {
				cfg.Servers = append(cfg.Servers, srv.AddServer(pterotest.ServerConfig{}).UUID())
			}
			srv.AddServer(pterotest.ServerConfig{})
			w := watch(t, cfg)
			w.ready()
			time.Sleep(20 * time.Minute)
			if n := len(w.Snapshot()); n != 1+extra {
				t.Errorf("%d servers", n)
			}
			gone := w.of("deadbeef")
			if len(gone) != 1 {
				t.Fatalf("%#v", gone)
			}
			removed, ok := gone[0].(pterosocket.ServerRemoved)
			if !ok || removed.Server.ID != "deadbeef" || !errors.Is(removed.Err, pterosocket.ErrServerNotFound) {
				t.Errorf("%#v", gone[0])
			}
		})
	}
}

// Each adjusts a server, leaves it out, or fails for it.
func TestFleetEach(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		out := srv.AddServer(pterotest.ServerConfig{})
		bad := srv.AddServer(pterotest.ServerConfig{})
		srv.Print("a", "b", "c")
		cfg := fleetConfig(srv)
		cfg.Each = func(_ context.Context, s pterosocket.Server, cfg *pterosocket.Config) error {
			switch s.ID {
			case out.ServerID():
				return pterosocket.ErrSkipServer
			case bad.ServerID():
				return errors.New("no disk")
			}
			cfg.After = []string{"a"}
			cfg.Credentials = pterosocket.PanelCredentials(*cfg)
			return nil
		}
		w := watch(t, cfg)
		w.ready()
		time.Sleep(time.Minute)
		if got := w.lines(srv.ServerID()); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("%q", got)
		}
		if got := w.names(out.ServerID()); got != "" {
			t.Errorf("a server that is left out has %s", got)
		}
		if got := w.names(bad.ServerID()); got != "server_added close server_removed" {
			t.Errorf("one that failed has %s", got)
		}
		if n := len(w.Snapshot()); n != 2 {
			t.Errorf("%d servers", n)
		}
	})
}

// What ConnectFleet and ListServers refuse, and what they wait for.
func TestFleetErrors(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		for name, test := range map[string]struct {
			prepare func(*pterosocket.FleetConfig)
			want    error
			says    string
		}{
			"server":      {func(c *pterosocket.FleetConfig) { c.Server = "x" }, pterosocket.ErrInvalidConfig, "FleetConfig.Servers"},
			"credentials": {func(c *pterosocket.FleetConfig) { c.Credentials = source(nil) }, pterosocket.ErrInvalidConfig, "FleetConfig.Each"},
			"after":       {func(c *pterosocket.FleetConfig) { c.After = []string{} }, pterosocket.ErrInvalidConfig, "Each"},
			"name":        {func(c *pterosocket.FleetConfig) { c.Servers = []string{"a/b"} }, pterosocket.ErrInvalidConfig, `"a/b"`},
			"negative":    {func(c *pterosocket.FleetConfig) { c.QueueSize = -1 }, pterosocket.ErrInvalidConfig, "negative"},
			"no key":      {func(c *pterosocket.FleetConfig) { c.APIKey = "" }, pterosocket.ErrInvalidConfig, "APIKey"},
			"wrong key":   {func(c *pterosocket.FleetConfig) { c.APIKey = "ptlc_wrong" }, pterosocket.ErrUnauthorized, "check the API key"},
			"no panel": {func(c *pterosocket.FleetConfig) {
				srv.InterceptPanel(func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true })
			}, nil, "check that Origin"},
			"down": {func(c *pterosocket.FleetConfig) {
				srv.InterceptPanel(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true })
			}, nil, "503"},
		} {
			cfg := fleetConfig(srv)
			test.prepare(&cfg)
			events, fleet, err := pterosocket.ConnectFleet(t.Context(), cfg)
			if events != nil || fleet != nil || err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v", name, err)
			}
			if strings.Contains(fmt.Sprint(err, cfg), srv.APIKey()) {
				t.Errorf("%s: the key shows", name)
			}
			srv.ResetPanel()
		}
		cfg := fleetConfig(srv)
		shown := fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg)
		data, err := json.Marshal(cfg)
		must(t, err)
		if shown += string(data); strings.Contains(shown, srv.APIKey()) || !strings.Contains(shown, srv.Origin()) {
			t.Error(shown)
		}
		// A panel that is back within ConnectTimeout is waited for.
		srv.FailPanel(502, "Bad gateway")
		srv.FailPanel(502, "Bad gateway")
		servers, err := pterosocket.ListServers(t.Context(), cfg.Config)
		if err != nil || len(servers) != 1 || servers[0].UUID != srv.UUID() {
			t.Errorf("%+v, %v", servers, err)
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		srv.InterceptPanel(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
		if _, err := pterosocket.ListServers(ctx, cfg.Config); !errors.Is(err, enough) {
			t.Error(err)
		}
		srv.ResetPanel()
	})
}

// The context's end ends everything at once, and says why.
func TestFleetEndsWithItsContext(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		for range 20 {
			srv.AddServer(pterotest.ServerConfig{})
		}
		ctx, cancel := contextWithCause(t)
		enough := errors.New("enough")
		cfg := fleetConfig(srv)
		events, fleet, err := pterosocket.ConnectFleet(ctx, cfg)
		must(t, err)
		time.Sleep(3 * time.Second) // some stand, others wait for their turn
		cancel(enough)
		final := make(map[string]int)
		for ev := range events {
			if e, ok := ev.Event.(pterosocket.Close); ok && e.Final {
				final[ev.Server]++
				wantError(t, e.Err, enough)
			}
		}
		<-fleet.Done()
		wantError(t, fleet.Err(), enough)
		wantError(t, fleet.Ready(t.Context()), enough)
		if len(final) != 21 {
			t.Errorf("%d servers had their last Close", len(final))
		}
		for server, n := range final {
			if n != 1 {
				t.Errorf("%s had %d", server, n)
			}
		}
	})
}

// A key without servers watches none, until there are some.
func TestFleetWithoutServers(t *testing.T) {
	for _, d := range families {
		virtual(t, pterotest.Config{Dialect: d}, func(t *testing.T, srv *pterotest.Server) {
			srv.Revoke()
			w := watch(t, fleetConfig(srv))
			w.ready()
			if n := len(w.Snapshot()); n != 0 {
				t.Errorf("%d servers", n)
			}
			srv.Restore()
			time.Sleep(6 * time.Minute)
			w.ready()
			if n := len(w.Snapshot()); n != 1 {
				t.Errorf("%d servers", n)
			}
		})
	}
}

// Whatever is called at the same time, and by whom, everything ends.
func TestFleetCallsAtTheSameTime(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 600}, func(t *testing.T, srv *pterotest.Server) {
		var ids []string
		for range 8 {
			ids = append(ids, srv.AddServer(pterotest.ServerConfig{}).ServerID())
		}
		events, fleet, err := pterosocket.ConnectFleet(t.Context(), fleetConfig(srv))
		must(t, err)
		var all sync.WaitGroup
		for i, id := range ids {
			for range 3 {
				all.Go(func() {
					for range 20 {
						_ = fleet.Remove(id)
						_ = fleet.Restart(id)
						_ = fleet.Add(t.Context(), id)
						_ = fleet.Snapshot()
						_ = fleet.Metrics()
						if commands, err := fleet.Commands(id); err == nil {
							_ = commands.WriteCommand(t.Context(), "say x")
							_ = commands.Close()
						}
						fleet.SetRequestsPerMinute(600 + i)
						time.Sleep(time.Duration(i) * 100 * time.Millisecond)
					}
				})
			}
		}
		all.Go(func() {
			time.Sleep(20 * time.Second)
			must(t, fleet.Close())
		})
		n := 0
		for range events {
			if n++; n == 200 {
				_ = fleet.Remove(ids[0]) // by the consumer itself
			}
			if n == 2000 {
				_ = fleet.Close()
			}
		}
		all.Wait()
		<-fleet.Done()
	})
}

// Select picks the servers, and Reselect looks again without asking the panel.
func TestFleetSelect(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 240}, func(t *testing.T, srv *pterotest.Server) {
		b := srv.AddServer(pterotest.ServerConfig{Name: "B"})
		c := srv.AddServer(pterotest.ServerConfig{Name: "C"})
		var mu sync.Mutex
		picked := map[string]bool{b.ServerID(): true}
		pick := func(on bool, servers ...*pterotest.Server) {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range servers {
				picked[s.ServerID()] = on
			}
		}
		cfg := fleetConfig(srv)
		cfg.Select = func(s pterosocket.Server) bool {
			mu.Lock()
			defer mu.Unlock()
			return picked[s.ID]
		}
		w := watch(t, cfg)
		w.ready()
		if n := len(w.Snapshot()); n != 1 || !w.snapshot(b.ServerID()).Connected {
			t.Errorf("%d servers, one was picked", n)
		}
		requests := w.Budget().Requests
		pick(true, c)
		w.Reselect()
		w.ready()
		if n := w.Budget().Requests - requests; n != 1 || !w.snapshot(c.ServerID()).Connected {
			t.Errorf("%d requests for a server that the list has", n)
		}
		pick(false, b)
		w.Reselect()
		synctest.Wait()
		if got := w.names(b.ServerID()); got != "server_added start auth_success close server_removed" {
			t.Errorf("no longer picked: %s", got)
		}
		// Picked again while it is leaving, it comes back at once.
		pick(false, c)
		w.Reselect()
		pick(true, b, c)
		w.Reselect()
		w.ready()
		if n := len(w.Snapshot()); n != 2 {
			t.Errorf("%d servers", n)
		}
		// A list asks again. A server that Add brought stays, and one that Remove took away stays away.
		must(t, w.Add(t.Context(), srv.ServerID()))
		must(t, w.Remove(b.ServerID()))
		pick(false, srv)
		time.Sleep(6 * time.Minute)
		w.Reselect()
		w.ready()
		if len(w.Snapshot()) != 2 || !w.snapshot(srv.ServerID()).Connected || !w.snapshot(c.ServerID()).Connected {
			t.Errorf("%+v", w.Snapshot())
		}
		if limit := w.Budget().Limit; limit != 240 {
			t.Errorf("the panel's limit is %d", limit)
		}
	})
}
