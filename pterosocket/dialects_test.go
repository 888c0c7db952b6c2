package pterosocket_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// One suite of behaviours on every family of daemons, with compression offered and not.
func TestEveryFamily(t *testing.T) {
	behaviours := map[string]func(t *testing.T, srv *pterotest.Server, c *client){
		"events": func(t *testing.T, srv *pterotest.Server, c *client) {
			srv.Print("a line")
			c.line("a line")
			srv.Emit("daemon message", "hello")
			if ev := next[pterosocket.DaemonMessage](c); ev.Message != "hello" {
				t.Errorf("%+v", ev)
			}
			if ev := next[pterosocket.Stats](c); ev.State != pterosocket.StateRunning || ev.MemoryBytes == 0 {
				t.Errorf("%+v", ev)
			}
		},
		"commands": func(t *testing.T, srv *pterotest.Server, c *client) {
			var want []string
			for i := range 30 {
				want = append(want, fmt.Sprint("command ", i))
				must(t, c.WriteCommand(t.Context(), want[i]))
			}
			c.line(want[29])
			if diff := cmp.Diff(want, srv.Commands()); diff != "" {
				t.Error(diff)
			}
			if d := srv.Dropped(); d.Global != 0 || len(d.ByEvent) != 0 {
				t.Errorf("dropped %+v", d)
			}
		},
		"power": func(t *testing.T, _ *pterotest.Server, c *client) {
			for _, action := range []pterosocket.PowerAction{pterosocket.PowerRestart, pterosocket.PowerStop, pterosocket.PowerStart, pterosocket.PowerKill} {
				must(t, c.Power(t.Context(), action))
			}
		},
		"run and history": func(t *testing.T, srv *pterotest.Server, c *client) {
			srv.Print("old")
			c.line("old")
			got, err := c.Run(t.Context(), "list", pterosocket.RunOptions{})
			if err != nil || !slices.Equal(got, []string{"list"}) {
				t.Errorf("Run = %q, %v", got, err)
			}
			got, err = c.History(t.Context())
			if err != nil || !slices.Equal(got, []string{"old", "list"}) {
				t.Errorf("History = %q, %v", got, err)
			}
		},
		"half an hour of renewals": func(t *testing.T, srv *pterotest.Server, c *client) {
			for i := range 30 {
				time.Sleep(time.Minute)
				srv.Print(fmt.Sprint(i))
				if got := next[pterosocket.ConsoleOutput](c); got.Line != fmt.Sprint(i) {
					t.Fatalf("%+v in the place of %d", got, i)
				}
			}
			if m := c.Metrics(); m.Reconnects != 0 || m.Renewals < 3 {
				t.Errorf("%+v", m)
			}
		},
		"a token that ended": func(t *testing.T, srv *pterotest.Server, c *client) {
			srv.Print("seen")
			c.line("seen")
			srv.ExpireTokens()
			srv.Print("missed")
			time.Sleep(time.Minute)
			srv.Print("end")
			if got := c.shown("end"); !slices.Equal(got, []string{"missed*", "end"}) && !slices.Equal(got, []string{"missed", "end"}) {
				t.Errorf("%q", got)
			}
		},
		"a reconnect": func(t *testing.T, srv *pterotest.Server, c *client) {
			srv.Print("seen")
			c.line("seen")
			whileAway(t, srv, c, func() { srv.Print("missed") })
			time.Sleep(2 * time.Second)
			srv.Print("end")
			wantShown(t, c.shown("end"), "missed* end")
		},
		"operations": func(t *testing.T, srv *pterotest.Server, c *client) {
			tells := srv.Dialect() == pterotest.Calagopus // how an installation or a restoration ended
			srv.Install(true, "a line")
			next[pterosocket.InstallStarted](c)
			if got := next[pterosocket.InstallOutput](c); got.Line != "a line" {
				t.Errorf("%+v", got)
			}
			if got, want := next[pterosocket.InstallCompleted](c), (pterosocket.InstallCompleted{Successful: tells, Known: tells}); got != want {
				t.Errorf("%+v", got)
			}
			backup := pterosocket.BackupCompleted{UUID: "abc", Successful: true, Checksum: "c", ChecksumType: "sha1", Size: 35}
			srv.Backup(pterotest.Backup(backup))
			if got := next[pterosocket.BackupCompleted](c); got != backup {
				t.Errorf("%+v", got)
			}
			srv.RestoreBackup(false, "a file")
			if got, want := next[pterosocket.BackupRestoreCompleted](c), (pterosocket.BackupRestoreCompleted{Known: tells}); got != want {
				t.Errorf("%+v", got)
			}
			srv.FailTransfer()
			if got := nextWhere(c, func(ev pterosocket.TransferStatus) bool { return ev.Status != "pending" && ev.Status != "processing" }); got.Status != "failure" {
				t.Errorf("%+v", got)
			}
			must(t, c.Ready(t.Context()))
		},
		"a transfer": func(t *testing.T, srv *pterotest.Server, c *client) {
			from := next[pterosocket.Start](c).Socket
			srv.Transfer()
			if to := next[pterosocket.Start](c).Socket; to == from {
				t.Errorf("still at %s", to)
			}
		},
		"a suspension": func(t *testing.T, srv *pterotest.Server, c *client) {
			srv.Suspend()
			nextWhere(c, func(ev pterosocket.Error) bool { return errors.Is(ev.Err, pterosocket.ErrConflict) })
			srv.Unsuspend()
			must(t, c.Ready(t.Context()))
		},
		"a revocation": func(t *testing.T, srv *pterotest.Server, c *client) {
			srv.Revoke()
			<-c.Done()
			wantError(t, c.Err(), pterosocket.ErrServerNotFound)
		},
	}
	for _, dialect := range []pterotest.Dialect{pterotest.Pterodactyl, pterotest.Pelican, pterotest.Calagopus} {
		for _, compress := range []bool{false, true} {
			for name, behave := range behaviours {
				t.Run(fmt.Sprintf("%v/compress=%v/%s", dialect, compress, name), func(t *testing.T) {
					virtual(t, pterotest.Config{Dialect: dialect}, func(t *testing.T, srv *pterotest.Server) {
						cfg := config(srv)
						cfg.Compression = compress
						behave(t, srv, connect(t, cfg))
					})
				})
			}
		}
	}
}
