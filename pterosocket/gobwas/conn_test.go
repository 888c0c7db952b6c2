package gobwas_test

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

	"go.uber.org/goleak"

	"github.com/pterosocket/pterosocket-go/internal/transport"
	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/gobwas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers websockets with another library, and lets handle have them; it returns a connection to it.
func serve(t *testing.T, compression bool, handle func(*transport.Conn)) pterosocket.Conn {
	t.Helper()
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		peer, err := transport.Accept(w, r, io.NopCloser(nil), compression)
		if err != nil {
			t.Error(err)
			return
		}
		defer peer.Abort()
		handle(peer)
	}))
	client := srv.Client()
	client.Timeout = time.Minute // for the handshake only
	conn, err := gobwas.Dialer{HTTPClient: client, Compression: compression}.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), nil)
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

func text(size int) []byte { return bytes.Repeat([]byte("abcdefg\n"), size/8+1)[:size] }

// Messages of all sizes, in fragments and not, compressed and not, arrive as they were sent; one over the limit is
// skipped.
func TestRead(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 507, 508, 509, 512, 1023, 1025, 4096, 32_764, 32_768, 32_769, 40_000, 65_535, 65_536, 600_000}
	const limit = 500_000
	for _, compression := range []bool{false, true} {
		conn := serve(t, compression, func(peer *transport.Conn) {
			for _, size := range sizes {
				must(t, peer.Write(context.Background(), text(size)))
				must(t, peer.WriteFragmented(context.Background(), text(size), 1000))
			}
			must(t, peer.Write(context.Background(), []byte("end")))
			_, _ = peer.Read(10)
		})
		for _, size := range sizes {
			for range 2 {
				got, err := conn.Read(limit)
				if size > limit {
					if !errors.Is(err, pterosocket.ErrFrameTooLong) {
						t.Errorf("%d bytes over a limit: %v", size, err)
					}
					continue
				}
				if err != nil || !bytes.Equal(got, text(size)) {
					t.Fatalf("compressed %v: %d bytes read as %d, %v", compression, size, len(got), err)
				}
			}
		}
		if got, err := conn.Read(limit); err != nil || string(got) != "end" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestWrite(t *testing.T) {
	for _, compression := range []bool{false, true} {
		sizes := []int{0, 1, 125, 126, 65_535, 65_536, 100_000}
		got := make(chan []byte)
		conn := serve(t, compression, func(peer *transport.Conn) {
			defer close(got)
			for range sizes {
				data, err := peer.Read(1 << 20)
				must(t, err)
				got <- bytes.Clone(data)
			}
		})
		for _, size := range sizes {
			message := text(size)
			must(t, conn.Write(t.Context(), message))
			if data := <-got; !bytes.Equal(data, text(size)) || !bytes.Equal(message, data) {
				t.Errorf("%d bytes arrived as %d", size, len(data))
			}
		}
	}
}

// Each side's pings are answered while messages go both ways.
func TestPing(t *testing.T) {
	const n = 200
	conn := serve(t, false, func(peer *transport.Conn) {
		read := make(chan struct{})
		go func() {
			defer close(read)
			for range n {
				_, err := peer.Read(100)
				must(t, err)
			}
			_, _ = peer.Read(100)
		}()
		for range n {
			must(t, peer.Write(context.Background(), []byte("from the server")))
			must(t, peer.Ping(context.Background()))
		}
		must(t, peer.Write(context.Background(), []byte("end")))
		<-read
	})
	all, end := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(end)
		for {
			data, err := conn.Read(100)
			if err != nil {
				return
			}
			if string(data) == "end" {
				close(all)
			}
		}
	}()
	for range n {
		must(t, conn.Write(t.Context(), []byte("from the client")))
		must(t, conn.Ping(t.Context()))
	}
	<-all
	must(t, conn.Close(t.Context(), 1000, ""))
	<-end
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a ping on a closed connection")
	}
}

func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*transport.Conn)
		want func(error) bool
	}{
		"close frame": {
			func(peer *transport.Conn) { must(t, peer.Close(context.Background(), 4409, "suspended")) },
			func(err error) bool {
				var closed *pterosocket.CloseError
				return errors.As(err, &closed) && *closed == pterosocket.CloseError{Code: 4409, Reason: "suspended"}
			},
		},
		"close frame without a code": {
			func(peer *transport.Conn) { must(t, peer.Close(context.Background(), 1005, "")) },
			func(err error) bool {
				var closed *pterosocket.CloseError
				return errors.As(err, &closed) && closed.Code == 1005
			},
		},
		"no close frame": {
			func(*transport.Conn) {},
			func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := serve(t, false, test.end)
			for range 2 { // and so it stays
				if _, err := conn.Read(100); !test.want(err) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// Close says goodbye and waits for the answer, but no longer than ctx; either way a Read ends.
func TestClose(t *testing.T) {
	for name, polite := range map[string]bool{"answered": true, "not answered": false} {
		t.Run(name, func(t *testing.T) {
			goodbye, release := make(chan error, 1), make(chan struct{})
			conn := serve(t, false, func(peer *transport.Conn) {
				if polite {
					_, err := peer.Read(100)
					goodbye <- err
				}
				<-release
			})
			defer close(release)
			read := make(chan error, 1)
			go func() {
				_, err := conn.Read(100)
				read <- err
			}()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			closed := make(chan error, 1)
			go func() { closed <- conn.Close(ctx, 1000, "bye") }()
			var bye *transport.CloseError
			var ended *pterosocket.CloseError
			if polite {
				if err := <-goodbye; !errors.As(err, &bye) || *bye != (transport.CloseError{Code: 1000, Reason: "bye"}) {
					t.Errorf("the server read %v", err)
				}
			} else {
				cancel()
			}
			if err := <-read; polite != errors.As(err, &ended) {
				t.Errorf("Read: %v", err)
			}
			must(t, <-closed)
			if err := conn.Close(ctx, 1000, ""); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a second Close: %v", err)
			}
			if err := conn.Write(t.Context(), nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write behind Close: %v", err)
			}
		})
	}
}
