package pterosocket_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// What Connect returns at once, and as what; everything the library logs meanwhile must be free of secrets.
func TestConnectRefused(t *testing.T) {
	for name, test := range map[string]struct {
		fake    pterotest.Config
		prepare func(srv *pterotest.Server, cfg *pterosocket.Config)
		want    error
		says    string
	}{
		"no origin":       {prepare: func(_ *pterotest.Server, c *pterosocket.Config) { c.Origin = "" }, want: pterosocket.ErrInvalidConfig, says: "Origin"},
		"bad origin":      {prepare: func(_ *pterotest.Server, c *pterosocket.Config) { c.Origin = "panel.example.com" }, want: pterosocket.ErrInvalidConfig, says: "https://"},
		"no key":          {prepare: func(_ *pterotest.Server, c *pterosocket.Config) { c.APIKey = "" }, want: pterosocket.ErrInvalidConfig, says: "APIKey"},
		"key with break":  {prepare: func(_ *pterotest.Server, c *pterosocket.Config) { c.APIKey += "\n" }, want: pterosocket.ErrInvalidConfig, says: "APIKey"},
		"no server":       {prepare: func(_ *pterotest.Server, c *pterosocket.Config) { c.Server = "" }, want: pterosocket.ErrInvalidConfig, says: "Server"},
		"strange server":  {prepare: func(_ *pterotest.Server, c *pterosocket.Config) { c.Server = "../x" }, want: pterosocket.ErrInvalidConfig, says: "Server"},
		"wrong key":       {prepare: func(_ *pterotest.Server, c *pterosocket.Config) { c.APIKey = "ptlc_wrong" }, want: pterosocket.ErrUnauthorized, says: "client API key"},
		"unknown server":  {prepare: func(_ *pterotest.Server, c *pterosocket.Config) { c.Server = "ffffffff" }, want: pterosocket.ErrServerNotFound, says: "identifier"},
		"no permission":   {fake: pterotest.Config{Permissions: []string{"control.console"}}, want: pterosocket.ErrForbidden, says: "websocket.connect"},
		"suspended":       {prepare: func(s *pterotest.Server, _ *pterosocket.Config) { s.Suspend() }, want: pterosocket.ErrConflict, says: "suspended"},
		"refused origin":  {fake: pterotest.Config{Origin: "https://other"}, want: pterosocket.ErrOriginRejected, says: "http://panel.test"},
		"wrong node":      {prepare: func(s *pterotest.Server, _ *pterosocket.Config) { s.SetTokenFault(pterotest.WrongServer) }, want: pterosocket.ErrAuthRejected, says: "server uuid mismatch"},
		"wrong node key":  {prepare: func(s *pterotest.Server, _ *pterosocket.Config) { s.SetTokenFault(pterotest.BadSignature) }, want: pterosocket.ErrAuthRejected, says: "config.yml"},
		"long rate limit": {prepare: func(s *pterotest.Server, _ *pterosocket.Config) { s.RateLimitPanel(time.Minute) }, want: pterosocket.ErrRateLimited, says: "1m0s"},
		"insecure": {prepare: func(_ *pterotest.Server, c *pterosocket.Config) {
			c.Origin = "https://panel.test"
			c.HTTPClient = plainTLS(c.HTTPClient)
		}, want: pterosocket.ErrInsecureSocket, says: "AllowInsecure"},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, test.fake, func(t *testing.T, srv *pterotest.Server) {
				cfg := config(srv)
				if test.prepare != nil {
					test.prepare(srv, &cfg)
				}
				var log bytes.Buffer
				cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				start := time.Now()
				_, _, err := open(t.Context(), cfg)
				wantError(t, err, test.want)
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("the message %q does not say %q", err, test.says)
				}
				if d := time.Since(start); d > 2*time.Second {
					t.Errorf("it took %v", d)
				}
				for _, secret := range []string{"ptlc_", "eyJ"} {
					if strings.Contains(fmt.Sprint(err), secret) || strings.Contains(log.String(), secret) {
						t.Errorf("a secret shows: %v\n%s", err, log.String())
					}
				}
			})
		})
	}
}

// plainTLS pretends that https is spoken.
func plainTLS(c *http.Client) *http.Client {
	base := c.Transport
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Scheme = "http"
		return base.RoundTrip(r)
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What may pass is retried, and reported with its own error when ConnectTimeout is over.
func TestConnectRetriesWhatMayPass(t *testing.T) {
	t.Run("passes", func(t *testing.T) {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			srv.FailPanel(502, "Bad gateway")
			srv.RateLimitPanel(3 * time.Second)
			srv.FailPanel(599, "<html>")
			connect(t, config(srv))
		})
	})
	t.Run("does not pass", func(t *testing.T) {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			srv.HandlePanel(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return false })
			start := time.Now()
			_, _, err := open(t.Context(), config(srv))
			var panel *pterosocket.PanelError
			if !errors.As(err, &panel) || panel.StatusCode != 503 {
				t.Errorf("Connect: %v", err)
			}
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("it took %v", d)
			}
			if n := srv.CredentialRequests(); n > 5 {
				t.Errorf("%d requests for credentials in 30 s", n)
			}
		})
	})
	t.Run("daemon down", func(t *testing.T) {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			srv.SetDown(true)
			time.AfterFunc(10*time.Second, func() { srv.SetDown(false) })
			connect(t, config(srv))
		})
	})
	t.Run("full server", func(t *testing.T) {
		virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
			var others []*client
			for range 30 {
				others = append(others, connect(t, config(srv)))
			}
			cfg := config(srv)
			cfg.ConnectTimeout = time.Second
			_, _, err := open(t.Context(), cfg)
			wantError(t, err, pterosocket.ErrTooManyConnections)
			time.AfterFunc(5*time.Second, func() { _ = others[0].Close() })
			connect(t, config(srv))
		})
	})
}

func TestSecretsNeverPrint(t *testing.T) {
	cfg := pterosocket.Config{Origin: "https://panel.test", APIKey: "ptlc_secret", Server: "x"}
	creds := pterosocket.Credentials{Token: "eyJsecret", Socket: "wss://node"}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{cfg, &cfg, creds, &creds, struct{ C pterosocket.Config }{cfg}, []pterosocket.Credentials{creds}} {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
		text, err := json.Marshal(v)
		must(t, err)
		out.Write(text)
		log.Info("x", "v", v)
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("a secret shows:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "panel.test") || !strings.Contains(out.String(), "wss://node") {
		t.Errorf("nothing useful shows:\n%s", out.String())
	}
}

// A context that ends in the midst of connecting ends it at once, wherever it is.
func TestConnectEndsWithItsContext(t *testing.T) {
	for name, prepare := range map[string]func(*pterotest.Server){
		"panel hangs": func(s *pterotest.Server) {
			s.HandlePanel(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return false })
		},
		"daemon hangs":  func(s *pterotest.Server) { s.FreezeNew(true) },
		"in backoff":    func(s *pterotest.Server) { s.SetDown(true) },
		"rate limited":  func(s *pterotest.Server) { s.RateLimitPanel(20 * time.Second) },
		"token refused": func(s *pterotest.Server) { time.Sleep(time.Second / 2); s.DenyTokens() }, // in the middle of a second
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pterotest.NewServer(pterotest.Config{InMemory: true})
				defer srv.Close()
				prepare(srv)
				cause := errors.New("enough")
				ctx, cancel := contextWithCause(t)
				time.AfterFunc(900*time.Millisecond, func() { cancel(cause) })
				start := time.Now()
				_, _, err := open(ctx, config(srv))
				wantError(t, err, cause)
				if d := time.Since(start); d > time.Second {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}
