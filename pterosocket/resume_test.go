package pterosocket_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// shown collects console lines, "*" behind the replayed ones, and gaps, until the line last.
func (c *client) shown(last string) []string {
	c.t.Helper()
	var got []string
	for {
		ev := nextWhere(c, func(ev pterosocket.Event) bool {
			switch ev.(type) {
			case pterosocket.ConsoleOutput, pterosocket.Gap:
				return true
			}
			return false
		})
		switch ev := ev.(type) {
		case pterosocket.Gap:
			got = append(got, "GAP")
		case pterosocket.ConsoleOutput:
			text := ev.Line
			if ev.Replayed {
				text += "*"
			}
			got = append(got, text)
			if ev.Line == last {
				return got
			}
		}
	}
}

func wantShown(t *testing.T, got []string, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Fields(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// whileAway drops the connection, runs f before it is back, and returns when it is.
func whileAway(t *testing.T, srv *pterotest.Server, c *client, f func()) {
	t.Helper()
	srv.SetDown(true)
	next[pterosocket.Close](c)
	f()
	srv.SetDown(false)
	must(t, c.Ready(t.Context()))
	synctest.Wait() // a daemon subscribes a client just after it has said auth success
}

func TestResume(t *testing.T) {
	for name, test := range map[string]struct {
		fake   pterotest.Config
		config func(*pterosocket.Config)
		before []string
		away   func(*pterotest.Server)
		want   string
	}{
		"missed":         {before: []string{"a", "b"}, away: func(s *pterotest.Server) { s.Print("c", "d") }, want: "c* d* end"},
		"nothing missed": {before: []string{"a", "b"}, away: func(*pterotest.Server) {}, want: "end"},
		"too much missed": {fake: pterotest.Config{HistoryLines: 3}, before: []string{"a", "b"}, away: func(s *pterotest.Server) { s.Print("c", "d", "e", "f") },
			want: "GAP d* e* f* end"},
		"nothing seen before":    {away: func(s *pterotest.Server) { s.Print("c") }, want: "GAP c* end"},
		"restarted":              {before: []string{"a", "b"}, away: func(s *pterotest.Server) { must2(s.Power("restart")); time.Sleep(time.Second) }, want: "GAP boot* up* end"},
		"what the replay alters": {before: []string{"a \rx"}, away: func(s *pterotest.Server) { s.Print("b\ry", "", "c") }, want: "b\ry* * c* end"},
		"no resume":              {config: func(c *pterosocket.Config) { c.NoResume = true }, before: []string{"a"}, away: func(s *pterotest.Server) { s.Print("b") }, want: "GAP end"},
		"replay never comes": {before: []string{"a"}, away: func(s *pterotest.Server) {
			s.Print("b")
			s.OnReplay(func([]string, func(string)) {})
		}, want: "GAP end"},
		"live lines first, and again in the replay": {before: []string{"a", "b"}, away: func(s *pterotest.Server) {
			s.Print("c")
			s.OnReplay(func(h []string, send func(string)) {
				s.OnReplay(nil)
				s.Print("x", "y")
				for _, l := range append(h, "x", "y") {
					send(l)
				}
			})
		}, want: "c* x y end"},
		"a live line inside the replay": {before: []string{"a", "b"}, away: func(s *pterotest.Server) {
			s.Print("c")
			s.OnReplay(func(h []string, send func(string)) {
				s.OnReplay(nil)
				send(h[0])
				s.Print("x")
				for _, l := range h[1:] {
					send(l)
				}
			})
		}, want: "c* x end"},
		"the replay comes after it was given up": {before: []string{"a", "b", "c"}, away: func(s *pterotest.Server) {
			s.Print("d", "e")
			s.OnReplay(func(h []string, send func(string)) {
				time.Sleep(3 * time.Second)
				s.Print("live")
				time.Sleep(time.Second)
				for _, l := range append(h, "live") {
					send(l)
				}
			})
		}, want: "GAP live end"},
	} {
		t.Run(name, func(t *testing.T) {
			test.fake.StartLines = []string{"boot", "up"}
			virtual(t, test.fake, func(t *testing.T, srv *pterotest.Server) {
				cfg := config(srv)
				if test.config != nil {
					test.config(&cfg)
				}
				c := connect(t, cfg)
				srv.Print(test.before...)
				if n := len(test.before); n > 0 {
					c.line(strings.ReplaceAll(test.before[n-1], " \r", "\r\n"))
				}
				whileAway(t, srv, c, func() { test.away(srv) })
				time.Sleep(6 * time.Second)
				srv.OnReplay(nil)
				srv.Print("end")
				want := strings.Split(test.want, " ")
				if diff := cmp.Diff(want, c.shown("end")); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				gaps := uint64(strings.Count(test.want, "GAP"))
				if m := c.Metrics(); m.Gaps != gaps || m.LinesReplayed != uint64(strings.Count(test.want, "*")) && name != "the replay comes after it was given up" {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

func must2(err error) {
	if err != nil {
		panic(err)
	}
}

// An offline server replays nothing: what it printed before it went offline is missing, unless it was offline already.
func TestResumeOffline(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Print("a")
		c.line("a")
		whileAway(t, srv, c, func() {
			srv.Print("lost")
			srv.SetState("offline")
		})
		next[pterosocket.Gap](c)
		whileAway(t, srv, c, func() {})
		time.Sleep(2 * time.Second)
		srv.SetState("running")
		srv.Print("end")
		wantShown(t, c.shown("end"), "end")
	})
}

// Live lines are held back for a replay that does not come, but for one second at most.
func TestLiveLinesAreHeldForASecondAtMost(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		srv.OnReplay(func([]string, func(string)) {})
		c := connect(t, config(srv))
		srv.Print("a")
		c.line("a")
		whileAway(t, srv, c, func() {})
		start := time.Now()
		srv.Print("live")
		if got := c.shown("live"); len(got) != 2 || got[0] != "GAP" { // a lone line may be all that is left of the log
			t.Errorf("%q", got)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("held back for %v", d)
		}
	})
}

// A renewal that came too late has cost lines: they are recovered on the same connection.
func TestLateRenewalRecoversLines(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Print("a", "b")
		c.line("b")
		srv.HandlePanel(func(w responseWriter, _ *request) bool { w.WriteHeader(502); return false })
		srv.ExpireTokens()
		srv.Print("c", "d")
		next[pterosocket.JWTError](c)
		wantError(t, c.WriteCommand(t.Context(), "x"), pterosocket.ErrNotConnected)
		time.Sleep(3 * time.Minute)
		if n := srv.CredentialRequests(); n > 16 {
			t.Errorf("%d requests for credentials in three minutes", n)
		}
		srv.ResetPanel()
		must(t, c.Ready(t.Context()))
		time.Sleep(2 * time.Second)
		srv.Print("end")
		wantShown(t, c.shown("end"), "c* d* end")
		if m := c.Metrics(); m.Reconnects != 0 {
			t.Errorf("%+v", m)
		}
	})
}

// A server that was offline when the token ended may have been started since: its state is not what it was.
func TestLateRenewalOfAServerThatWasOffline(t *testing.T) {
	virtual(t, pterotest.Config{Offline: true}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		nextWhere(c, func(s pterosocket.Stats) bool { return s.State == pterosocket.StateOffline })
		srv.InterceptPanel(func(w responseWriter, _ *request) bool { w.WriteHeader(502); return true })
		srv.ExpireTokens()
		srv.Emit("daemon message", "is answered with a jwt error")
		next[pterosocket.JWTError](c)
		if state := c.State(); state != "" {
			t.Errorf("the server is said to be %s", state)
		}
		srv.SetState("running")
		srv.Print("a", "b")
		time.Sleep(time.Minute)
		srv.ResetPanel()
		must(t, c.Ready(t.Context()))
		time.Sleep(2 * time.Second)
		srv.Print("end")
		if got := c.shown("end"); len(got) < 2 || got[0] != "a*" && got[0] != "GAP" {
			t.Errorf("%q", got)
		}
	})
}

func TestHistoryOnTheFirstConnection(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		srv.Print("a", "b")
		cfg := config(srv)
		cfg.History = true
		c := connect(t, cfg)
		time.Sleep(2 * time.Second)
		srv.Print("end")
		wantShown(t, c.shown("end"), "a* b* end")
	})
}

