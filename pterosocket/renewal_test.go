package pterosocket_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A clock that is an hour off changes nothing: lifetimes are counted from the moment of receipt.
func TestClocksMayDiffer(t *testing.T) {
	for _, offset := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(offset.String(), func(t *testing.T) {
			virtual(t, pterotest.Config{ClockOffset: offset}, func(t *testing.T, srv *pterotest.Server) {
				c := connect(t, config(srv))
				for i := range 120 {
					time.Sleep(time.Minute)
					srv.Print(fmt.Sprint(i))
					if got := next[pterosocket.ConsoleOutput](c); got.Line != fmt.Sprint(i) {
						t.Fatalf("%+v in the place of %d", got, i)
					}
				}
				if m := c.Metrics(); m.Reconnects != 0 || m.CredentialRequests < 12 || m.CredentialRequests > 18 {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

// The daemon's own warning is a reason to renew at once, and one renewal answers any number of warnings.
func TestWarningsRenewOnce(t *testing.T) {
	for _, event := range []string{"token expiring", "token expired"} {
		t.Run(event, func(t *testing.T) {
			virtual(t, pterotest.Config{Offline: true}, func(t *testing.T, srv *pterotest.Server) {
				c := connect(t, config(srv))
				time.Sleep(2 * time.Minute)
				for range 50 {
					srv.Emit(event)
				}
				next[pterosocket.AuthSuccess](c)
				next[pterosocket.AuthSuccess](c)
				time.Sleep(time.Minute)
				if m := c.Metrics(); m.Renewals != 1 || srv.CredentialRequests() != 2 {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

// A refusal can be overtaken by the auth success that cures it. It is no reason to renew again, nor to give up what is
// being sent; what it stood for is recovered.
func TestRefusalOvertakenByARenewal(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Print("seen")
		c.line("seen")
		time.Sleep(2 * time.Minute)
		srv.Emit("token expiring")
		next[pterosocket.AuthSuccess](c)
		srv.EmitRaw(`{"event":"jwt error","args":["jwt: exp claim is invalid"]}`)
		next[pterosocket.JWTError](c)
		must(t, c.Ready(t.Context()))
		must(t, c.WriteCommand(t.Context(), "x"))
		time.Sleep(10 * time.Second)
		srv.Print("end")
		if got := c.shown("end"); len(got) != 2 || strings.TrimSuffix(got[0], "*") != "x" { // it may come before the replay or in it
			t.Errorf("%q", got)
		}
		if n := srv.CredentialRequests(); n != 2 {
			t.Errorf("%d requests for credentials", n)
		}
	})
}

// A refusal in words that nobody knows is answered by a fresh token. Only when that is refused as well it is final.
func TestUnknownRefusal(t *testing.T) {
	for _, dialect := range everyDialect {
		virtual(t, pterotest.Config{Dialect: dialect}, func(t *testing.T, srv *pterotest.Server) {
			c := connect(t, config(srv))
			time.Sleep(2 * time.Minute)
			for range 10 {
				srv.Emit("jwt error", "something new")
			}
			next[pterosocket.JWTError](c)
			next[pterosocket.AuthSuccess](c)
			time.Sleep(2 * time.Minute)
			must(t, c.Ready(t.Context()))
			srv.Emit("jwt error", "something new")
			next[pterosocket.AuthSuccess](c)
			time.Sleep(5 * time.Second)
			srv.Emit("jwt error", "something new")
			<-c.Done()
			wantError(t, c.Err(), pterosocket.ErrAuthRejected)
		})
	}
}

// On Calagopus the only sign of an end is one "token expired". Behind a renewal it may be about the token before, or
// not.
func TestTokenThatEndsAtOnce(t *testing.T) {
	virtual(t, pterotest.Config{Dialect: pterotest.Calagopus}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Print("seen")
		c.line("seen")
		time.Sleep(2 * time.Minute)
		srv.Emit("token expiring")
		next[pterosocket.AuthSuccess](c)
		srv.ExpireTokens()
		srv.Print("missed")
		time.Sleep(30 * time.Second)
		srv.Print("end")
		wantShown(t, c.shown("end"), "missed* end")
	})
}

// After expiry a daemon answers every line with jwt error. A flood of them makes one request, even while the panel is
// slow.
func TestFloodOfJWTErrorsMakesOneRequest(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Print("seen")
		c.line("seen")
		srv.HandlePanel(func(responseWriter, *request) bool { time.Sleep(5 * time.Second); return false })
		srv.ExpireTokens()
		for i := range 500 {
			srv.Print(fmt.Sprint("line ", i))
			time.Sleep(5 * time.Millisecond)
		}
		floods := 0
		for ev := range c.events {
			if _, ok := ev.(pterosocket.JWTError); ok {
				floods++
			}
			if _, ok := ev.(pterosocket.AuthSuccess); ok && floods > 0 {
				break
			}
		}
		srv.ResetPanel()
		time.Sleep(time.Minute)
		if m := c.Metrics(); floods != 1 || m.Renewals != 1 || srv.CredentialRequests() != 2 {
			t.Errorf("%d JWTError events, %d requests, %+v", floods, srv.CredentialRequests(), m)
		}
	})
}

// Tokens carry whole seconds: one that is issued in the second of a revocation is refused like the old ones. So a
// second is waited before asking, and one request is enough.
func TestWholeSecondRule(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		time.Sleep(90*time.Second + 300*time.Millisecond)
		srv.DenyTokens()
		must(t, c.RequestStats(t.Context()))
		next[pterosocket.JWTError](c)
		next[pterosocket.AuthSuccess](c)
		time.Sleep(time.Minute)
		if n := srv.CredentialRequests(); n != 2 {
			t.Errorf("%d requests for credentials", n)
		}
	})
}

// The budget of five requests a minute holds whatever happens, for a source of the user's own as well.
func TestCredentialBudget(t *testing.T) {
	virtual(t, pterotest.Config{TokenLifetime: 2 * time.Second}, func(t *testing.T, srv *pterotest.Server) {
		var mu sync.Mutex
		var asked []time.Time
		srv.HandlePanel(func(responseWriter, *request) bool {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, time.Now())
			return false
		})
		connect(t, config(srv))
		for range 600 {
			time.Sleep(time.Second)
			srv.ExpireTokens()
			if srv.CredentialRequests()%2 == 0 {
				srv.Drop()
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for i := 5; i < len(asked); i++ {
			if d := asked[i].Sub(asked[i-5]); d < time.Minute {
				t.Fatalf("six requests within %v", d)
			}
		}
		if len(asked) < 40 {
			t.Errorf("only %d requests in ten minutes of trouble", len(asked))
		}
	})
}

// A masked error may answer any message: on a live connection it does not condemn the tokens.
func TestMaskedErrorDuringRenewal(t *testing.T) {
	slow := false
	cfg := pterotest.Config{Permissions: []string{"*"}, OnMessage: func(m pterotest.Message) {
		if slow && m.Event == "auth" {
			time.Sleep(300 * time.Millisecond)
		}
	}}
	virtual(t, cfg, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		slow = true
		srv.Emit("token expiring")
		waitFor(t, srv, func() bool { return len(srv.Received()) == 2 })
		must(t, c.WritePower(t.Context(), pterosocket.PowerStart)) // "server is running", masked
		next[pterosocket.DaemonError](c)
		time.Sleep(time.Minute)
		must(t, c.WriteCommand(t.Context(), "alive"))
		c.line("alive")
	})
}

// A command that was answered with jwt error belongs to nobody: while no token is good, nothing is sent.
func TestNothingIsSentWithoutAGoodToken(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.HandlePanel(func(w responseWriter, _ *request) bool { w.WriteHeader(500); return false })
		// The daemon says nothing at all (its stats are off): our own count of the token's life must do.
		srv.SetState("offline")
		next[pterosocket.Stats](c)
		time.Sleep(11 * time.Minute)
		wantError(t, c.WritePower(t.Context(), pterosocket.PowerStart), pterosocket.ErrNotConnected)
		srv.ResetPanel()
		must(t, c.Ready(t.Context()))
		must(t, c.Power(t.Context(), pterosocket.PowerStart))
	})
}

// A daemon that restarts refuses the cached token; the connection is back as soon as a fresh one is there, on every
// family.
func TestRefusedCachedToken(t *testing.T) {
	for _, dialect := range []pterotest.Dialect{pterotest.Pterodactyl, pterotest.Pelican, pterotest.Calagopus} {
		t.Run(dialect.String(), func(t *testing.T) {
			virtual(t, pterotest.Config{Dialect: dialect}, func(t *testing.T, srv *pterotest.Server) {
				c := connect(t, config(srv))
				time.Sleep(90*time.Second + 300*time.Millisecond)
				srv.RestartDaemon()
				retryIn := next[pterosocket.Close](c).RetryIn
				start := time.Now()
				next[pterosocket.AuthSuccess](c)
				if d := time.Since(start) - retryIn; d > 1500*time.Millisecond {
					t.Errorf("back %v after the attempt", d)
				}
				if m := c.Metrics(); m.CredentialRequests != 2 || m.CommandsSent != 0 {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}
