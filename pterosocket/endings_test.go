package pterosocket_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// Every way in which a connection ends without being over: one Close that says when it goes on, and then it goes on.
func TestComesBack(t *testing.T) {
	for name, test := range map[string]struct {
		fake pterotest.Config
		end  func(*pterotest.Server)
		code int
		says string
	}{
		"EOF":                    {end: (*pterotest.Server).Drop, code: 1006},
		"daemon restarted":       {end: (*pterotest.Server).RestartDaemon, code: 1006},
		"silent network":         {end: (*pterotest.Server).Freeze, code: 1006, says: "ping"},
		"closed 1000":            {end: func(s *pterotest.Server) { s.CloseAll(1000, "") }, code: 1000},
		"closed 1001":            {end: func(s *pterotest.Server) { s.CloseAll(1001, "") }, code: 1001},
		"authentication timeout": {fake: pterotest.Config{Dialect: pterotest.Calagopus}, end: func(s *pterotest.Server) { s.CloseAll(1000, "authentication timeout") }, code: 1000, says: "authentication timeout"},
		"transfer":               {end: (*pterotest.Server).Transfer, code: 1006, says: "transfer"},
		"down for a minute": {end: func(s *pterotest.Server) {
			s.SetDown(true)
			time.AfterFunc(time.Minute, func() { s.SetDown(false) })
		}, code: 1006},
		"everything down for an hour": {end: func(s *pterotest.Server) {
			s.SetDown(true)
			s.HandlePanel(func(w responseWriter, _ *request) bool { w.WriteHeader(502); return false })
			time.AfterFunc(time.Hour, func() { s.SetDown(false); s.ResetPanel() })
		}, code: 1006},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, test.fake, func(t *testing.T, srv *pterotest.Server) {
				time.Sleep(300 * time.Millisecond) // not on a whole second
				c := connect(t, config(srv))
				first := next[pterosocket.Start](c)
				time.Sleep(time.Minute)
				test.end(srv)
				lost := next[pterosocket.Close](c)
				if lost.Final || lost.Code != test.code || lost.Err == nil || lost.RetryIn <= 0 || lost.RetryIn > 30*time.Second || !strings.Contains(lost.Err.Error(), test.says) {
					t.Errorf("%+v", lost)
				}
				start := nextWhere(c, func(ev pterosocket.Start) bool { return true })
				if start.Reconnects != 1 {
					t.Errorf("%+v", start)
				}
				if moved := start.Socket != first.Socket; moved != (name == "transfer") {
					t.Errorf("from %s to %s", first.Socket, start.Socket)
				}
				must(t, c.Ready(t.Context()))
				must(t, c.WriteCommand(t.Context(), "here again"))
				c.line("here again")
				if m := c.Metrics(); m.Reconnects != 1 {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

// Every way in which it is over: the last event says so, and why.
func TestFinalEndings(t *testing.T) {
	for name, test := range map[string]struct {
		fake pterotest.Config
		end  func(*pterotest.Server)
		want error
	}{
		"deleted on Pterodactyl": {end: func(s *pterotest.Server) { s.Delete(true) }, want: pterosocket.ErrServerNotFound},
		"deleted on Pelican":     {fake: pterotest.Config{Dialect: pterotest.Pelican}, end: func(s *pterotest.Server) { s.Delete(false) }, want: pterosocket.ErrServerNotFound},
		"deleted on Calagopus":   {fake: pterotest.Config{Dialect: pterotest.Calagopus}, end: func(s *pterotest.Server) { s.Delete(false) }, want: pterosocket.ErrServerNotFound},
		"revoked on Pterodactyl": {end: (*pterotest.Server).Revoke, want: pterosocket.ErrServerNotFound},
		"revoked on Pelican":     {fake: pterotest.Config{Dialect: pterotest.Pelican}, end: (*pterotest.Server).Revoke, want: pterosocket.ErrServerNotFound},
		"revoked on Calagopus":   {fake: pterotest.Config{Dialect: pterotest.Calagopus}, end: (*pterotest.Server).Revoke, want: pterosocket.ErrServerNotFound},
		"permission taken": {end: func(s *pterotest.Server) {
			s.SetPermissions("control.console")
			s.ExpireTokens()
		}, want: pterosocket.ErrForbidden},
		"wrong server": {end: func(s *pterotest.Server) {
			s.SetTokenFault(pterotest.WrongServer)
			s.ExpireTokens()
		}, want: pterosocket.ErrAuthRejected},
		"node has another key": {end: func(s *pterotest.Server) {
			s.SetTokenFault(pterotest.BadSignature)
			s.ExpireTokens()
		}, want: pterosocket.ErrAuthRejected},
		"closed with 4400": {end: func(s *pterotest.Server) { s.CloseAll(4400, "go away") }, want: &pterosocket.CloseError{Code: 4400, Reason: "go away"}},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, test.fake, func(t *testing.T, srv *pterotest.Server) {
				c := connect(t, config(srv))
				test.end(srv)
				var last pterosocket.Close
				for ev := range c.events {
					if ev, ok := ev.(pterosocket.Close); ok {
						last = ev
					}
				}
				<-c.Done()
				var closed *pterosocket.CloseError
				if target, ok := test.want.(*pterosocket.CloseError); ok { // the test's own value
					if !errors.As(last.Err, &closed) || *closed != *target {
						t.Errorf("%+v", last)
					}
				} else {
					wantError(t, last.Err, test.want)
				}
				if !last.Final || c.Err() == nil || c.Err() != last.Err { // the very same
					t.Errorf("%+v, Err %v", last, c.Err())
				}
				wantError(t, c.WriteCommand(t.Context(), "x"), pterosocket.ErrClosed)
				wantError(t, c.WriteCommand(t.Context(), "x"), pterosocket.ErrNotSent)
				if err := c.Ready(t.Context()); err != c.Err() { // the very same
					t.Errorf("Ready: %v", err)
				}
			})
		})
	}
}

// A suspension is waited out at the slowest pace, reported, and over when it is lifted.
func TestSuspension(t *testing.T) {
	for _, dialect := range []pterotest.Dialect{pterotest.Pterodactyl, pterotest.Pelican} {
		t.Run(dialect.String(), func(t *testing.T) {
			virtual(t, pterotest.Config{Dialect: dialect}, func(t *testing.T, srv *pterotest.Server) {
				c := connect(t, config(srv))
				srv.Suspend()
				nextWhere(c, func(ev pterosocket.Error) bool { return errors.Is(ev.Err, pterosocket.ErrConflict) })
				before := srv.CredentialRequests()
				time.Sleep(time.Hour)
				if n := srv.CredentialRequests() - before; n > 5*60 {
					t.Errorf("%d requests for credentials in an hour of suspension", n)
				}
				srv.Unsuspend()
				must(t, c.Ready(t.Context()))
				must(t, c.Power(t.Context(), pterosocket.PowerStart))
				must(t, c.WriteCommand(t.Context(), "back"))
				c.line("back")
			})
		})
	}
}

// Accepted and dropped at once, again and again: no hot loop, and few credentials.
func TestAcceptThenDropIsNoHotLoop(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		attempts := 0
		stop := time.Now().Add(time.Hour)
		srv.Drop()
		for time.Now().Before(stop) {
			if next[pterosocket.AuthSuccess](c).Permissions != nil {
				attempts++
				srv.Drop()
			}
		}
		// Delays of 15 s on average once they have grown to 30 s with full jitter.
		if attempts > 400 {
			t.Errorf("%d connections in an hour", attempts)
		}
		if n := srv.CredentialRequests(); n > 5*60 {
			t.Errorf("%d requests for credentials in an hour", n)
		}
	})
}