// Random cuts while the server prints: every unique line once and in order, but for gaps that are reported.
func TestResumeRandomly(t *testing.T) {
	for seed := range 10 {
		virtual(t, pterotest.Config{HistoryLines: 150}, func(t *testing.T, srv *pterotest.Server) {
			cfg := config(srv)
			cfg.Backoff.Max = 5 * time.Second // or the daemon may print more than its history holds, or a token end while it is awaited
			c := connect(t, cfg)
			srv.Print("line -1")
			var got []string
			done := make(chan struct{})
			go func() {
				defer close(done)
				for ev := range c.events {
					switch ev := ev.(type) {
					case pterosocket.ConsoleOutput:
						got = append(got, ev.Line)
					case pterosocket.Gap:
						got = append(got, "GAP")
					}
				}
			}()
			const n = 2000
			faults := []func(){srv.Drop, srv.RestartDaemon, srv.Drop, srv.ExpireTokens}
			for i := range n {
				srv.Print(fmt.Sprint("line ", i))
				time.Sleep(time.Duration(250+(i*7+seed*13)%200) * time.Millisecond)
				// Far enough apart that one never falls into the catch-up after another, which costs a Gap.
				if i%61 == seed {
					faults[i/61%len(faults)]()
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			must(t, c.Close())
			<-done
			if slices.Contains(got, "GAP") {
				t.Fatalf("seed %d: a gap that the history covers: %q", seed, got[max(0, slices.Index(got, "GAP")-5):slices.Index(got, "GAP")+200])
			}
			at := -1
			for _, line := range got {
				if line != fmt.Sprint("line ", at) {
					t.Fatalf("seed %d: %q in the place of line %d", seed, line, at)
				}
				at++
			}
			if at != n {
				t.Errorf("seed %d: %d lines of %d", seed, at, n)
			}
		})
	}
}

// A connection with an earlier one's token asks the panel for nothing, until the token is due or is refused.
func TestConfigToken(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		token, ok := c.Token()
		if !ok || token.Socket == "" || time.Since(token.Asked) > time.Minute {
			t.Fatalf("%+v", token)
		}
		data, err := json.Marshal(token)
		must(t, err)
		if text := fmt.Sprintf("%+v %s", token, data); strings.Contains(text, token.Token) {
			t.Errorf("the token is shown: %s", text)
		}
		must(t, c.Close())
		if _, ok := c.Token(); ok {
			t.Error("a token after the end")
		}
		time.Sleep(2 * time.Minute)
		cfg := config(srv)
		cfg.Token = token
		asked := srv.CredentialRequests()
		second := connect(t, cfg)
		if n := srv.CredentialRequests() - asked; n != 0 {
			t.Errorf("%d requests with a token that is good", n)
		}
		time.Sleep(20 * time.Minute) // it is renewed in time
		if n := srv.CredentialRequests() - asked; n == 0 || second.Metrics().Reconnects != 0 || second.Metrics().Renewals == 0 {
			t.Errorf("%d requests, %+v", n, second.Metrics())
		}
		must(t, second.Close())
		// One that has ended, one that is refused, and one for nowhere cost one request, as none does.
		srv.DenyTokens()
		time.Sleep(2 * time.Second)
		for _, bad := range []pterosocket.IssuedToken{
			token, {Credentials: token.Credentials, Asked: time.Now()}, {Credentials: pterosocket.Credentials{Token: "t", Socket: "nowhere"}, Asked: time.Now()},
		} {
			cfg.Token = bad
			asked = srv.CredentialRequests()
			must(t, connect(t, cfg).Close())
			if n := srv.CredentialRequests() - asked; n != 1 {
				t.Errorf("%d requests", n)
			}
		}
	})
}
