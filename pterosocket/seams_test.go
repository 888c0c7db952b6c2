package pterosocket_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/transport"
	"github.com/pterosocket/pterosocket-go/pterosocket"
	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

// dialer is a Dialer of one's own, here around the library that is the default too.
type dialer struct {
	client *http.Client
	dials  atomic.Int64
	fail   error
}

func (d *dialer) Dial(ctx context.Context, url string, header http.Header) (pterosocket.Conn, error) {
	d.dials.Add(1)
	if d.fail != nil {
		return nil, d.fail
	}
	conn, err := transport.Dialer{HTTPClient: d.client}.Dial(ctx, url, header)
	if err != nil {
		return nil, err
	}
	return ownConn{conn}, nil
}

// ownConn translates errors, as the documentation of Conn asks for.
type ownConn struct{ *transport.Conn }

func (c ownConn) Read(limit int64) ([]byte, error) {
	data, err := c.Conn.Read(limit)
	var closed *transport.CloseError
	if errors.Is(err, transport.ErrTooLong) {
		err = pterosocket.ErrFrameTooLong
	} else if errors.As(err, &closed) {
		err = &pterosocket.CloseError{Code: closed.Code, Reason: closed.Reason}
	}
	return data, err
}

func TestDialerOfOnesOwn(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		d := &dialer{client: srv.Client()}
		cfg := config(srv)
		cfg.Dialer = d
		c := connect(t, cfg)
		srv.Print("hello")
		c.line("hello")
		srv.CloseAll(1001, "")
		if ev := next[pterosocket.Close](c); ev.Code != 1001 {
			t.Errorf("%+v", ev)
		}
		must(t, c.Ready(t.Context()))
		must(t, c.WriteCommand(t.Context(), "x"))
		c.line("x")
		if n := d.dials.Load(); n != 3 { // the log is read on one of its own
			t.Errorf("%d dials", n)
		}
	})
	t.Run("refused", func(t *testing.T) {
		virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
			cfg := config(srv)
			cfg.Dialer = &dialer{fail: &pterosocket.HandshakeError{StatusCode: 403, Body: "Forbidden\n{}"}}
			_, _, err := open(t.Context(), cfg)
			wantError(t, err, pterosocket.ErrOriginRejected)
			if !strings.Contains(err.Error(), srv.Origin()) {
				t.Errorf("the message does not name the origin sent: %v", err)
			}
		})
	})
}

// quoting is a connection whose errors quote what was written.
type quoting struct{ pterosocket.Conn }

func (q quoting) Write(_ context.Context, message []byte) error {
	return errors.New("cannot write " + string(message))
}

func (quoting) Read(int64) ([]byte, error)                                            { time.Sleep(time.Second); return nil, io.EOF }
func (quoting) Close(context.Context, int, string) error                              { return nil }
func (quoting) Ping(context.Context) error                                            { return nil }
func (q quoting) Dial(context.Context, string, http.Header) (pterosocket.Conn, error) { return q, nil }

func TestErrorsOfOthersShowNoSecret(t *testing.T) {
	virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
		cfg := config(srv)
		cfg.Dialer = quoting{}
		cfg.ConnectTimeout = 5 * time.Second
		_, _, err := open(t.Context(), cfg)
		if err == nil || strings.Contains(err.Error(), "eyJ") || !strings.Contains(err.Error(), "cannot write") {
			t.Errorf("Connect: %v", err)
		}
	})
}

// source is a CredentialSource of one's own.
type source func(context.Context) (pterosocket.Credentials, error)

func (s source) Credentials(ctx context.Context) (pterosocket.Credentials, error) { return s(ctx) }

func TestCredentialSourceOfOnesOwn(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want error
		fast bool
	}{
		"final":     {pterosocket.ErrForbidden, pterosocket.ErrForbidden, true},
		"conflict":  {pterosocket.ErrConflict, pterosocket.ErrConflict, true},
		"transient": {io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, false},
		"secret":    {errors.New("sent Bearer ptlc_pterotest"), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, pterotest.Config{}, func(t *testing.T, srv *pterotest.Server) {
				cfg := config(srv)
				cfg.Credentials = source(func(context.Context) (pterosocket.Credentials, error) { return pterosocket.Credentials{}, test.err })
				start := time.Now()
				_, _, err := open(t.Context(), cfg)
				if test.want != nil {
					wantError(t, err, test.want)
				}
				if fast := time.Since(start) < time.Second; fast != test.fast || strings.Contains(err.Error(), "ptlc_") {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}
