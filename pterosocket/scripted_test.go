package pterosocket_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// scripted is a Conn, and the Dialer of it, that a test speaks for.
type scripted struct {
	frames chan string
	write  func(message []byte)
	ping   func() error
	closed chan struct{}
	once   sync.Once
}

func (s *scripted) Dial(context.Context, string, http.Header) (pterosocket.Conn, error) {
	return s, nil
}

func (s *scripted) Read(int64) ([]byte, error) {
	select {
	case frame := <-s.frames:
		return []byte(frame), nil
	case <-s.closed:
		return nil, io.ErrUnexpectedEOF
	}
}

func (s *scripted) Write(_ context.Context, message []byte) error {
	s.write(message)
	return nil
}

func (s *scripted) Ping(context.Context) error { return s.ping() }

func (s *scripted) Close(context.Context, int, string) error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func script(cfg *pterosocket.Config) *scripted {
	s := &scripted{frames: make(chan string, 10), closed: make(chan struct{}), write: func([]byte) {}, ping: func() error { return nil }}
	cfg.Dialer = s
	return s
}

// A peer that speaks before it is asked does not bring two renewers to work at once.
func TestDaemonThatSpeaksFirst(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.ConnectTimeout = 5 * time.Second
		var asking atomic.Int64
		cfg.Credentials = source(func(context.Context) (pterosocket.Credentials, error) {
			if asking.Add(1) > 1 {
				t.Error("two requests for credentials at once")
			}
			defer asking.Add(-1)
			time.Sleep(100 * time.Millisecond)
			token, socket := srv.Credentials()
			return pterosocket.Credentials{Token: token, Socket: socket}, nil
		})
		s := script(&cfg)
		s.frames <- `{"event":"token expiring"}`
		s.frames <- `{"event":"jwt error","args":["jwt: no jwt present"]}`
		if _, _, err := open(t.Context(), cfg); err == nil {
			t.Error("connected without an auth success")
		}
	})
}

// A ping that fails at once is no answer, and no reason to ping no more.
func TestPingGoesOnAfterAFailure(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.PingInterval = time.Second
		s := script(&cfg)
		s.write = func([]byte) {
			s.frames <- `{"event":"auth success"}`
			s.frames <- `{"event":"status","args":["offline"]}`
		}
		var pings atomic.Int64
		s.ping = func() error {
			pings.Add(1)
			return errors.New("i/o timeout")
		}
		connect(t, cfg)
		time.Sleep(time.Minute + time.Millisecond)
		if n := pings.Load(); n < 55 {
			t.Errorf("%d pings in a minute", n)
		}
	})
}
