package pterosocket_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// A wrapper is a Dialer whose connections are wrapped, each as its number says, or refused.
type wrapper struct {
	pterosocket.Dialer
	dials  atomic.Int64
	wrap   func(n int64, c pterosocket.Conn) pterosocket.Conn
	refuse func(n int64) error
}

func (w *wrapper) Dial(ctx context.Context, url string, header http.Header) (pterosocket.Conn, error) {
	n := w.dials.Add(1)
	if w.refuse != nil {
		if err := w.refuse(n); err != nil {
			return nil, err
		}
	}
	c, err := w.Dialer.Dial(ctx, url, header)
	if err != nil || w.wrap == nil {
		return c, err
	}
	return w.wrap(n, c), nil
}

// wrapIn lets cfg use w, on the transport under test.
func wrapIn(cfg *pterosocket.Config, w *wrapper) *wrapper {
	w.Dialer = cmp.Or(dialerUnderTest(*cfg), pterosocket.DefaultDialer(cfg.HTTPClient))
	cfg.Dialer = w
	return w
}

// A silent connection answers no ping, takes no request for the log, or answers late.
type silent struct {
	pterosocket.Conn
	noLogs bool
	late   time.Duration // for the pong; 0: never
}

func (c silent) Ping(ctx context.Context) error {
	if c.noLogs {
		return c.Conn.Ping(ctx)
	}
	var late <-chan time.Time
	if c.late > 0 {
		late = time.After(c.late)
	}
	select {
	case <-late:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c silent) Write(ctx context.Context, message []byte) error {
	if c.noLogs && strings.Contains(string(message), "send logs") {
		<-ctx.Done()
		return ctx.Err()
	}
	return c.Conn.Write(ctx, message)
}

// A second connection that goes silent holds up nothing for longer than a second: not the lines, not the renewal.
func TestSecondConnectionThatGoesSilent(t *testing.T) {
	for _, noLogs := range []bool{false, true} {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			cfg := config(srv)
			wrapIn(&cfg, &wrapper{wrap: func(n int64, c pterosocket.Conn) pterosocket.Conn {
				if n == 3 {
					return silent{Conn: c, noLogs: noLogs}
				}
				return c
			}})
			c := connect(t, cfg)
			srv.Print("a", "b", "c")
			c.line("c")
			srv.Drop()
			next[pterosocket.Close](c)
			must(t, c.Ready(t.Context()))
			time.Sleep(500 * time.Millisecond)
			start := time.Now()
			srv.Print("live")
			c.line("live")
			if held := time.Since(start); held > time.Second {
				t.Errorf("a line was held back for %v", held)
			}
			time.Sleep(20 * time.Minute)
			if m := c.Metrics(); m.Renewals < 2 || !c.Connected() {
				t.Errorf("connected: %v, %+v", c.Connected(), m)
			}
		})
	}
}

// History takes five seconds at most, whatever the daemon does.
func TestHistoryOfASilentDaemon(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		wrapIn(&cfg, &wrapper{wrap: func(n int64, c pterosocket.Conn) pterosocket.Conn {
			if n > 1 {
				return silent{Conn: c}
			}
			return c
		}})
		c := connect(t, cfg)
		srv.Print("a", "b")
		c.line("b")
		start := time.Now()
		lines, err := c.History(t.Context())
		if took := time.Since(start); err != nil || strings.Join(lines, " ") != "a b" || took > 5*time.Second {
			t.Errorf("%q, %v after %v", lines, err, took)
		}
	})
}

// A kill waits for no pong, neither for that of a command before it nor for that of a ping by itself. A daemon that
// answers none to a command takes none in order: the connection is made anew.
func TestKillWaitsForNoPong(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		w := wrapIn(&cfg, &wrapper{wrap: func(n int64, c pterosocket.Conn) pterosocket.Conn {
			if n == 1 {
				return silent{Conn: c}
			}
			return c
		}})
		c := connect(t, cfg)
		time.Sleep(35 * time.Second) // a ping by itself is under way
		must(t, c.WriteCommand(t.Context(), "one"))
		waits := c.Submit(t.Context(), pterosocket.CommandPacket("two"))
		start := time.Now()
		must(t, c.WritePower(t.Context(), pterosocket.PowerKill))
		if took := time.Since(start); took > time.Second {
			t.Errorf("the kill took %v", took)
		}
		wantError(t, <-waits, pterosocket.ErrNotConnected)
		next[pterosocket.Close](c)
		must(t, c.Ready(t.Context()))
		if n := w.dials.Load(); n < 2 {
			t.Errorf("%d connections", n)
		}
	})
}

// Pongs that come late hold up commands, but no renewal.
func TestLatePongs(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		wrapIn(&cfg, &wrapper{wrap: func(_ int64, c pterosocket.Conn) pterosocket.Conn {
			return silent{Conn: c, late: 9 * time.Second}
		}})
		c := connect(t, cfg)
		for i := range 100 {
			must(t, c.WriteCommand(t.Context(), fmt.Sprint(i)))
		}
		time.Sleep(time.Minute)
		if got := srv.Commands(); len(got) != 100 {
			t.Errorf("%d commands came", len(got))
		}
		if m := c.Metrics(); m.Renewals == 0 || m.Reconnects != 0 || !c.Connected() {
			t.Errorf("%+v", m)
		}
	})
}

