package gorilla_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/gorilla"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers websockets with handle, and returns a connection to it.
func serve(t *testing.T, d gorilla.Dialer, handle func(*websocket.Conn)) pterosocket.Conn {
	t.Helper()
	upgrader := websocket.Upgrader{EnableCompression: true}
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		handle(ws)
	}))
	conn, err := d.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = conn.Close(ended, 1000, "")
		<-done
		srv.Close()
	})
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// Messages of all sizes, in fragments and not, compressed and not, arrive as they were sent; one over the limit is skipped.
func TestRead(t *testing.T) {
	for _, compression := range []bool{false, true} {
		sizes := []int{0, 1, 125, 126, 511, 512, 513, 1023, 1024, 1025, 4096, 40_000, 70_000, 600_000}
		conn := serve(t, gorilla.Dialer{Compression: compression}, func(ws *websocket.Conn) {
			for _, size := range sizes {
				message := bytes.Repeat([]byte("abcdefg\n"), size/8+1)[:size]
				must(t, ws.WriteMessage(websocket.TextMessage, message))
				w, err := ws.NextWriter(websocket.TextMessage)
				must(t, err)
				for len(message) > 0 { // in pieces
					n := min(len(message), 1000)
					_, err := w.Write(message[:n])
					must(t, err)
					message = message[n:]
				}
				must(t, w.Close())
			}
			must(t, ws.WriteMessage(websocket.TextMessage, []byte("end")))
			_, _, _ = ws.ReadMessage()
		})
		const limit = 500_000
		for _, size := range sizes {
			for range 2 {
				got, err := conn.Read(limit)
				if size > limit {
					if !errors.Is(err, pterosocket.ErrFrameTooLong) {
						t.Errorf("%d bytes over a limit: %v", size, err)
					}
					continue
				}
				must(t, err)
				if want := bytes.Repeat([]byte("abcdefg\n"), size/8+1)[:size]; !bytes.Equal(got, want) {
					t.Fatalf("%d bytes read as %d", size, len(got))
				}
			}
		}
		if got, err := conn.Read(limit); err != nil || string(got) != "end" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// Read says when it is about to wait, and not while there is something to read.
func TestOnWait(t *testing.T) {
	proceed := make(chan struct{})
	conn := serve(t, gorilla.Dialer{}, func(ws *websocket.Conn) {
		<-proceed
		var burst []byte
		for range 200 { // more than one buffer, in one write
			burst = append(burst, 0x81, 100)
			burst = append(burst, bytes.Repeat([]byte("x"), 100)...)
		}
		_, err := ws.NetConn().Write(burst)
		must(t, err)
		_, _, _ = ws.ReadMessage()
	})
	waits := 0
	conn.(pterosocket.Waiter).OnWait(func() {
		if waits++; waits == 1 {
			close(proceed)
		}
	})
	for range 200 {
		if _, err := conn.Read(1000); err != nil {
			t.Fatal(err)
		}
	}
	if waits == 0 || waits > 50 {
		t.Errorf("waited %d times for 200 messages that came at once", waits)
	}
}

func TestPing(t *testing.T) {
	answer := make(chan bool, 1)
	conn := serve(t, gorilla.Dialer{}, func(ws *websocket.Conn) {
		pong := ws.PingHandler()
		ws.SetPingHandler(func(text string) error {
			if <-answer {
				return pong(text)
			}
			return nil
		})
		_, _, _ = ws.ReadMessage()
	})
	go conn.Read(100)
	answer <- true
	must(t, conn.Ping(t.Context()))
	answer <- false
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := conn.Ping(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no pong: %v", err)
	}
	answer <- true
	must(t, conn.Ping(t.Context())) // it lives on
}

func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*websocket.Conn)
		want func(error) bool
	}{
		"close frame": {
			func(ws *websocket.Conn) {
				must(t, ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4409, "suspended"), time.Now().Add(time.Minute)))
				_, _, _ = ws.ReadMessage()
			},
			func(err error) bool {
				var closed *pterosocket.CloseError
				return errors.As(err, &closed) && *closed == pterosocket.CloseError{Code: 4409, Reason: "suspended"}
			},
		},
		"close frame without a code": {
			func(ws *websocket.Conn) {
				must(t, ws.WriteControl(websocket.CloseMessage, nil, time.Now().Add(time.Minute)))
				_, _, _ = ws.ReadMessage()
			},
			func(err error) bool {
				var closed *pterosocket.CloseError
				return errors.As(err, &closed) && closed.Code == 1005
			},
		},
		"no close frame": {
			func(ws *websocket.Conn) {},
			func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := serve(t, gorilla.Dialer{}, test.end)
			if _, err := conn.Read(100); !test.want(err) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Close says goodbye and waits for the answer, but no longer than ctx; either way a Read ends.
func TestClose(t *testing.T) {
	for name, polite := range map[string]bool{"answered": true, "not answered": false} {
		t.Run(name, func(t *testing.T) {
			goodbye, ended := make(chan error, 1), make(chan struct{})
			conn := serve(t, gorilla.Dialer{}, func(ws *websocket.Conn) {
				if !polite {
					ws.SetCloseHandler(func(int, string) error { return nil })
				}
				_, _, err := ws.ReadMessage()
				goodbye <- err
				<-ended
			})
			read := make(chan error, 1)
			go func() {
				_, err := conn.Read(100)
				read <- err
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_ = conn.Close(ctx, 1000, "bye")
			if err := <-goodbye; !websocket.IsCloseError(err, 1000) {
				t.Errorf("the server read %v", err)
			}
			var closed *pterosocket.CloseError
			if err := <-read; polite != errors.As(err, &closed) {
				t.Errorf("Read: %v", err)
			}
			close(ended)
			if err := conn.Close(ctx, 1000, ""); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a second Close: %v", err)
			}
		})
	}
}

// A handshake that is refused, or hangs, ends with what the library expects.
func TestDialFails(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-hang
			return
		}
		http.Error(w, "Forbidden", http.StatusForbidden)
	}))
	defer srv.Close()
	defer close(hang)
	url := "ws" + strings.TrimPrefix(srv.URL, "http")
	_, err := gorilla.Dialer{}.Dial(t.Context(), url, nil)
	var refused *pterosocket.HandshakeError
	if !errors.As(err, &refused) || refused.StatusCode != 403 || refused.Body != "Forbidden\n" {
		t.Errorf("refused: %#v", err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	if _, err := (gorilla.Dialer{}).Dial(ctx, url+"/hang", nil); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (gorilla.Dialer{HTTPClient: &http.Client{Transport: http.NewFileTransport(http.Dir("."))}}).Dial(t.Context(), url, nil); err == nil {
		t.Error("another kind of RoundTripper was taken")
	}
}
