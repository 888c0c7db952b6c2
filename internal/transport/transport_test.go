package transport

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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair connects a client to a server that serve runs, over loopback.
func pair(t *testing.T, compress bool, serve func(server *Conn)) *Conn {
	t.Helper()
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		conn, err := Accept(w, r, io.NopCloser(nil), compress)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Abort()
		serve(conn)
	}))
	conn, err := Dialer{HTTPClient: srv.Client(), Compression: compress}.Dial(t.Context(), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closeNow(conn)
		<-done
		srv.Close()
	})
	return conn
}

func closeNow(c *Conn) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Close(ended, 1000, "")
}

// Messages of every size pass, whole and in fragments, compressed or not, in a buffer that is reused.
func TestReadsWhatIsWritten(t *testing.T) {
	sizes := []int{0, 1, 100, 511, 512, 513, 4095, 4096, 4097, 65_536, 400_000}
	for _, compress := range []bool{false, true} {
		conn := pair(t, compress, func(server *Conn) {
			for _, size := range sizes {
				message := bytes.Repeat([]byte("x"), size)
				if err := server.Write(t.Context(), message); err != nil {
					t.Error(err)
				}
				if err := server.WriteFragmented(t.Context(), message, 4096); err != nil {
					t.Error(err)
				}
			}
			_, _ = server.Read(10)
		})
		for _, size := range sizes {
			for range 2 {
				data, err := conn.Read(1 << 20)
				if err != nil || len(data) != size {
					t.Fatalf("compress %v: %d bytes, %v, want %d", compress, len(data), err, size)
				}
			}
		}
		// The server has finished writing when it reads this and goes.
		if err := conn.Write(t.Context(), []byte("done")); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(10); err == nil {
			t.Error("one message too many")
		}
	}
}

// A message over the limit is skipped, a fragmented one too, and the connection is as good as before.
func TestSkipsWhatIsTooLong(t *testing.T) {
	conn := pair(t, false, func(server *Conn) {
		for _, size := range []int{1000, 1001, 1_000_000, 3} {
			_ = server.WriteFragmented(t.Context(), bytes.Repeat([]byte("x"), size), 4096)
		}
		_, _ = server.Read(1)
	})
	for _, want := range []int{1000, -1, -1, 3} {
		data, err := conn.Read(1000)
		if want < 0 && !errors.Is(err, ErrTooLong) || want >= 0 && (err != nil || len(data) != want) {
			t.Errorf("%d bytes, %v, want %d", len(data), err, want)
		}
		if cap(data) > 2048 {
			t.Errorf("a buffer of %d bytes for a limit of 1000", cap(data))
		}
	}
}

func TestEndings(t *testing.T) {
	t.Run("close frame", func(t *testing.T) {
		conn := pair(t, false, func(server *Conn) { _ = server.Close(t.Context(), 4409, "server is suspended") })
		var closed *CloseError
		if _, err := conn.Read(100); !errors.As(err, &closed) || *closed != (CloseError{4409, "server is suspended"}) {
			t.Errorf("Read: %v", err)
		}
	})
	t.Run("no close frame", func(t *testing.T) {
		conn := pair(t, false, func(*Conn) {})
		if _, err := conn.Read(100); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Read: %v", err)
		}
	})
	t.Run("our own close", func(t *testing.T) {
		got := make(chan error, 1)
		conn := pair(t, false, func(server *Conn) {
			_, err := server.Read(100)
			got <- err
		})
		read := make(chan error, 1)
		go func() {
			_, err := conn.Read(100)
			read <- err
		}()
		if err := conn.Close(t.Context(), 1000, "bye"); err != nil {
			t.Error(err)
		}
		var closed *CloseError
		if err := <-got; !errors.As(err, &closed) || closed.Reason != "bye" {
			t.Errorf("the peer read %v", err)
		}
		<-read
	})
	t.Run("a peer that is gone", func(t *testing.T) {
		release := make(chan struct{})
		conn := pair(t, false, func(*Conn) { <-release }) // reads nothing, answers nothing
		defer close(release)
		read := make(chan error, 1)
		go func() {
			_, err := conn.Read(100)
			read <- err
		}()
		bounded, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_ = conn.Close(bounded, 1000, "") // without the bound it would wait for five seconds
		if err := <-read; err == nil {
			t.Error("the reader goes on")
		}
	})
	t.Run("closed under a reader", func(t *testing.T) {
		release := make(chan struct{})
		conn := pair(t, false, func(*Conn) { <-release })
		defer close(release)
		read := make(chan error, 1)
		go func() {
			_, err := conn.Read(100)
			read <- err
		}()
		closeNow(conn)
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
	})
}

func TestPing(t *testing.T) {
	answer := make(chan struct{})
	conn := pair(t, false, func(server *Conn) {
		<-answer
		_, _ = server.Read(100)
	})
	go func() { _, _ = conn.Read(100) }()
	// Long enough to be written even on a machine that is busy: a ping that ends in the midst of its writing takes the
	// socket along.
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := conn.Ping(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a ping in vain: %v", err)
	}
	close(answer)
	if err := conn.Ping(t.Context()); err != nil {
		t.Errorf("the connection did not outlive a ping in vain: %v", err)
	}
}

func TestRefusedHandshake(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Forbidden\n"+strings.Repeat("x", 5000), http.StatusForbidden)
	}))
	defer srv.Close()
	_, err := Dialer{HTTPClient: srv.Client()}.Dial(t.Context(), srv.URL, nil)
	var refused *HandshakeError
	if !errors.As(err, &refused) || refused.StatusCode != 403 || !strings.HasPrefix(refused.Body, "Forbidden\n") || len(refused.Body) > 1024 {
		t.Errorf("Dial: %v", err)
	}
}