// A thousand clients that lose one daemon in the same second do not come back in the same second.
func TestThousandClientsDoNotReturnTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand connections")
	}
	virtual(t, pterotest.Config{Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		const n = 1000
		cfg := config(srv)
		cfg.NoResume = true
		for range n {
			connect(t, cfg)
		}
		lost := time.Now()
		srv.Drop()
		perSecond := make(map[int]int)
		seen := 0
		for seen < n {
			waitFor(t, srv, func() bool { return srv.Authenticated() > seen })
			now := srv.Authenticated()
			perSecond[int(time.Since(lost).Seconds())] += now - seen
			seen = now
		}
		for second, count := range perSecond {
			if count > n/2 {
				t.Errorf("%d of %d came back in second %d", count, n, second)
			}
		}
		if srv.CredentialRequests() > n {
			t.Errorf("%d credential requests: the cached tokens were not used", srv.CredentialRequests())
		}
		t.Log(fmt.Sprint("came back by second: ", perSecond))
	})
}

// The network goes silent without closing: given up at most PingInterval + min(PingInterval, 10 s) after its last sign
// of life.
func TestLivenessBound(t *testing.T) {
	for _, interval := range []time.Duration{0, time.Second, 5 * time.Second, time.Minute} {
		t.Run(interval.String(), func(t *testing.T) {
			virtual(t, pterotest.Config{Offline: true}, func(t *testing.T, srv *pterotest.Server) {
				cfg := config(srv)
				cfg.PingInterval = interval
				if interval == 0 {
					interval = 30 * time.Second
				}
				c := connect(t, cfg)
				time.Sleep(3*interval + interval/3)
				if c.Metrics().Reconnects > 0 {
					t.Error("lost although the daemon answers pings")
				}
				srv.Freeze()
				start := time.Now()
				next[pterosocket.Close](c)
				if d, limit := time.Since(start), interval+min(interval, 10*time.Second); d > limit {
					t.Errorf("given up after %v, limit %v", d, limit)
				}
			})
		})
	}
}

// A server that moves while a client comes back: the token of a moment ago leads to a node that does not know it any
// more.
func TestMovesWhileComingBack(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Drop()
		srv.Transfer()
		next[pterosocket.Close](c)
		must(t, c.Ready(t.Context()))
		must(t, c.WriteCommand(t.Context(), "found"))
		c.line("found")
	})
}
