package pterosocket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// connected returns how many servers stand.
func (w *watcher) connected() (n int) {
	for _, s := range w.Snapshot() {
		if s.Connected {
			n++
		}
	}
	return n
}

// One server that may not ask for a token does not keep the others of its node away, nor does a panel that wants to be
// left alone.
func TestFleetProbeWaitsForNoPanel(t *testing.T) {
	for name, happen := range map[string]func(srv *pterotest.Server, all []*pterotest.Server){
		"suspended": func(_ *pterotest.Server, all []*pterotest.Server) { all[0].Suspend() },
		"429":       func(srv *pterotest.Server, _ []*pterotest.Server) { srv.RateLimitPanel(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
				all := []*pterotest.Server{srv}
				for range 10 {
					all = append(all, srv.AddServer(pterotest.ServerConfig{}))
				}
				w := watch(t, fleetConfig(srv))
				w.ready()
				srv.SetNodeDown(0, true)
				happen(srv, all)
				wait := 5 * time.Minute
				if name == "suspended" {
					wait = 2 * time.Hour
				}
				time.Sleep(wait)
				srv.SetNodeDown(0, false)
				time.Sleep(time.Minute)
				if n := w.connected(); n < 10 {
					t.Errorf("%d of 11 are connected", n)
				}
			})
		})
	}
}

// What Add wants stays, whatever lists say; and a server that has just been removed can be added again at once.
func TestFleetAddStays(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		b := srv.AddServer(pterotest.ServerConfig{})
		cfg := fleetConfig(srv)
		cfg.Servers = []string{srv.ServerID()}
		w := watch(t, cfg)
		must(t, w.Add(t.Context(), b.ServerID()))
		w.ready()
		old, err := w.Commands(b.ServerID())
		must(t, err)
		must(t, w.Remove(b.ServerID()))
		must(t, w.Add(t.Context(), b.ServerID()))
		time.Sleep(20 * time.Minute)
		if got := w.names(b.ServerID()); got != "server_added start auth_success close server_removed server_added start auth_success auth_success auth_success" {
			t.Errorf("%s", got)
		}
		before := w.Metrics()
		must(t, old.Close()) // is no longer the server's
		must(t, old.Close())
		b.SetName("renamed")
		time.Sleep(6 * time.Minute)
		if n := count[pterosocket.ServerChanged](w, b.ServerID()); n != 1 || w.connected() != 2 {
			t.Errorf("%d changes, %d connected", n, w.connected())
		}
		if after := w.Metrics(); after.CredentialRequests > before.CredentialRequests+4 {
			t.Errorf("%+v, then %+v", before, after)
		}
	})
}

// What is no list removes nobody, and is told.
func TestFleetKeepsItsServersWhenTheListIsGarbage(t *testing.T) {
	for _, answer := range []string{`{"object":"list"}`, `{"object":"list","data":[null,null],"meta":{"pagination":{"total":2}}}`, `{}`, `[]`, "<html>", `{"object":"list","data":[],"meta":{"pagination":{"total":7}}}`} {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			srv.AddServer(pterotest.ServerConfig{})
			w := watch(t, fleetConfig(srv))
			w.ready()
			srv.InterceptPanel(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/websocket") {
					return false
				}
				fmt.Fprint(w, answer)
				return true
			})
			time.Sleep(12 * time.Minute)
			if n := count[pterosocket.ServerRemoved](w, "*"); n != 0 || w.connected() != 2 {
				t.Errorf("%s: %d removed, %d connected", answer, n, w.connected())
			}
			if n := count[pterosocket.Error](w, ""); n == 0 && !strings.Contains(answer, "7") {
				t.Errorf("%s: nothing was told", answer)
			}
		})
	}
}

// A source of one server's own that is refused ends that server alone.
func TestFleetOneIsUnauthorized(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		bad := srv.AddServer(pterotest.ServerConfig{})
		cfg := fleetConfig(srv)
		cfg.Each = func(_ context.Context, s pterosocket.Server, cfg *pterosocket.Config) error {
			if s.ID == bad.ServerID() {
				cfg.Credentials = source(func(context.Context) (pterosocket.Credentials, error) {
					return pterosocket.Credentials{}, pterosocket.ErrUnauthorized
				})
			}
			return nil
		}
		w := watch(t, cfg)
		time.Sleep(time.Hour)
		if n := w.connected(); n != 1 || w.Err() != nil {
			t.Errorf("%d connected, %v", n, w.Err())
		}
	})
}

