package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	neturl "net/url"
	"sync"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"github.com/pterosocket/pterosocket-go/internal/message"
	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// The Dialers of this file are there to choose a second transport by measuring, through the seam that it would stand
// behind. They do no more than that needs: no TLS, no proxies, no compression. The one that was chosen, with gobwas/ws,
// is pterosocket/gobwas.

// hooked tells when a Read is about to wait for the network, for pterosocket.Waiter.
type hooked struct {
	net.Conn
	onWait func()
}

func (h *hooked) OnWait(f func()) { h.onWait = f }

func (h *hooked) Read(p []byte) (int, error) {
	if h.onWait != nil {
		h.onWait()
	}
	return h.Conn.Read(p)
}

func dialTCP(ctx context.Context, rawURL string) (*hooked, error) {
	u, err := neturl.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	return &hooked{Conn: conn}, nil
}

// A buffer is used again for every message of a connection.
type buffer struct{ buf []byte }

// read reads a message, or skips it when it is too long.
func (b *buffer) read(r io.Reader, limit int64) ([]byte, error) {
	data, err := message.Read(r, b.buf, limit)
	if b.buf = data; err == message.ErrTooLong {
		err = pterosocket.ErrFrameTooLong
	}
	return data, err
}

// coder/websocket.

type coderDialer struct{}

type coderConn struct {
	*hooked
	buffer
	ws *coder.Conn
}

func (coderDialer) Dial(ctx context.Context, url string, header http.Header) (pterosocket.Conn, error) {
	var conn *hooked
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		conn, err = dialTCP(ctx, url)
		return conn, err
	}}}
	c, _, err := coder.Dial(ctx, url, &coder.DialOptions{HTTPClient: client, HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1)
	return &coderConn{hooked: conn, ws: c}, nil
}

func (c *coderConn) Read(limit int64) (message []byte, err error) {
	_, r, err := c.ws.Reader(context.Background())
	if err == nil {
		message, err = c.read(r, limit)
	}
	var closed coder.CloseError
	if errors.As(err, &closed) {
		err = &pterosocket.CloseError{Code: int(closed.Code), Reason: closed.Reason}
	}
	return message, err
}

func (c *coderConn) Write(ctx context.Context, message []byte) error {
	return c.ws.Write(ctx, coder.MessageText, message)
}

func (c *coderConn) Ping(ctx context.Context) error { return c.ws.Ping(ctx) }

func (c *coderConn) Close(ctx context.Context, code int, reason string) error {
	if ctx.Err() != nil {
		return c.ws.CloseNow()
	}
	return c.ws.Close(coder.StatusCode(code), reason)
}

// gorilla/websocket.

type gorillaDialer struct{}

type gorillaConn struct {
	*hooked
	buffer
	ws    *gorilla.Conn
	pong  chan struct{}
	ended chan struct{}
}

func (gorillaDialer) Dial(ctx context.Context, url string, header http.Header) (pterosocket.Conn, error) {
	var conn *hooked
	dialer := gorilla.Dialer{WriteBufferPool: new(sync.Pool), NetDialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		conn, err = dialTCP(ctx, url)
		return conn, err
	}}
	ws, _, err := dialer.DialContext(ctx, url, header)
	if err != nil {
		return nil, err
	}
	c := &gorillaConn{hooked: conn, ws: ws, pong: make(chan struct{}, 1), ended: make(chan struct{})}
	ws.SetPongHandler(func(string) error {
		select {
		case c.pong <- struct{}{}:
		default:
		}
		return nil
	})
	return c, nil
}

func (c *gorillaConn) Read(limit int64) (message []byte, err error) {
	_, r, err := c.ws.NextReader()
	if err == nil {
		message, err = c.read(r, limit)
	}
	if err != nil && err != pterosocket.ErrFrameTooLong {
		var closed *gorilla.CloseError
		if errors.As(err, &closed) {
			err = &pterosocket.CloseError{Code: closed.Code, Reason: closed.Text}
		}
		close(c.ended)
	}
	return message, err
}

func (c *gorillaConn) Write(_ context.Context, message []byte) error {
	return c.ws.WriteMessage(gorilla.TextMessage, message)
}

func (c *gorillaConn) Ping(ctx context.Context) error {
	if err := c.ws.WriteControl(gorilla.PingMessage, nil, time.Now().Add(time.Minute)); err != nil {
		return err
	}
	return await(ctx, c.pong)
}

func (c *gorillaConn) Close(ctx context.Context, code int, reason string) error {
	if ctx.Err() == nil && c.ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, reason), time.Now().Add(time.Minute)) == nil {
		_ = await(ctx, c.ended)
	}
	return c.hooked.Close()
}

func await(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lxzan/gws. It calls a handler from a loop of its own, so behind this seam each message is handed from one goroutine
// to another.

type gwsDialer struct{}

type gwsConn struct {
	gws.BuiltinEventHandler
	conn     net.Conn // not a hooked one: what is read is handed over before the next Read
	ws       *gws.Conn
	messages chan *gws.Message
	pong     chan struct{}
	ended    chan struct{}
	err      error
}

func (gwsDialer) Dial(ctx context.Context, url string, header http.Header) (pterosocket.Conn, error) {
	conn, err := dialTCP(ctx, url)
	if err != nil {
		return nil, err
	}
	c := &gwsConn{conn: conn, messages: make(chan *gws.Message), pong: make(chan struct{}, 1), ended: make(chan struct{})}
	c.ws, _, err = gws.NewClientFromConn(c, &gws.ClientOption{Addr: url, RequestHeader: header, ReadBufferSize: 4 << 10}, conn)
	if err != nil {
		return nil, err
	}
	go c.ws.ReadLoop()
	return c, nil
}

func (c *gwsConn) OnMessage(_ *gws.Conn, m *gws.Message) {
	select {
	case c.messages <- m:
	case <-time.After(time.Minute):
	}
}

func (c *gwsConn) OnPong(*gws.Conn, []byte) {
	select {
	case c.pong <- struct{}{}:
	default:
	}
}

func (c *gwsConn) OnPing(_ *gws.Conn, payload []byte) { _ = c.ws.WritePong(payload) }

func (c *gwsConn) OnClose(_ *gws.Conn, err error) {
	var closed *gws.CloseError
	if errors.As(err, &closed) {
		err = &pterosocket.CloseError{Code: int(closed.Code), Reason: string(closed.Reason)}
	}
	c.err = err
	close(c.ended)
}

func (c *gwsConn) Read(limit int64) ([]byte, error) {
	select {
	case m := <-c.messages:
		defer m.Close()
		if int64(m.Data.Len()) > limit {
			return nil, pterosocket.ErrFrameTooLong
		}
		return append([]byte(nil), m.Data.Bytes()...), nil
	case <-c.ended:
		return nil, c.err
	}
}

func (c *gwsConn) Write(_ context.Context, message []byte) error {
	return c.ws.WriteMessage(gws.OpcodeText, message)
}

func (c *gwsConn) Ping(ctx context.Context) error {
	if err := c.ws.WritePing(nil); err != nil {
		return err
	}
	return await(ctx, c.pong)
}

func (c *gwsConn) Close(ctx context.Context, code int, reason string) error {
	if ctx.Err() == nil && c.ws.WriteClose(uint16(code), []byte(reason)) == nil {
		_ = await(ctx, c.ended)
	}
	return c.conn.Close()
}