// A daemon that quotes a token, even the one that it refuses, in however long a text, does not make it public.
func TestQuotedTokensDoNotShow(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		var log strings.Builder
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		issued := 0
		cfg.Credentials = source(func(context.Context) (pterosocket.Credentials, error) {
			issued++
			_, socket := srv.Credentials()
			return pterosocket.Credentials{Token: fmt.Sprintf("SECRET-%d-%s-END", issued, strings.Repeat("x", 600)), Socket: socket}, nil
		})
		s := script(&cfg)
		auths := 0
		s.write = func(message []byte) {
			_, token, isAuth := strings.Cut(string(message), `"auth","args":["`)
			if !isAuth {
				return
			}
			token, _, _ = strings.Cut(token, `"`)
			if auths++; auths != 2 {
				s.frames <- `{"event":"auth success"}`
				s.frames <- `{"event":"status","args":["running"]}`
				return
			}
			s.frames <- `{"event":"no args: ` + token
			s.frames <- `{"event":"jwt error","args":["Error Event [abc]: jwt: token is expired: ` + token + `"]}`
			s.frames <- `{"event":"daemon error","args":["about ` + token + `"]}`
		}
		events, commands, err := pterosocket.Connect(t.Context(), cfg)
		must(t, err)
		time.Sleep(9 * time.Minute)
		go commands.Close()
		shown := ""
		for ev := range events {
			shown += fmt.Sprintf("%+v\n", ev)
		}
		<-commands.Done()
		for line := range strings.SplitSeq(shown+log.String(), "\n") {
			if strings.Contains(line, "SECRET") || strings.Contains(line, "xxxx") {
				t.Errorf("%.300s", line)
			}
		}
		if auths < 2 {
			t.Errorf("%d auths", auths)
		}
	})
}

// A connection that is lost in the moment in which it was accepted has a Close, and leaves no state behind.
func TestAcceptedAndDropped(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		var first *scripted
		var isDown atomic.Bool
		cfg.Dialer = dialFunc(func() (pterosocket.Conn, error) {
			if isDown.Load() {
				return nil, fmt.Errorf("connection refused")
			}
			s := &scripted{frames: make(chan string, 10), closed: make(chan struct{}), ping: func() error { return nil }}
			isFirst := first == nil
			if isFirst {
				first = s
			}
			s.write = func(message []byte) {
				if !strings.Contains(string(message), `"auth"`) {
					return
				}
				s.frames <- `{"event":"auth success"}`
				s.frames <- `{"event":"status","args":["running"]}`
				if !isFirst {
					time.AfterFunc(0, func() { _ = s.Close(context.Background(), 1000, "") })
				}
			}
			return s, nil
		})
		cfg.Credentials = source(func(context.Context) (pterosocket.Credentials, error) {
			token, socket := srv.Credentials()
			return pterosocket.Credentials{Token: token, Socket: socket}, nil
		})
		events, commands, err := pterosocket.Connect(t.Context(), cfg)
		must(t, err)
		_ = first.Close(context.Background(), 1000, "")
		time.Sleep(5 * time.Minute)
		isDown.Store(true)
		time.Sleep(time.Minute)
		if state := commands.State(); state != "" {
			t.Errorf("the server is said to be %s", state)
		}
		if _, ok := commands.Stats(); ok {
			t.Error("there are stats")
		}
		go commands.Close()
		accepted, closed := 0, 0
		for ev := range events {
			switch ev.(type) {
			case pterosocket.AuthSuccess:
				accepted++
			case pterosocket.Close:
				closed++
			}
		}
		if closed != accepted+1 { // the final one
			t.Errorf("%d connections were accepted, %d closed", accepted, closed)
		}
	})
}

type dialFunc func() (pterosocket.Conn, error)

func (f dialFunc) Dial(context.Context, string, http.Header) (pterosocket.Conn, error) { return f() }

// What a proxy before the daemon says is not final, whatever its status.
func TestProxyBeforeTheDaemon(t *testing.T) {
	for _, status := range []int{401, 403, 404, 502} {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			cfg := config(srv)
			wrapIn(&cfg, &wrapper{refuse: func(n int64) error {
				if n > 1 && n < 8 {
					return &pterosocket.HandshakeError{StatusCode: status, Body: "<html>proxy</html>"}
				}
				return nil
			}})
			c := connect(t, cfg)
			srv.Drop()
			next[pterosocket.Close](c)
			must(t, c.Ready(t.Context()))
		})
	}
}

// The log is asked for although no status came, and a line did.
func TestHistoryWithoutAStatus(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.History = true
		dials := 0
		cfg.Dialer = dialFunc(func() (pterosocket.Conn, error) {
			dials++
			isFirst := dials == 1
			s := &scripted{frames: make(chan string, 10), closed: make(chan struct{}), ping: func() error { return nil }}
			s.write = func(message []byte) {
				switch {
				case strings.Contains(string(message), `"auth"`):
					s.frames <- `{"event":"auth success"}`
					if isFirst {
						s.frames <- `{"event":"console output","args":["live"]}`
					}
				case strings.Contains(string(message), "send logs"):
					s.frames <- `{"event":"console output","args":["before"]}`
					s.frames <- `{"event":"console output","args":["live"]}`
				}
			}
			return s, nil
		})
		c := connect(t, cfg)
		wantShown(t, c.shown("live"), "before* live")
	})
}