// A budget that becomes too small lets go of the servers that it does not keep alive, and the others do not suffer.
func TestFleetBudgetBecomesSmaller(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 240, Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		for range 44 {
			srv.AddServer(pterotest.ServerConfig{Offline: true})
		}
		w := watch(t, fleetConfig(srv))
		w.ready()
		w.SetRequestsPerMinute(2) // for 15
		time.Sleep(30 * time.Minute)
		if n := w.connected(); n != 15 {
			t.Errorf("%d are connected", n)
		}
		lost := count[pterosocket.Close](w, "*")
		time.Sleep(2 * time.Hour)
		if n := count[pterosocket.Close](w, "*") - lost; n != 0 || w.connected() != 15 {
			t.Errorf("%d connections were lost, %d stand", n, w.connected())
		}
		ready := make(chan error, 1)
		go func() { ready <- w.Ready(t.Context()) }()
		time.Sleep(time.Second)
		wantError(t, <-ready, pterosocket.ErrRateLimited)
	})
}

// Panel and daemon both down cost twelve requests an hour, not one for each try.
func TestFleetWithBothDown(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		for range 29 {
			srv.AddServer(pterotest.ServerConfig{Offline: true})
		}
		w := watch(t, fleetConfig(srv))
		w.ready()
		srv.SetNodeDown(0, true)
		var requests atomic.Int64
		srv.InterceptPanel(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/websocket") {
				requests.Add(1)
			}
			w.WriteHeader(503)
			return true
		})
		time.Sleep(3 * time.Hour)
		if n := requests.Load(); n > 3*12+30 { // and some that were due when it happened
			t.Errorf("%d requests in three hours", n)
		}
		srv.ResetPanel()
		srv.SetNodeDown(0, false)
		w.ready()
	})
}

// Servers that cannot be connected take no room from those that can.
func TestFleetUnavailableTakeNoRoom(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 8, Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		srv.Suspend()
		for i := range 59 {
			if s := srv.AddServer(pterotest.ServerConfig{Offline: true}); i < 44 {
				s.Suspend()
			}
		}
		w := watch(t, fleetConfig(srv))
		w.ready()
		if n := w.connected(); n != 15 {
			t.Errorf("%d of 15 are connected", n)
		}
	})
}

// A name that is unknown for a while is told, and the server is there again when it is known again.
func TestFleetNameThatVanishes(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		b := srv.AddServer(pterotest.ServerConfig{})
		cfg := fleetConfig(srv)
		cfg.Servers = []string{srv.ServerID(), b.UUID()}
		w := watch(t, cfg)
		w.ready()
		b.Revoke()
		time.Sleep(20 * time.Minute)
		if got := w.names(b.ServerID()); !strings.HasSuffix(got, "close server_removed") {
			t.Errorf("revoked: %s", got)
		}
		b.Restore()
		time.Sleep(10 * time.Minute)
		w.ready()
		if w.connected() != 2 {
			t.Errorf("restored: %s", w.names(b.ServerID()))
		}
	})
}

// At the fleet's end there is no ServerRemoved, and before it ServerAdded comes first, and nothing behind ServerRemoved.
func TestFleetOrder(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		var all []*pterotest.Server
		for range 50 {
			all = append(all, srv.AddServer(pterotest.ServerConfig{Offline: true}))
		}
		cfg := fleetConfig(srv)
		cfg.Each = func(ctx context.Context, s pterosocket.Server, _ *pterosocket.Config) error {
			select {
			case <-time.After(7 * time.Minute):
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		ctx, cancel := contextWithCause(t)
		events, fleet, err := pterosocket.ConnectFleet(ctx, cfg)
		must(t, err)
		go func() {
			for i, s := range all {
				s.SetName(fmt.Sprint("renamed ", i))
				if i < 10 {
					s.Delete(false)
				}
			}
			time.Sleep(25 * time.Minute)
			for i, s := range all {
				s.SetName(fmt.Sprint("renamed again ", i))
			}
			time.Sleep(25 * time.Minute)
			cancel(errors.New("enough"))
		}()
		state := make(map[string]string)
		for ev := range events {
			name := ev.Event.Name()
			last := state[ev.Server]
			switch {
			case ev.Server == "":
			case name == "server_added" && last != "" && last != "server_removed", name != "server_added" && (last == "" || last == "server_removed"):
				t.Errorf("%s: %s behind %q", ev.Server, name, last)
			case name == "server_removed" && ctx.Err() != nil:
				t.Errorf("%s: %s at the end", ev.Server, name)
			}
			state[ev.Server] = name
		}
		<-fleet.Done()
	})
}

// Removing and adding one server again and again does not make the panel refuse anything.
func TestFleetRemembersWhatItAsked(t *testing.T) {
	virtual(t, pterotest.Config{PanelLimit: 240}, func(t *testing.T, srv *pterotest.Server) {
		other := srv.AddServer(pterotest.ServerConfig{})
		w := watch(t, fleetConfig(srv))
		w.ready()
		for range 15 {
			must(t, w.Remove(other.ServerID()))
			time.Sleep(2 * time.Second)
			must(t, w.Add(t.Context(), other.ServerID()))
			time.Sleep(2 * time.Second)
		}
		w.ready()
		if n := srv.RefusedRequests(); n != 0 {
			t.Errorf("%d requests were refused", n)
		}
	})
}
