package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	ours "github.com/pterosocket/pterosocket-go/pterosocket/gobwas"
)

// Every contestant receives everything, so that what is compared is the same work. How fast is nobody's business here.
func TestContestants(t *testing.T) {
	srv := httptest.NewServer(loadServer())
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	for name, c := range contestants {
		t.Run(name, func(t *testing.T) {
			flood, err := measureFlood(t.Context(), c, host, 5000)
			if err != nil || flood.PerSecond <= 0 {
				t.Errorf("flood: %+v, %v", flood, err)
			}
			if name == "nhooyr and encoding/json" {
				return
			}
			latency, err := measureLatency(t.Context(), c, host, 50)
			if (err != nil || latency.P50 <= 0) && name != "gws, bare" {
				t.Errorf("latency: %+v, %v", latency, err)
			}
		})
	}
}

// The candidates for a second transport, held against what the seam asks for.
func TestSeams(t *testing.T) {
	for name, dialer := range map[string]pterosocket.Dialer{
		"gobwas": ours.Dialer{}, "gorilla": gorillaDialer{}, "coder": coderDialer{}, "gws": gwsDialer{},
	} {
		t.Run(name, func(t *testing.T) {
			ponged := make(chan struct{})
			upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ws, err := upgrader.Upgrade(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer ws.Close()
				must := func(err error) {
					if err != nil {
						t.Error(err)
					}
				}
				fragments, err := ws.NextWriter(websocket.TextMessage)
				must(err)
				for range 4 {
					_, err := fragments.Write(bytes.Repeat([]byte("x"), 5000))
					must(err)
				}
				must(fragments.Close())
				must(ws.WriteControl(websocket.PingMessage, []byte("hello"), time.Now().Add(time.Minute)))
				ws.SetPongHandler(func(text string) error {
					if text == "hello" {
						close(ponged)
					}
					return nil
				})
				if _, text, err := ws.ReadMessage(); err != nil || string(text) != "from the client" {
					t.Errorf("%q, %v", text, err)
				}
				read := make(chan struct{})
				go func() {
					defer close(read)
					_, _, _ = ws.ReadMessage() // the pong, and in the end the answer to the close frame
				}()
				<-ponged
				must(ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("y"), 2<<20))) // too long
				must(ws.WriteMessage(websocket.TextMessage, []byte("after it")))
				must(ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4409, "server is suspended"), time.Now().Add(time.Minute)))
				<-read
			}))
			defer srv.Close()
			conn, err := dialer.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), http.Header{"Origin": {"https://panel.test"}})
			if err != nil {
				t.Fatal(err)
			}
			const limit = 1 << 20
			if got, err := conn.Read(limit); err != nil || len(got) != 20_000 {
				t.Errorf("fragments: %d bytes, %v", len(got), err)
			}
			if err := conn.Write(t.Context(), []byte("from the client")); err != nil {
				t.Error(err)
			}
			_, err = conn.Read(limit)
			if !errors.Is(err, pterosocket.ErrFrameTooLong) {
				t.Errorf("a huge message: %v", err)
			}
			if got, err := conn.Read(limit); err != nil || string(got) != "after it" {
				t.Errorf("behind a huge message: %.20q, %v", got, err)
			}
			var closed *pterosocket.CloseError
			if _, err := conn.Read(limit); !errors.As(err, &closed) || closed.Code != 4409 {
				t.Errorf("a close frame: %v", err)
			}
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			_ = conn.Close(ended, 1000, "")
		})
	}
}

// A fleet finds the load server's servers, and gets all of their lines.
func TestFleet(t *testing.T) {
	srv := httptest.NewServer(loadServer())
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const servers, lines = 120, 10 // on two pages
	events, err := connectFleet(ctx, srv.Listener.Addr().String(), "flood-"+strconv.Itoa(lines), servers)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ev := range events {
		if _, ok := ev.Event.(pterosocket.ConsoleOutput); !ok {
			continue
		}
		if n++; n == servers*(lines+1) {
			cancel()
		}
	}
	if n != servers*(lines+1) {
		t.Errorf("%d lines", n)
	}
}

// The report is made of whatever was measured.
func TestReport(t *testing.T) {
	o := outcomes{}
	for i, name := range append(append([]string{}, inFlood...), inIdle...) {
		o[name] = []result{{PerSecond: 1e6, CPU: float64(i), KiB: 20, P50: 1, P99: 2, ResidentMiB: 3}, {PerSecond: 2e6, CPU: 1, KiB: 21}, {PerSecond: 3e6, CPU: 1, KiB: 22}}
	}
	all := map[int]outcomes{}
	for _, n := range sizes {
		all[n] = o
	}
	dir := t.TempDir()
	if err := (plan{rounds: 3, out: dir}).report(io.Discard, measured{flood: o, idle: o, latency: o, growth: all}); err != nil {
		t.Fatal(err)
	}
	if median, spread := o.of("pterosocket", perSecond); median != 2e6 || spread != 0.5 {
		t.Errorf("median %v, spread %v", median, spread)
	}
	if text := plot("a plot", all, kib); !strings.Contains(text, "polyline") || strings.Contains(text, "NaN") {
		t.Error(text)
	}
}
