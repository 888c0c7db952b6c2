package pterosocket_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// The whole way over real sockets: panel, handshake, auth, events, a command, a power action, the end.
func TestConnectOverLoopback(t *testing.T) {
	srv := pterotest.NewServer(pterotest.Config{})
	defer srv.Close()
	c := connect(t, config(srv))
	if got := c.State(); got != pterosocket.StateRunning {
		t.Errorf("State = %q after Connect", got)
	}
	if start := next[pterosocket.Start](c); start.Reconnects != 0 || start.Socket == "" {
		t.Errorf("%+v", start)
	}
	if auth := next[pterosocket.AuthSuccess](c); len(auth.Permissions) != 4 || !c.Can("control.console") || c.Can("admin.other") {
		t.Errorf("%+v", auth)
	}
	if status := next[pterosocket.Status](c); status.State != pterosocket.StateRunning {
		t.Errorf("%+v", status)
	}
	must(t, c.WriteCommand(t.Context(), "say <hi>"))
	c.line("say <hi>")
	must(t, c.WritePower(t.Context(), pterosocket.PowerStop))
	nextWhere(c, func(ev pterosocket.Status) bool { return ev.State == pterosocket.StateOffline })
	if diff := cmp.Diff([]string{"say <hi>"}, srv.Commands()); diff != "" {
		t.Errorf("commands (-want +got)\n%s", diff)
	}
	must(t, c.Close())
	end := nextWhere(c, func(ev pterosocket.Close) bool { return ev.Final })
	if end.Code != 1000 || end.Err != nil || c.Err() != nil {
		t.Errorf("%+v, Err %v", end, c.Err())
	}
	if ev, ok := <-c.events; ok {
		t.Errorf("%#v after the final Close", ev)
	}
}

// A token lives ten minutes. Eight hours on one connection, with a line a minute, must not lose one.
func TestHoursOnOneConnection(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		minutes := 8 * 60
		if testing.Short() {
			minutes = 60
		}
		for i := range minutes {
			time.Sleep(time.Minute)
			srv.Print(fmt.Sprint("line ", i))
			if got := next[pterosocket.ConsoleOutput](c); got.Line != fmt.Sprint("line ", i) || got.Replayed {
				t.Fatalf("%+v, want line %d", got, i)
			}
		}
		m := c.Metrics()
		if m.Reconnects != 0 || int(m.Renewals) < minutes/10-1 || int(m.Renewals) > minutes/7 {
			t.Errorf("in %d minutes: %+v", minutes, m)
		}
		if got := srv.CredentialRequests(); got != int(m.CredentialRequests) || got != int(m.Renewals)+1 {
			t.Errorf("the panel was asked %d times, metrics %+v", got, m)
		}
	})
}
