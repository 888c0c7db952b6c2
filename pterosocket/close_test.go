package pterosocket_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// Close and the end of the context, at every moment: bounded, the final Close last, the channel closed, nothing left.
func TestEndsAtAnyMoment(t *testing.T) {
	moments := map[string]func(*pterotest.Server, *client){
		"connected":  func(*pterotest.Server, *client) {},
		"silence":    func(s *pterotest.Server, _ *client) { s.Freeze() },
		"in backoff": func(s *pterotest.Server, c *client) { s.SetDown(true); next[pterosocket.Close](c) },
		"in renewal": func(s *pterotest.Server, c *client) { hang(s); s.ExpireTokens(); next[pterosocket.JWTError](c) },
		"in a resume": func(s *pterotest.Server, c *client) {
			s.OnReplay(func([]string, func(string)) {})
			s.Drop()
			next[pterosocket.AuthSuccess](c)
			next[pterosocket.AuthSuccess](c)
		},
		"in a dial": func(s *pterotest.Server, c *client) {
			s.FreezeNew(true)
			s.Drop()
			next[pterosocket.Close](c)
			time.Sleep(5 * time.Second)
		},
		"with a queue":  func(s *pterotest.Server, _ *client) { s.Print(strings.Split(strings.Repeat("x\n", 500), "\n")...) },
		"with commands": func(_ *pterotest.Server, c *client) { fill(c) },
	}
	for name, reach := range moments {
		for _, how := range []string{"Close", "context"} {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := pterotest.NewServer(pterotest.Config{InMemory: true})
					defer srv.Close()
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					events, commands, err := open(ctx, config(srv))
					must(t, err)
					c := &client{t: t, events: events, Commands: commands}
					reach(srv, c)
					synctest.Wait()
					start := time.Now()
					cause := errors.New("enough")
					if how == "Close" {
						must(t, c.Close())
						if d := time.Since(start); d > 2500*time.Millisecond || c.Err() != nil && !errors.Is(c.Err(), pterosocket.ErrEventsDropped) {
							t.Errorf("Close took %v, Err %v", d, c.Err())
						}
					} else {
						cancel(cause)
						<-c.Done()
						if d := time.Since(start); d > time.Second || !errors.Is(c.Err(), cause) {
							t.Errorf("it took %v, Err %v", d, c.Err())
						}
					}
					var last pterosocket.Event
					for ev := range c.events {
						last = ev
					}
					if end, ok := last.(pterosocket.Close); !ok || !end.Final || (end.Err == nil) != (how == "Close") {
						t.Errorf("the last event is %#v", last)
					}
				})
			})
		}
	}
}

func hang(s *pterotest.Server) {
	s.HandlePanel(func(_ responseWriter, r *request) bool { <-r.Context().Done(); return true })
}

func fill(c *client) {
	for i := range 50 {
		c.Submit(c.t.Context(), pterosocket.CommandPacket(fmt.Sprint(i)))
	}
}

// A consumer may call Close itself, in the midst of its loop.
func TestConsumerCallsClose(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		srv.Print("a", "b", "c")
		var last pterosocket.Event
		for ev := range c.events {
			if _, ok := ev.(pterosocket.ConsoleOutput); ok {
				must(t, c.Close())
			}
			last = ev
		}
		if end, ok := last.(pterosocket.Close); !ok || !end.Final {
			t.Errorf("%#v", last)
		}
		must(t, c.Close()) // idempotent
	})
}

// The daemon gets a close frame, code 1000, and what it had sent is delivered.
func TestCloseIsGraceful(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		for i := range 3000 {
			srv.Print(fmt.Sprint(i))
		}
		synctest.Wait()
		go c.Close()
		n := 0
		for ev := range c.events {
			if line, ok := ev.(pterosocket.ConsoleOutput); ok {
				if line.Line != fmt.Sprint(n) {
					t.Fatalf("%s in the place of %d", line.Line, n)
				}
				n++
			}
		}
		if n != 3000 {
			t.Errorf("%d lines of 3000", n)
		}
		waitFor(t, srv, func() bool { return srv.Connections() == 0 })
	})
}

// A consumer that stops for a minute under 20,000 lines a second: the daemon is not stalled, and every line is there or
// counted.
func TestStoppedConsumerUnderAFlood(t *testing.T) {
	seconds := 8 // of virtual time; make chaos runs the whole minute
	switch {
	case os.Getenv("PTERO_CHAOS") == "long":
		seconds = 60
	case testing.Short():
		seconds = 2
	}
	virtual(t, pterotest.Config{DropSlowReaders: true}, func(t *testing.T, srv *pterotest.Server) {
		c := connect(t, config(srv))
		const perSecond, batch = 20_000, 200
		sent := 0
		lines := make([]string, batch)
		for range seconds * perSecond / batch {
			for i := range lines {
				lines[i] = fmt.Sprint("line ", sent)
				sent++
			}
			srv.Print(lines...)
			time.Sleep(time.Second * batch / perSecond)
		}
		synctest.Wait()
		if d := srv.Dropped(); d.SlowReaders != 0 {
			t.Errorf("the daemon dropped %d frames: the reader waited", d.SlowReaders)
		}
		go c.Close()
		received, dropped, kept := 0, 0, 0
		for ev := range c.events {
			switch ev := ev.(type) {
			case pterosocket.Lagged:
				dropped += ev.Dropped
			case pterosocket.ConsoleOutput:
				received++
				kept++
				if ev.Line != fmt.Sprint("line ", received+dropped-1) {
					t.Fatalf("%s behind %d received and %d dropped", ev.Line, received-1, dropped)
				}
			}
		}
		if received+dropped != sent || kept > 8192+2 {
			t.Errorf("%d received + %d dropped != %d sent", received, dropped, sent)
		}
	})
}

// Frames over the limit are skipped and reported, malformed ones reported, and the connection lives on.
func TestStrangeFrames(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.ReadLimit = 1000
		c := connect(t, cfg)
		srv.Print(strings.Repeat("x", 2000))
		if ev := next[pterosocket.Error](c); !strings.Contains(ev.Err.Error(), "1000 bytes") {
			t.Error(ev.Err)
		}
		for _, text := range []string{"not json", "{", `{"event":5}`, `{}`, "\x00\xff"} {
			srv.EmitRaw(text)
			next[pterosocket.Error](c)
		}
		srv.EmitRaw(`{"event":"brand new","args":["a"]}`)
		if ev := next[pterosocket.Unknown](c); ev.Name() != "brand_new" || ev.Args[0] != "a" {
			t.Errorf("%+v", ev)
		}
		srv.Print("alive")
		c.line("alive")
		if m := c.Metrics(); m.FramesSkipped != 6 || m.Reconnects != 0 {
			t.Errorf("%+v", m)
		}
	})
	t.Run("64 KiB of escapes", func(t *testing.T) {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			c := connect(t, config(srv))
			line := strings.Repeat("\x1b", 64<<10)
			srv.Print(line)
			c.line(line)
		})
	})
	t.Run("compressed", func(t *testing.T) {
		virtual(t, pterotest.Config{Dialect: pterotest.Pelican}, func(t *testing.T, srv *pterotest.Server) {
			cfg := config(srv)
			cfg.Compression = true
			c := connect(t, cfg)
			for _, n := range []int{1, 100, 10_000, 64 << 10} {
				srv.Print(strings.Repeat("z", n))
				c.line(strings.Repeat("z", n))
			}
			must(t, c.WriteCommand(t.Context(), "hi"))
			c.line("hi")
		})
	})
}
