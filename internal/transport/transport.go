// Package transport is the seam to the websocket library: it opens a connection, reads a message, writes one, pings,
// and closes. It is the only package that imports nhooyr.io/websocket.
//
// That import path is deprecated in favour of github.com/coder/websocket, where the same code is carried on. The
// project's owner named the old path; since nothing else imports it, a move is a matter of this package, and
// pterosocket.Config.Dialer lets a user of the library bring another one today.
package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"nhooyr.io/websocket"

	"github.com/pterosocket/pterosocket-go/internal/message"
)

// ErrTooLong is returned by Read for a message over the limit. The message has been skipped; the connection lives on.
var ErrTooLong = message.ErrTooLong

// CloseError says that the peer sent a close frame. Code is 1005 when the frame had none.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("the peer closed with code %d %q", e.Code, e.Reason)
}

// Conn is one websocket connection, of either side. Read must not be called concurrently with itself; everything else
// may.
type Conn struct {
	ws  *websocket.Conn
	raw io.Closer // the stream beneath; closing it ends a Close that waits

	buf     []byte // of Read
	closing sync.Once
}

func newConn(ws *websocket.Conn, raw io.Closer) *Conn {
	ws.SetReadLimit(-1) // Read counts against a limit of its own, since the library's closes the connection
	return &Conn{ws: ws, raw: raw}
}

// keepBuffer bounds the buffer that a connection holds on to between messages.
const keepBuffer = 4 << 10

// Read returns the next message, which is valid until the next Read. It skips a message of more than limit bytes and
// returns ErrTooLong. It returns a *CloseError after a close frame, and another error when the stream ends without one.
// Closing the connection unblocks it.
func (c *Conn) Read(limit int64) ([]byte, error) {
	// The library tears the socket down when a context that it reads with ends, so none that can end is given to it.
	_, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, readError(err)
	}
	data, err := message.Read(r, c.buf, limit)
	if c.buf = data; cap(data) > keepBuffer {
		c.buf = nil
	}
	if err != nil {
		err = readError(err)
	}
	return data, err
}

func readError(err error) error {
	var ce websocket.CloseError
	switch {
	case errors.As(err, &ce):
		return &CloseError{Code: int(ce.Code), Reason: ce.Reason}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	}
	return err
}

// Write writes one text message. When ctx ends in the middle of it the connection is lost.
func (c *Conn) Write(ctx context.Context, message []byte) error {
	return c.ws.Write(ctx, websocket.MessageText, message)
}

// Ping sends a ping and waits for its pong until ctx ends. A Read must be running. The connection outlives a Ping in
// vain.
func (c *Conn) Ping(ctx context.Context) error { return c.ws.Ping(ctx) }

// Close sends a close frame and waits for the peer's until ctx ends; what comes before it is still read by a running
// Read. With a ctx that has ended it tears the connection down at once. Only the first call does anything, but every
// call returns with the connection closed, and with the library's goroutine gone.
func (c *Conn) Close(ctx context.Context, code int, reason string) error {
	err := net.ErrClosed
	c.closing.Do(func() {
		if ctx.Err() != nil {
			_ = c.raw.Close()
			err = c.ws.CloseNow()
			return
		}
		defer context.AfterFunc(ctx, func() { _ = c.raw.Close() })()
		err = c.ws.Close(websocket.StatusCode(code), reason)
	})
	return err
}
