package pterosocket_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A handshake that is redirected elsewhere ends there: whoever answers would get the token. Nor does it go in circles.
func TestHandshakeIsNotRedirectedElsewhere(t *testing.T) {
	var reached, asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer elsewhere.Close()
	for name, to := range map[string]string{"elsewhere": elsewhere.URL, "in circles": "/again"} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				http.Redirect(w, r, to, http.StatusFound)
			}))
			defer daemon.Close()
			cfg := pterosocket.Config{Origin: "http://panel.example.com", Server: "a0000001", ConnectTimeout: 300 * time.Millisecond}
			cfg.Backoff.Min = 50 * time.Millisecond
			cfg.Credentials = source(func(context.Context) (pterosocket.Credentials, error) {
				return pterosocket.Credentials{Token: "secret", Socket: "ws" + daemon.URL[len("http"):]}, nil
			})
			cfg.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			_, _, err := open(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), "redirects") || reached.Load() > 0 || asked.Load() > 200 {
				t.Errorf("%d requests, %d of them elsewhere: %v", asked.Load(), reached.Load(), err)
			}
		})
	}
}

// Laravel's maintenance mode is a 503 with Retry-After.
func TestRetryAfterOfA503(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		var mu sync.Mutex
		var asked []time.Time
		srv.InterceptPanel(func(w responseWriter, _ *request) bool {
			mu.Lock()
			defer mu.Unlock()
			if asked = append(asked, time.Now()); len(asked) > 1 {
				return false
			}
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "<html>Be right back.")
			return true
		})
		connect(t, config(srv))
		mu.Lock()
		defer mu.Unlock()
		if d := asked[1].Sub(asked[0]); d < 20*time.Second {
			t.Errorf("asked again after %v", d)
		}
	})
}

// What a daemon says reaches no terminal through an error.
func TestErrorsArePrintable(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.SetState("\x1b]0;owned\a\x1b[2J")
		next[pterosocket.Status](c)
		next[pterosocket.Status](c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		srv.EmitRaw(`{"event":"stats","args":["{\"state\":\"\\u001b[2J\"}"]}`)
		err := c.Power(ctx, pterosocket.PowerRestart)
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q", err)
		}
	})
}

// A daemon that quotes the token in its refusal brings it into no log, event or error.
func TestQuotedTokenIsNotShown(t *testing.T) {
	for _, live := range []bool{false, true} {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			var log bytes.Buffer
			cfg := config(srv)
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			cfg.ConnectTimeout = 5 * time.Second
			token, _ := srv.Credentials()
			quote := fmt.Sprintf(`{"event":"jwt error","args":["Error Event [x]: jwt: exp claim is invalid: %s"]}`, token)
			cfg.Credentials = source(func(context.Context) (pterosocket.Credentials, error) {
				_, socket := srv.Credentials()
				return pterosocket.Credentials{Token: token, Socket: socket}, nil
			})
			s := script(&cfg)
			answers := 0
			s.write = func([]byte) {
				if answers++; live && answers == 1 {
					s.frames <- `{"event":"auth success"}`
					s.frames <- `{"event":"status","args":["running"]}`
					s.frames <- strings.Replace(quote, "Error Event [x]: ", "", 1)
				} else {
					s.frames <- quote
				}
			}
			_, commands, err := open(t.Context(), cfg)
			if err == nil {
				time.Sleep(time.Minute)
				must(t, commands.Close())
			}
			if strings.Contains(log.String(), token) || strings.Contains(fmt.Sprint(err), token) {
				t.Errorf("the token shows: %v\n%s", err, log.String())
			}
		})
	}
}

// Fields that would be ignored in silence, or that no server can take, are refused.
func TestConfigIsNotIgnored(t *testing.T) {
	valid := pterosocket.Config{Origin: "https://panel.example.com", APIKey: "ptlc_x", Server: "a0000001"}
	for name, change := range map[string]func(*pterosocket.Config){
		"a header with a line break":            func(c *pterosocket.Config) { c.OriginHeader = "https://x\r\nX-Evil: 1" },
		"compression that nobody is told of":    func(c *pterosocket.Config) { c.Compression, c.Dialer = true, &dialer{} },
		"a negative queue":                      func(c *pterosocket.Config) { c.QueueSize = -1 },
		"an origin header that is not a header": func(c *pterosocket.Config) { c.OriginHeader = "https://pänel" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := valid
			change(&cfg)
			_, _, err := pterosocket.Connect(t.Context(), cfg)
			wantError(t, err, pterosocket.ErrInvalidConfig)
		})
	}
}

// A log handler that calls Close does not wait for itself.
func TestLogHandlerMayClose(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		var commands atomic.Pointer[pterosocket.Commands]
		var closed atomic.Int64
		cfg := config(srv)
		cfg.Logger = slog.New(&closingHandler{func() {
			if c := commands.Load(); c != nil {
				_ = c.Close()
				closed.Add(1)
			}
		}})
		events, c, err := open(t.Context(), cfg)
		must(t, err)
		commands.Store(c)
		go func() {
			for range events {
			}
		}()
		srv.Drop()
		<-c.Done()
		if closed.Load() == 0 {
			t.Error("Close has not returned")
		}
	})
}

type closingHandler struct{ f func() }

func (*closingHandler) Enabled(context.Context, slog.Level) bool    { return true }
func (h *closingHandler) Handle(context.Context, slog.Record) error { h.f(); return nil }
func (h *closingHandler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h *closingHandler) WithGroup(string) slog.Handler             { return h }

// A transfer that is cancelled costs one reconnect.
func TestCancelledTransfer(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		for _, status := range []string{"pending", "processing", "cancelling", "cancelled"} {
			srv.Emit("transfer status", status)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(time.Minute)
		if m := c.Metrics(); m.Reconnects != 1 {
			t.Errorf("%+v", m)
		}
	})
}

// A deletion is told as one.
func TestDeletionDoesNotReadLikeATransfer(t *testing.T) {
	virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Delete(false)
		for ev := range c.events {
			if _, ok := ev.(pterosocket.AuthSuccess); !ok && strings.Contains(strings.ToLower(fmt.Sprint(ev)), "transfer") {
				t.Errorf("%v", ev)
			}
		}
		wantError(t, c.Err(), pterosocket.ErrServerNotFound)
	})
}

// A message ends where it ends.
func TestMessagesArePunctuated(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.APIKey = "ptlc_wrong"
		_, _, err := open(t.Context(), cfg)
		if err == nil || strings.Contains(err.Error(), ".;") {
			t.Error(err)
		}
	})
}
