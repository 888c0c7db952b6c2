package pterosocket_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// However long the backoff, a warning close behind another does not delay a renewal past the token's end.
func TestShortTokensNeverEnd(t *testing.T) {
	virtual(t, pterotest.Config{TokenLifetime: time.Minute}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.Backoff = pterosocket.Backoff{Min: 20 * time.Second, Max: 2 * time.Minute}
		c := connect(t, cfg)
		time.Sleep(2 * time.Hour)
		go c.Close()
		for ev := range c.events {
			switch ev := ev.(type) {
			case pterosocket.JWTError, pterosocket.TokenExpired, pterosocket.Gap:
				t.Fatalf("%#v", ev)
			}
		}
	})
}

// What a proxy says ends no connection; what the panel says does when it says so twice.
func TestFinalIsWhatThePanelSaysTwice(t *testing.T) {
	for _, status := range []int{401, 403, 404} {
		for name, own := range map[string]bool{"a proxy": false, "the panel": true} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
					c := connect(t, config(srv))
					srv.InterceptPanel(func(w responseWriter, _ *request) bool {
						w.WriteHeader(status)
						if own {
							_, _ = io.WriteString(w, `{"errors":[{"code":"X","status":"x","detail":"No."}]}`)
						} else {
							_, _ = io.WriteString(w, "<html>deploying")
						}
						return true
					})
					srv.Emit("token expiring")
					time.Sleep(29 * time.Second)
					must(t, c.Ready(t.Context()))
					if own {
						<-c.Done()
						if c.Err() == nil {
							t.Error("it ended without an error")
						}
						return
					}
					time.Sleep(5 * time.Minute)
					srv.ResetPanel()
					must(t, c.Ready(t.Context()))
					time.Sleep(10 * time.Minute)
					if m := c.Metrics(); m.Reconnects != 0 || m.Renewals == 0 {
						t.Errorf("%+v", m)
					}
				})
			})
		}
	}
}

// A daemon that is down costs the panel nothing while the token is good.
func TestDaemonDownAsksThePanelSeldom(t *testing.T) {
	virtual(t, pterotest.Config{TokenLifetime: 24 * time.Hour}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.SetDown(true)
		time.Sleep(9 * time.Minute)
		if n := srv.CredentialRequests(); n > 2 {
			t.Errorf("%d requests in nine minutes", n)
		}
		srv.SetDown(false)
		must(t, c.Ready(t.Context()))
	})
}

// A service that boots while its server is suspended waits, if it is told to.
func TestConnectWaits(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		srv.Suspend()
		srv.RateLimitPanel(5 * time.Minute)
		time.AfterFunc(time.Hour, srv.Unsuspend)
		cfg := config(srv)
		cfg.ConnectTimeout = -1
		start := time.Now()
		connect(t, cfg)
		if d := time.Since(start); d < time.Hour || d > time.Hour+time.Minute {
			t.Errorf("connected after %v", d)
		}
	})
}

// A web page in the place of the panel's answer is a wrong Origin: that is said at once.
func TestWrongOriginIsSaidAtOnce(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		srv.InterceptPanel(func(w responseWriter, _ *request) bool { _, _ = io.WriteString(w, "<html>"); return true })
		start := time.Now()
		_, _, err := open(t.Context(), config(srv))
		if d := time.Since(start); err == nil || d > time.Second {
			t.Errorf("after %v: %v", d, err)
		}
	})
}

// The budget holds while Connect retries as fast as it is told to.
func TestBudgetHoldsWhileConnecting(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.Backoff = pterosocket.Backoff{Min: time.Millisecond, Max: time.Millisecond}
		cfg.ConnectTimeout = 10 * time.Second
		asked := 0
		srv.InterceptPanel(func(w responseWriter, _ *request) bool {
			asked++
			w.WriteHeader(502)
			return true
		})
		_, _, err := open(t.Context(), cfg)
		if err == nil || asked != 5 {
			t.Errorf("%d requests, %v", asked, err)
		}
	})
}
